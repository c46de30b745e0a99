// The basket: products that were set aside, and what can be done with all of them at once.
import { element, post } from "./asking.js";
import { recall, remember, whenChanged } from "./kept.js";
import { partsOf, script } from "./script.js";
import { say, size } from "./words.js";

const $ = (id) => document.getElementById(id);
const KEPT = "basket";
const MOST = 100;

export class Basket {
  // `links` makes the addresses of a notebook, of a job, and of this page with the basket; `area` is the box of the search.
  constructor(panel, { links, area, changed }) {
    Object.assign(this, { panel, links, area, changed });
    this.items = kept();
    this.list = element("ul", { class: "list" });
    this.note = element("p", { class: "soft", role: "status" });
    this.cube = element("a", { class: "button small" }, say("open_cube"));
    this.process = element("a", { class: "button plain small" }, say("process"));
    this.shared = element("input", { type: "text", id: "shared", readonly: "" });
    this.bands = element("input", { type: "text", id: "parts", placeholder: "red,nir", autocomplete: "off", spellcheck: "false" });
    this.inside = element("input", { type: "checkbox", id: "inside" });
    this.fetch = element("a", { class: "button small" }, say("fetch"));
    this.script = element("pre", { tabindex: "0" });
    this.acts = element("div", {},
      element("p", { class: "acts" }, this.cube, this.process, this.act("export", () => this.save()), this.act("empty", () => this.put([]))),
      element("label", { for: "shared" }, say("share")), this.shared,
      element("h2", {}, say("download")),
      element("label", { for: "parts" }, say("parts")), this.bands,
      element("p", { id: "inside-row" }, this.inside, " ", element("label", { for: "inside" }, say("inside"))),
      element("p", { class: "soft" }, say("quota")), element("p", { class: "acts" }, this.fetch),
      element("p", { class: "soft" }, say("terminal")), this.script, this.act("save_script", () => saved("download.sh", "text/x-shellscript", this.script.textContent)));
    panel.append(this.list, this.acts, this.note);
    for (const input of [this.bands, this.inside]) input.addEventListener("input", () => this.tell());
    this.shared.addEventListener("focus", () => this.shared.select());
    whenChanged(KEPT, () => this.take(kept())); // in another window
    panel.addEventListener("toggle", () => this.tell());
    this.tell();
  }

  act(word, act) {
    const made = element("button", { type: "button", class: "button plain small" }, say(word));
    made.addEventListener("click", act);
    return made;
  }

  has(item) {
    return this.items.some((one) => one.id === item.id && one.collection === item.collection);
  }

  toggle(item) {
    const there = this.has(item);
    if (!there && this.items.length >= MOST) {
      this.note.textContent = say("full", { n: MOST });
      this.panel.open = true;
      return;
    }
    const date = (item.properties.datetime || item.properties.start_datetime || "").slice(0, 10);
    const bytes = Object.values(item.assets ?? {}).reduce((sum, asset) => sum + (Number(asset["file:size"]) || 0), 0);
    this.put(there ? this.items.filter((one) => one.id !== item.id || one.collection !== item.collection)
      : [...this.items, { collection: item.collection, id: item.id, date, bytes }]);
  }

  // Those of an address are added: one's own stay.
  add(several) {
    const items = several.filter((one) => !this.has(one));
    if (items.length) this.put([...this.items, ...items].slice(0, MOST));
  }

  put(items) {
    remember(KEPT, items);
    this.take(items);
  }

  take(items) {
    this.items = items;
    this.note.textContent = "";
    this.tell();
    this.changed();
  }

  tell() {
    const { items } = this;
    $("basket-count").textContent = items.length;
    this.acts.hidden = !items.length;
    const bytes = items.reduce((sum, one) => sum + one.bytes, 0);
    if (!items.length) this.note.textContent = say("no_basket");
    this.list.replaceChildren(...items.map((one) => this.row(one)));
    if (!items.length) return;
    this.list.append(element("li", { class: "soft" }, `${say(items.length === 1 ? "one_product" : "products", { n: items.length })}${bytes ? ` · ${size(bytes)}` : ""}`));
    const [collections, ids] = [[...new Set(items.map((one) => one.collection))], items.map((one) => one.id)];
    this.cube.href = this.links.notebook({ collections, ids, latest: false, geodes_cube: true });
    this.process.href = this.links.job({ collections, ids });
    this.shared.value = this.links.share(items.map((one) => `${one.collection}/${one.id}`));
    const box = this.area();
    $("inside-row").hidden = !box;
    const parts = { bands: this.bands.value, box: this.inside.checked ? box : null };
    this.script.textContent = script(items, parts);
    this.fetch.href = this.links.notebook({ collections, ids, latest: false, geodes_download: partsOf(parts) });
  }

  row(one) {
    const away = element("button", { type: "button", class: "button plain small", "aria-label": say("remove", { id: one.id }) }, "×");
    away.addEventListener("click", () => this.put(this.items.filter((other) => other !== one)));
    return element("li", {}, element("span", {}, element("b", {}, one.date), " ", element("span", { class: "name" }, one.id)), away);
  }

  // The Items as the catalogue has them now, as a file that `geodes-lab download`, QGIS and pystac read.
  async save() {
    try {
      const [collections, ids] = [[...new Set(this.items.map((one) => one.collection))], this.items.map((one) => one.id)];
      const { features } = await post("stac/search", { collections, ids, limit: MOST });
      saved("basket.json", "application/geo+json", JSON.stringify({ type: "FeatureCollection", features }, null, 1));
      this.note.textContent = features.length < this.items.length ? say("fewer", { n: this.items.length - features.length }) : "";
    } catch (error) {
      this.note.textContent = error.message;
    }
  }
}

function saved(name, type, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

// What this browser kept, as far as it still is a basket.
function kept() {
  const isOne = (one) => [one.collection, one.id, one.date].every((text) => typeof text === "string" && text.length < 400) && one.id && one.collection;
  return recall(KEPT).filter(isOne).slice(0, MOST).map(({ collection, id, date, bytes }) => ({ collection, id, date, bytes: Number(bytes) || 0 }));
}
