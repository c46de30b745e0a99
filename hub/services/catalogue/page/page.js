// The catalogue's page: what is searched is what `gl.search` would be given, and "Open in a notebook" gives it that.
// The address has the whole search, so that it can be kept, sent, and come back to after a login.
import { element, get, post } from "./asking.js";
import { Details } from "./details.js";
import { Imagery } from "./imagery.js";
import { drawLand, newMap } from "./land.js";
import { Place } from "./place.js";
import { Results } from "./results.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const ASKABLE = new Set(["string", "integer", "number"]);
const FIELDS = ["collection", "from", "to", "clouds", "property", "value"];
const desk = document.querySelector(".desk");
const narrow = window.matchMedia("(max-width: 900px)");
const state = { next: null, queryables: {}, fields: null, product: "", searches: 0 };

const map = newMap("map");
const place = new Place(map, () => {}, { crosses: true });
const results = new Results(map, $("results"), open);
const details = new Details($("details"), {
  zoom: (item) => results.fit(item),
  notebook: (item) => notebook({ collections: item.collection, ids: [item.id] }),
  imagery: new Imagery(map, desk.dataset.tiles),
  closed: () => {
    state.product = "";
    keepAddress();
  },
});

function open(item, from) {
  state.product = item.id;
  keepAddress();
  details.open(item, from);
}

const notebook = (search) => `${desk.dataset.notebook}?search=${encodeURIComponent(JSON.stringify(search))}`;

async function listCollections() {
  const { collections } = await get("stac/collections");
  for (const c of collections) $("collection").append(new Option(`${c.title} (${c.id})`, c.id));
}

// The fields of the form that depend on the collection; a search waits for them.
function fillFields() {
  state.fields = askQueryables();
  state.fields.catch((error) => ($("said").textContent = error.message));
  return state.fields;
}

async function askQueryables() {
  const name = $("collection").value;
  if (!name) return;
  const schema = await get(`stac/collections/${encodeURIComponent(name)}/queryables`);
  if ($("collection").value !== name) return; // another was chosen meanwhile
  state.queryables = schema.properties;
  $("clouds-row").hidden = !("eo:cloud_cover" in schema.properties);
  const askable = Object.entries(schema.properties).filter(([, s]) => ASKABLE.has(s.type) && !s.format);
  const chosen = $("property").value; // maybe before the answer came
  $("property").replaceChildren(new Option("—", ""), ...askable.map(([key]) => new Option(key, key)));
  if (askable.some(([key]) => key === chosen)) $("property").value = chosen;
}

// The values that a hundred products have: suggestions, not all that there are.
async function suggest() {
  const [collection, property] = [$("collection").value, $("property").value];
  $("values").replaceChildren();
  if (!property) return;
  const field = property in { id: 1, collection: 1 } ? property : `properties.${property}`;
  const { features } = await post("stac/search", { collections: [collection], limit: 100, fields: { include: [field] } });
  const values = new Set(features.map((f) => f[property] ?? f.properties?.[property]).filter((v) => v !== undefined && v !== null));
  if ($("property").value === property) $("values").replaceChildren(...[...values].sort().slice(0, 50).map((v) => new Option(v, v)));
}

// As `gl.search` has it; null is left out.
function asked() {
  const found = { collections: $("collection").value };
  if (place.bbox) found.bbox = place.bbox;
  if (place.file) found.shape = place.file.id; // the notebook fetches it
  if ($("from").value || $("to").value) found.datetime = `${$("from").value || ".."}/${$("to").value || ".."}`;
  if (!$("clouds-row").hidden && Number($("clouds").value) < 100) found.cloud_cover = Number($("clouds").value);
  const property = $("property").value;
  if (property && $("value").value) found[property.replaceAll(/[:-]/g, "_")] = value(property);
  return found;
}

function value(property) {
  const number = state.queryables[property].type !== "string" && Number($("value").value);
  return number === false || Number.isNaN(number) ? $("value").value.trim() : number;
}

// The same in the words of the STAC API.
function body() {
  const { collections, bbox, cloud_cover } = asked();
  const property = $("property").value;
  const from = $("from").value ? `${$("from").value}T00:00:00Z` : "..";
  const to = $("to").value ? `${$("to").value}T23:59:59.999999Z` : "..";
  const conditions = [];
  if (cloud_cover !== undefined) conditions.push({ op: "<=", args: [{ property: "eo:cloud_cover" }, cloud_cover] });
  if (property && $("value").value) conditions.push({ op: "=", args: [{ property }, value(property)] });
  if ("latest" in state.queryables) {
    // As `gl.search` does by itself: superseded versions are left out.
    const latest = { property: "latest" };
    conditions.push({ op: "or", args: [{ op: "isNull", args: [latest] }, { op: "=", args: [latest, true] }] });
  }
  const found = { collections: [collections], limit: 30, sortby: [{ field: "properties.datetime", direction: "desc" }] };
  if (bbox) found.bbox = bbox;
  if (place.file) found.intersects = place.geometry;
  if (from !== ".." || to !== "..") found.datetime = `${from}/${to}`;
  if (conditions.length) found.filter = { op: "and", args: conditions };
  return found;
}

async function search(event) {
  event?.preventDefault();
  details.close();
  results.clear();
  state.searches += 1;
  $("notebook").hidden = $("more").hidden = true;
  if ($("from").value && $("to").value && $("to").value < $("from").value) {
    $("said").textContent = say("backwards");
    return;
  }
  keepAddress();
  $("said").textContent = say("searching");
  await show(async () => {
    await state.fields;
    return post("stac/search", body());
  });
  if (narrow.matches && results.shown.length) {
    $("criteria").open = false; // on a small screen the results would begin below it
    if (event) $("said").scrollIntoView({ block: "nearest" });
  }
}

async function show(ask) {
  const search = state.searches;
  try {
    const page = await ask();
    if (search !== state.searches) return; // another search began meanwhile
    state.next = page.links.find((link) => link.rel === "next") || null;
    for (const item of page.features) results.add(item);
    const shown = results.shown.length;
    const all = page.numberMatched ?? say("more_than", { shown });
    $("said").textContent = shown ? say("found", { shown, all }) : say("nothing");
    results.fit();
  } catch (error) {
    if (search !== state.searches) return;
    state.next = null;
    $("said").replaceChildren(...(error.status === 401 ? [login(), say("to_search")] : [error.message]));
  }
  $("more").hidden = !state.next;
  $("notebook").hidden = !results.shown.length;
  $("notebook").href = notebook(asked());
}

function login() {
  return element("a", { href: `${desk.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}` }, say("login"));
}

// What differs from the form as it is at first.
function keepAddress() {
  const kept = new URLSearchParams();
  for (const id of FIELDS) if ($(id).value && !(id === "clouds" && $(id).value === "100")) kept.set(id, $(id).value);
  if (place.bbox) kept.set("bbox", place.bbox.join(","));
  if (place.file) kept.set("shape", `${place.file.id} ${place.file.name}`);
  if (state.product) kept.set("product", state.product);
  history.replaceState(null, "", `?${kept}`);
}

async function restore() {
  const kept = new URLSearchParams(location.search);
  const collection = kept.get("collection");
  if ([...$("collection").options].some((option) => option.value === collection)) $("collection").value = collection;
  await fillFields();
  for (const id of FIELDS.slice(1)) if (kept.has(id)) $(id).value = kept.get(id);
  $("clouds-said").textContent = $("clouds").value;
  suggest().catch(() => {});
  const bbox = kept.get("bbox")?.split(",").map(Number);
  if (bbox?.length === 4) place.useBox(bbox);
  if (kept.has("shape")) await restoreShape(kept.get("shape"));
  if (!collection) return;
  const product = kept.get("product");
  await search();
  if (product) await reopen(collection, product);
}

async function restoreShape(text) {
  const [id] = text.split(" ", 1);
  try {
    const { geometry } = await get(`shapes/${encodeURIComponent(id)}`);
    place.useShape({ id, name: text.slice(id.length + 1) }, geometry);
  } catch (error) {
    $("area").textContent = error.message;
  }
}

async function reopen(collection, id) {
  const there = results.shown.find((item) => item.id === id);
  const item = there ?? (await post("stac/search", { collections: [collection], ids: [id], limit: 1 })).features[0];
  if (!item) $("said").append(` ${say("lost")}`);
  else open(item, null);
}

$("search").addEventListener("submit", search);
$("collection").addEventListener("change", () => fillFields().then(suggest));
$("property").addEventListener("change", () => suggest().catch(() => {}));
$("clouds").addEventListener("input", () => ($("clouds-said").textContent = $("clouds").value));
$("more").addEventListener("click", () => {
  const next = state.next;
  return show(() => (next.method === "POST" ? post("stac/search", next.body) : get(next.href)));
});

try {
  await Promise.all([drawLand(map), listCollections()]);
  await restore();
} catch (error) {
  $("said").textContent = error.message;
}
