// What is searched: the form, as `gl.search` would be given it, and as the STAC API wants it.
import { element, get, post } from "./asking.js";
import { ofText, toText } from "./corners.js";
import { placesNamed } from "./named.js";
import { MOST_CORNERS } from "./place.js";
import { propertyOf, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST = 5; // further conditions
const SAID = 60; // characters of what an address has wrong
// What families are usually searched by, first in the list.
const USUAL = ["platform", "product:type", "processing:level", "processing:version", "sat:orbit_state", "sat:relative_orbit", "sar:instrument_mode", "swath"];
const POLARIZATIONS = "sar:polarizations"; // a product has one or several
const NUMBERS = new Set(["integer", "number"]);
const ASKABLE = new Set(["string", ...NUMBERS]);
export const FIELDS = ["collection", "from", "to", "clouds", "property", "value"];

export class Criteria {
  // `place` says where; `failed` is called with a sentence.
  constructor(place, failed) {
    [this.place, this.failed, this.queryables, this.fields, this.also] = [place, failed, {}, null, []];
    $("also").addEventListener("click", () => this.addAlso());
    $("collection").addEventListener("change", () => this.fill().then(() => this.suggest()));
    $("property").addEventListener("change", () => this.suggest().catch(() => {}));
    $("clouds").addEventListener("input", () => ($("clouds-said").textContent = $("clouds").value));
  }

  async list() {
    const { collections } = await get("stac/collections");
    for (const c of collections) $("collection").append(new Option(`${c.title} (${c.id})`, c.id));
  }

  // The fields that depend on the collection; a search waits for them.
  fill() {
    this.fields = this.ask();
    this.fields.catch((error) => this.failed(error.message));
    return this.fields;
  }

  async ask() {
    const name = $("collection").value;
    if (!name) return;
    const schema = await get(`stac/collections/${encodeURIComponent(name)}/queryables`);
    if ($("collection").value !== name) return; // another was chosen meanwhile
    this.queryables = schema.properties;
    $("clouds-row").hidden = !("eo:cloud_cover" in schema.properties);
    $("polarizations").hidden = schema.properties[POLARIZATIONS]?.type !== "array";
    const askable = Object.entries(schema.properties).filter(([, s]) => ASKABLE.has(s.type) && !s.format);
    const chosen = $("property").value; // maybe before the answer came
    const place = ([key]) => (USUAL.includes(key) ? USUAL.indexOf(key) : USUAL.length);
    askable.sort((a, b) => place(a) - place(b));
    $("property").replaceChildren(new Option("—", ""), ...askable.map(([key]) => new Option(propertyOf(key), key)));
    this.setAlso(this.also);
    if (askable.some(([key]) => key === chosen)) $("property").value = chosen;
  }

  // The condition that is written becomes one of several, which all must hold.
  addAlso() {
    const [property, value] = [$("property").value, $("value").value.trim()];
    if (!property || !value) return $("property").focus();
    this.setAlso([...this.also.filter((one) => one[0] !== property), [property, value]]);
    $("property").value = $("value").value = "";
  }

  setAlso(several) {
    this.also = several.filter(([property, value]) => property in this.queryables && value).slice(-MOST);
    $("also-list").replaceChildren(...this.also.map((one) => {
      const words = `${propertyOf(one[0])}: ${one[1]}`;
      const away = element("button", { type: "button", class: "button plain small", "aria-label": say("no_condition", { words }) }, "×");
      away.addEventListener("click", () => {
        this.setAlso(this.also.filter((other) => other !== one));
        $("also").focus();
      });
      return element("li", {}, words, " ", away);
    }));
    $("also-list").hidden = !this.also.length;
  }

  // Property and value of each condition.
  get conditions() {
    const [property, value] = [$("property").value, $("value").value.trim()];
    return [...this.also.filter((one) => one[0] !== property || !value), ...(property && value ? [[property, value]] : [])];
  }

  // The values that a hundred products have: suggestions, not all that there are.
  async suggest() {
    const [collection, property] = [$("collection").value, $("property").value];
    $("values").replaceChildren();
    if (!property) return;
    const field = property in { id: 1, collection: 1 } ? property : `properties.${property}`;
    const { features } = await post("stac/search", { collections: [collection], limit: 100, fields: { include: [field] } });
    const values = new Set(features.map((f) => f[property] ?? f.properties?.[property]).filter((v) => v !== undefined && v !== null));
    if ($("property").value === property) $("values").replaceChildren(...[...values].sort().slice(0, 50).map((v) => new Option(v, v)));
  }

  // Why the form is no search; empty if it is one.
  get refusal() {
    if ($("from").value && $("to").value && $("to").value < $("from").value) return say("backwards");
    const value = $("value").value.trim();
    if (value && !$("property").value) return say("no_property", { value });
    const [property, text] = this.conditions.find(([name, one]) => NUMBERS.has(this.queryables[name]?.type) && !Number.isFinite(Number(one))) ?? [];
    return property ? say("no_number", { property: propertyOf(property), value: text }) : "";
  }

  // Those that are ticked, of a collection that has any; a product with one of them is found.
  get polarizations() {
    return $("polarizations").hidden ? [] : [...document.querySelectorAll("#polarizations input:checked")].map((box) => box.value);
  }

  // Whether the products tell their tile: then those of a tile are asked for, else those that lie in its box.
  get isTiled() {
    return Boolean(this.place.tile) && "grid:code" in this.queryables;
  }

  // As `gl.search` has it; null is left out.
  asked() {
    const found = { collections: $("collection").value };
    if (this.isTiled) found.tile = this.place.tile;
    else if (this.place.bbox) found.bbox = this.place.bbox;
    if (this.place.file) found.shape = this.place.file.id; // the notebook fetches it
    if ($("from").value || $("to").value) found.datetime = `${$("from").value || ".."}/${$("to").value || ".."}`;
    if (!$("clouds-row").hidden && Number($("clouds").value) < 100) found.cloud_cover = Number($("clouds").value);
    if (this.polarizations.length) found.sar_polarizations = this.polarizations;
    for (const [property, text] of this.conditions) found[property.replaceAll(/[:-]/g, "_")] = this.value(property, text);
    return found;
  }

  value(property, text) {
    const number = this.queryables[property].type !== "string" && Number(text);
    return number === false || Number.isNaN(number) ? text : number;
  }

  // The same in the words of the STAC API.
  body() {
    const { collections, bbox, cloud_cover, sar_polarizations } = this.asked();
    const from = $("from").value ? `${$("from").value}T00:00:00Z` : "..";
    const to = $("to").value ? `${$("to").value}T23:59:59.999999Z` : "..";
    const conditions = [];
    if (cloud_cover !== undefined) conditions.push({ op: "<=", args: [{ property: "eo:cloud_cover" }, cloud_cover] });
    if (sar_polarizations) conditions.push({ op: "a_overlaps", args: [{ property: POLARIZATIONS }, sar_polarizations] });
    for (const [property, text] of this.conditions) conditions.push({ op: "=", args: [{ property }, this.value(property, text)] });
    if (this.isTiled) conditions.push({ op: "=", args: [{ property: "grid:code" }, `MGRS-${this.place.tile}`] });
    if ("latest" in this.queryables) {
      // As `gl.search` does by itself: superseded versions are left out.
      const latest = { property: "latest" };
      conditions.push({ op: "or", args: [{ op: "isNull", args: [latest] }, { op: "=", args: [latest, true] }] });
    }
    const found = { collections: [collections], limit: 30, sortby: [{ field: "properties.datetime", direction: "desc" }] };
    if (bbox) found.bbox = bbox;
    if (this.place.file || this.place.polygon) found.intersects = this.place.geometry;
    if (from !== ".." || to !== "..") found.datetime = `${from}/${to}`;
    if (conditions.length) found.filter = { op: "and", args: conditions };
    return found;
  }

  // What differs from the form as it is at first, for the address.
  kept() {
    const kept = new URLSearchParams();
    for (const id of FIELDS) if ($(id).value && !(id === "clouds" && $(id).value === "100")) kept.set(id, $(id).value);
    if (this.polarizations.length) kept.set("polarizations", this.polarizations.join(","));
    if (this.also.length) kept.set("also", new URLSearchParams(this.also));
    if (this.place.tile) kept.set("tile", this.place.tile);
    else if (this.place.bbox) kept.set("bbox", this.place.bbox.join(","));
    if (this.place.named) kept.set("place", this.place.named);
    if (this.place.polygon) kept.set("polygon", toText(this.place.polygon));
    else if (this.place.file) kept.set("shape", `${this.place.file.id} ${this.place.file.name}`);
    return kept.toString();
  }

  // The form of an address; whether it has a collection, and what of it the form does not know.
  async restore(kept) {
    const collection = kept.get("collection");
    const isThere = [...$("collection").options].some((option) => option.value === collection);
    if (isThere) $("collection").value = collection;
    await this.fill();
    if (!isThere) return { asked: Boolean(collection), wrong: collection ? [collection] : [] };
    const wrong = [];
    for (const id of FIELDS.slice(1).filter((name) => kept.get(name))) {
      $(id).value = kept.get(id);
      if ($(id).value !== kept.get(id)) wrong.push(kept.get(id));
    }
    $("clouds-said").textContent = $("clouds").value;
    const polarizations = (kept.get("polarizations") ?? "").split(",").filter(Boolean);
    for (const box of document.querySelectorAll("#polarizations input")) box.checked = polarizations.includes(box.value);
    wrong.push(...polarizations.filter((one) => !this.polarizations.includes(one)));
    const also = [...new URLSearchParams(kept.get("also") ?? "")];
    this.setAlso(also);
    wrong.push(...also.filter(([property]) => !this.also.some((one) => one[0] === property)).map(([property]) => property));
    this.suggest().catch(() => {});
    const bbox = kept.get("bbox")?.split(",").map(Number);
    if (bbox) this.place.useBox(bbox.length === 4 ? bbox : [NaN, NaN, NaN, NaN]);
    if (kept.has("polygon")) this.place.usePolygon(ofText(kept.get("polygon"), MOST_CORNERS));
    if (kept.has("tile") || (bbox && kept.has("place"))) await this.restoreNamed(kept.get("tile") ?? kept.get("place"));
    if (kept.has("shape")) await this.restoreShape(kept.get("shape"));
    const { bbox: box, polygon, tile, file } = this.place;
    const missing = { bbox: !box, polygon: !polygon, tile: !tile, shape: !file };
    wrong.push(...Object.keys(missing).filter((name) => kept.has(name) && missing[name] && !(name === "bbox" && tile)).map((name) => kept.get(name)));
    return { asked: true, wrong: wrong.map((one) => one.slice(0, SAID)) };
  }

  // A name is said only with the box that the list has for it: an address may have any name beside any box.
  async restoreNamed(text) {
    try {
      const box = this.place.bbox?.join(",");
      const place = (await placesNamed(text.replace(/ \(.*/, ""))).find((one) => one.tile || (one.name === text && one.bbox.join(",") === box));
      if (place) this.place.setNamed(place);
    } catch (error) {
      $("area").textContent = error.message;
    }
  }

  async restoreShape(text) {
    const [id] = text.split(" ", 1);
    try {
      const { geometry } = await get(`shapes/${encodeURIComponent(id)}`);
      this.place.useShape({ id, name: text.slice(id.length + 1) }, geometry);
    } catch (error) {
      $("area").textContent = error.message;
    }
  }
}
