// The catalogue's page: what is searched is what `gl.search` would be given, and "Open in a notebook" gives it that.
import { element, get, post } from "./asking.js";
import { drawBox, toBbox } from "./box.js";
import { drawLand, newMap } from "./land.js";
import { drawShape, fileOf } from "./shape.js";

const L = window.L;
const $ = (id) => document.getElementById(id);
const ASKABLE = new Set(["string", "integer", "number"]);
const KEPT = ["collection", "from", "to", "clouds", "property", "value"]; // of the form, while one logs in
const state = { bbox: null, file: null, shape: null, next: null, shown: [], queryables: {}, fields: null };

const map = newMap("map");
const footprints = L.featureGroup().addTo(map);
let drawn = null;

async function listCollections() {
  const { collections } = await get("stac/collections");
  for (const c of collections) $("collection").append(new Option(`${c.title} (${c.id})`, c.id));
  const asked = new URLSearchParams(location.search).get("collection");
  if (asked && collections.some((c) => c.id === asked)) $("collection").value = asked;
  await fillFields();
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

// As `gl.search` has it; null is left out.
function asked() {
  const found = { collections: $("collection").value };
  if (state.bbox) found.bbox = state.bbox;
  if (state.shape) found.shape = state.shape.id; // the notebook fetches it
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
  if (cloud_cover !== undefined) {
    conditions.push({ op: "<=", args: [{ property: "eo:cloud_cover" }, cloud_cover] });
  }
  if (property && $("value").value) conditions.push({ op: "=", args: [{ property }, value(property)] });
  if ("latest" in state.queryables) {
    // As `gl.search` does by itself: superseded versions are left out.
    const latest = { property: "latest" };
    conditions.push({ op: "or", args: [{ op: "isNull", args: [latest] }, { op: "=", args: [latest, true] }] });
  }
  const found = { collections: [collections], limit: 30, sortby: [{ field: "properties.datetime", direction: "desc" }] };
  if (bbox) found.bbox = bbox;
  if (state.shape) found.intersects = state.shape.geometry;
  if (from !== ".." || to !== "..") found.datetime = `${from}/${to}`;
  if (conditions.length) found.filter = { op: "and", args: conditions };
  return found;
}

async function search(event) {
  event?.preventDefault();
  footprints.clearLayers();
  state.shown = [];
  $("results").replaceChildren();
  $("said").textContent = "Searching …";
  return show(async () => {
    await Promise.all([state.fields, state.reading]);
    return post("stac/search", body());
  });
}

async function show(ask) {
  try {
    const page = await ask();
    state.next = page.links.find((link) => link.rel === "next") || null;
    for (const item of page.features) add(item);
    const all = page.numberMatched ?? `more than ${state.shown.length}`;
    $("said").textContent = state.shown.length
      ? `${state.shown.length} of ${all} products, the latest first.`
      : "Nothing found: use a larger box, a longer time, or allow more clouds.";
    if (footprints.getLayers().length) map.fitBounds(footprints.getBounds(), { maxZoom: 7, padding: [30, 30] });
  } catch (error) {
    state.next = null;
    // The search is kept while one logs in, and done when one comes back.
    $("said").replaceChildren(...(error.status === 401 ? [login(), " to search: then this search is done."] : [error.message]));
  }
  $("more").hidden = !state.next;
  $("notebook").hidden = !state.shown.length;
  $("notebook").href = `/hub/user-redirect/geodes/notebook?search=${encodeURIComponent(JSON.stringify(asked()))}`;
}

function add(item) {
  state.shown.push(item);
  const p = item.properties;
  const picture = element("img", {
    src: `quicklook/${encodeURIComponent(item.collection)}/${encodeURIComponent(item.id)}`, alt: "", loading: "lazy",
  });
  picture.addEventListener("error", () => picture.classList.add("none"));
  const facts = [p.platform, p["product:type"], p["grid:code"], p["sat:orbit_state"]].filter(Boolean).join(" · ");
  const clouds = p["eo:cloud_cover"] === undefined ? "" : ` · ${Math.round(p["eo:cloud_cover"])} % clouds`;
  const button = element(
    "button", { type: "button", class: "card" }, picture,
    element("span", {}, element("b", {}, (p.datetime || p.start_datetime).slice(0, 16).replace("T", " ")),
      element("span", { class: "facts" }, facts + clouds), element("span", { class: "name" }, item.id)),
  );
  $("results").append(element("li", {}, button));
  const layer = item.geometry ? L.geoJSON(item, { className: "footprint", weight: 1.5 }).addTo(footprints) : null;
  const mark = (on) => {
    button.classList.toggle("marked", on);
    layer?.setStyle({ weight: on ? 4 : 1.5, fillOpacity: on ? 0.35 : 0.12 });
  };
  button.addEventListener("mouseenter", () => mark(true));
  button.addEventListener("mouseleave", () => mark(false));
  button.addEventListener("focus", () => mark(true));
  button.addEventListener("blur", () => mark(false));
  button.addEventListener("click", () => layer && map.fitBounds(layer.getBounds(), { maxZoom: 10 }));
  layer?.on("mouseover", () => mark(true)).on("mouseout", () => mark(false));
  layer?.on("click", () => {
    button.scrollIntoView({ block: "nearest" });
    button.focus();
  });
  layer?.setStyle({ fillOpacity: 0.12 });
}

function setArea(bounds) {
  if (drawn) drawn.remove();
  state.file = state.shape = state.reading = null;
  drawn = bounds ? L.rectangle(bounds, { className: "area", fill: false, weight: 2, interactive: false }).addTo(map) : null;
  state.bbox = bounds ? toBbox(bounds) : null;
  $("area").textContent = state.bbox ? `Box: ${state.bbox.join(", ")}` : "Anywhere on Earth";
  $("draw").setAttribute("aria-pressed", "false");
}

// The shapes of a file; it is kept, since who has not logged in must do so first.
async function useFile(file) {
  setArea(null);
  state.file = file;
  $("area").textContent = `Reading ${file.name} …`;
  state.reading = post("shapes", file);
  try {
    const shape = await state.reading;
    if (state.file !== file) return; // another was chosen meanwhile
    state.shape = shape;
    drawn = drawShape(map, shape.geometry);
    $("area").textContent = `Shape: ${file.name}`;
  } catch (error) {
    if (state.file !== file) return;
    state.reading = null;
    if (error.status !== 401) state.file = null;
    $("area").replaceChildren(...(error.status === 401 ? [login(), ` to search by ${file.name}.`] : [error.message]));
  }
}

$("shape").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  $("file").value = "";
  try {
    if (file) await useFile(await fileOf(file));
  } catch (error) {
    $("area").textContent = error.message;
  }
});
$("search").addEventListener("submit", search);
$("collection").addEventListener("change", fillFields);
$("clouds").addEventListener("input", () => ($("clouds-said").textContent = $("clouds").value));
$("draw").addEventListener("click", () => {
  $("draw").setAttribute("aria-pressed", "true");
  drawBox(map, (bounds) => (bounds ? setArea(bounds) : $("draw").setAttribute("aria-pressed", "false")));
});
$("clear").addEventListener("click", () => setArea(null));
$("more").addEventListener("click", () => {
  const next = state.next;
  return show(() => (next.method === "POST" ? post("stac/search", next.body) : get(next.href)));
});

// A login leads away from the page and back to it: the search is as it was.
function keep() {
  const values = Object.fromEntries(KEPT.map((id) => [id, $(id).value]));
  sessionStorage.setItem("asked", JSON.stringify({ values, bbox: state.bbox, file: state.file }));
}

async function restore() {
  const kept = JSON.parse(sessionStorage.getItem("asked") ?? "null");
  sessionStorage.removeItem("asked");
  if (!kept) return;
  $("collection").value = kept.values.collection;
  await fillFields();
  for (const id of KEPT) $(id).value = kept.values[id];
  $("clouds-said").textContent = $("clouds").value;
  if (kept.bbox) {
    const [west, south, east, north] = kept.bbox;
    setArea(L.latLngBounds([south, west], [north, east < west ? east + 360 : east]));
  }
  if (kept.file) await useFile(kept.file);
  await search();
}

function login() {
  const link = element("a", { href: "login" }, "Log in");
  link.addEventListener("click", keep);
  return link;
}

get("me").then((me) => $("me").replaceChildren(me.name ? `${me.name}` : login()));
await Promise.all([drawLand(map), listCollections()]).catch((error) => ($("said").textContent = error.message));
await restore();
