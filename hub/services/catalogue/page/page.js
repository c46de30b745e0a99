// The catalogue's page: what is searched is what `gl.search` would be given, and "Open in a notebook" gives it that.
// The address has the whole state, so that it can be kept, sent, and come back to after a login.
import { element, get, post } from "./asking.js";
import { Basket } from "./basket.js";
import { Criteria } from "./criteria.js";
import { Details } from "./details.js";
import { Imagery } from "./imagery.js";
import { drawLand, newMap } from "./land.js";
import { Measure } from "./measure.js";
import { Named } from "./named.js";
import { Place } from "./place.js";
import { Results } from "./results.js";
import { Saved } from "./saved.js";
import { Timeline } from "./timeline.js";
import { addWhere } from "./where.js";
import { say } from "./words.js";
const $ = (id) => document.getElementById(id);
const desk = document.querySelector(".desk");
const narrow = window.matchMedia("(max-width: 900px)");
// `at` is where an address says that the map is, until somebody moves it; `searched` are the words of the search that is shown,
// whatever the form says now; `kept` is the address that this page has written.
const state = { next: null, searches: 0, ready: false, at: null, searched: "", kept: location.search };
const said = (text) => ($("said").textContent = text);

const map = newMap("map");
addWhere(map);
const place = new Place(map, () => {}, { crosses: true });
new Named((chosen) => place.setNamed(chosen));
const measure = new Measure(map, $("measure"), keepAddress);
const criteria = new Criteria(place, said);
const timeline = new Timeline($("time"), (item) => reopen(item.collection, item.id, true).catch((error) => said(error.message)));
const imagery = new Imagery(map, desk.dataset.tiles, {
  others: (item) => timeline.others(item),
  changed: keepAddress,
  show: (item) => results.show(item),
  login,
});
const basket = new Basket($("basket"), {
  links: {
    notebook: notebookOf,
    job: (search) => `${desk.dataset.jobs}?search=${encodeURIComponent(JSON.stringify(search))}`,
    share: (names) => `${location.origin}${location.pathname}?${new URLSearchParams(names.map((name) => ["keep", name]))}`,
  },
  area: () => place.bbox,
  changed: mark,
});
const results = new Results(map, $("results"), { opened: open, kept: (item) => basket.toggle(item) });
const details = new Details($("details"), {
  zoom: (item) => results.fit(item),
  notebook: (item, more = {}) => notebookOf({ collections: item.collection, ids: [item.id], ...more }),
  imagery,
  basket,
  closed: keepAddress,
});

function mark() {
  if (!state.ready) return;
  results.mark(basket);
  details.mark();
}

function open(item, from, quietly = false) {
  if (from) state.at = null; // chosen by hand
  timeline.follow(item);
  details.open(item, from, quietly);
  keepAddress(!quietly); // before the map moves, which keeps it too
  if (!state.at) results.show(item);
}

function notebookOf(search) {
  return `${desk.dataset.notebook}?search=${encodeURIComponent(JSON.stringify(search))}`;
}

async function search(event) {
  event?.preventDefault();
  if (event) state.at = null;
  if (!criteria.refusal) {
    state.searched = criteria.kept();
    keepAddress(Boolean(event)); // before the product is closed: the address before this one stays as it was
  }
  details.close();
  results.clear();
  timeline.clear();
  state.searches += 1;
  $("notebook").hidden = $("more").hidden = true;
  if (criteria.refusal) {
    said(criteria.refusal);
    return;
  }
  basket.tell(); // the box may be another one
  said(say("searching"));
  await show(async () => {
    await criteria.fields;
    return post("stac/search", criteria.body());
  });
  if (results.shown.length > 1) {
    const { searches } = state;
    timeline.ask(criteria.body()).then(
      () => imagery.again(),
      (error) => searches === state.searches && $("said").append(" ", say("no_dates"), " ", error.message), // the list is there without them
    );
  }
  if (narrow.matches && results.shown.length) {
    $("criteria").open = false; // on a small screen the results would begin below it
    if (event) $("said").scrollIntoView({ block: "nearest" });
  } else if (results.shown.length) {
    // The list scrolls beside the map: it begins with the button, so that results are seen.
    const side = document.querySelector(".side");
    side.scrollTop += document.querySelector("#search .main").getBoundingClientRect().top - side.getBoundingClientRect().top - 8;
  }
}

async function show(ask) {
  const search = state.searches;
  try {
    const page = await ask();
    if (search !== state.searches) return; // another search began meanwhile
    state.next = page.links.find((link) => link.rel === "next") || null;
    for (const item of page.features) results.add(item);
    mark();
    const shown = results.shown.length;
    const all = page.numberMatched ?? say("more_than", { shown });
    said(shown ? say("found", { shown, all }) : say("nothing"));
    if (state.at) toPlace();
    else if (shown === page.features.length) results.fit(); // further ones leave the map where it is
  } catch (error) {
    if (search !== state.searches) return;
    if (!results.shown.length) state.next = null; // else the same button tries again
    $("said").replaceChildren(...(error.status === 401 ? [login(), say("to_search")] : [error.message]));
  }
  $("more").hidden = !state.next;
  Promise.resolve(place.kept).then(() => { // the shape that the notebook fetches
    if (search !== state.searches) return;
    $("notebook").hidden = !results.shown.length;
    $("notebook").href = notebookOf(criteria.asked());
  });
}

// Where the address says; again after what comes beside the map.
function toPlace() {
  if (state.at && results.shown.length) map.setView(state.at.slice(1), state.at[0], { animate: false });
}

function login() {
  return element("a", { href: `${desk.dataset.login}?next=${encodeURIComponent(location.pathname + location.search)}` }, say("login"));
}

// `further` makes it one that the browser's button leads back from.
function keepAddress(further = false) {
  if (!state.ready) return;
  const kept = new URLSearchParams(state.searched);
  if (details.item) kept.set("product", details.item.id);
  imagery.keep(kept);
  measure.keep(kept);
  if (results.shown.length) {
    const { lat, lng } = map.getCenter();
    const [zoom, y, x] = state.at ?? [map.getZoom(), lat, lng];
    kept.set("at", [zoom, y.toFixed(4), x.toFixed(4)].join(","));
  }
  const address = `?${kept}`;
  const isOther = further === true && withoutPlace(address) !== withoutPlace(state.kept);
  state.kept = address;
  history[isOther ? "pushState" : "replaceState"](null, "", address);
  const other = document.querySelector("header a[hreflang]"); // the same in the other language
  kept.set("lang", other.lang);
  other.href = `?${kept}`;
}

function withoutPlace(address) {
  const kept = new URLSearchParams(address);
  kept.delete("at");
  return kept.toString();
}

// Zoom, latitude and longitude of an address; null: it has none that a map can show.
function placeOf(text) {
  const at = text?.split(",").map(Number) ?? [];
  const [zoom, lat, lon] = at.length === 3 && at.every(Number.isFinite) ? at : [];
  return zoom >= 1 && zoom <= 18 && Math.abs(lat) <= 85 && Math.abs(lon) <= 540 ? [zoom, lat, lon] : null;
}

async function restore() {
  const kept = new URLSearchParams(location.search);
  if (kept.has("confirm")) saved.confirm(kept.get("confirm"));
  basket.add(kept.getAll("keep").slice(0, 100).map((name) => {
    const [collection, ...id] = name.split("/");
    return { collection, id: id.join("/"), date: "", bytes: 0 };
  }).filter(({ collection, id }) => collection && id && id.length < 400 && collection.length < 400));
  if (kept.has("keep")) $("basket").open = true;
  imagery.restore(kept);
  state.at = placeOf(kept.get("at"));
  const { asked, wrong } = await criteria.restore(kept);
  if (kept.has("measure")) $("measure").open = true;
  measure.restore(kept);
  const product = kept.get("product");
  const collection = $("collection").value;
  state.ready = true;
  if (kept.has("confirm")) keepAddress(); // without the code
  if (wrong.length) { // the search of the address without that would be another one
    said(say("not_known", { what: wrong.join(", ") }));
    if (!document.querySelector("header .person").textContent) $("said").append(" ", login());
  } else if (asked) {
    await search();
    if (product) await reopen(collection, product);
  }
}

async function reopen(collection, id, quietly = false) {
  const there = results.shown.find((item) => item.id === id);
  const item = there ?? (await post("stac/search", { collections: [collection], ids: [id], limit: 1 })).features[0];
  if (!item) $("said").append(` ${say("lost")}`);
  else open(item, null, quietly);
}

const saved = new Saved($("saved"));
$("search").addEventListener("submit", search);
map.on("moveend", () => state.searches && keepAddress()).on("resize", toPlace);
for (const name of ["pointerdown", "wheel", "keydown"]) map.getContainer().addEventListener(name, () => (state.at = null), true);
// Back and forth between searches and products: the address has all of it. A link inside of the page changes no search.
window.addEventListener("popstate", () => location.search !== state.kept && location.reload());
$("more").addEventListener("click", () => {
  const next = state.next;
  return show(() => (next.method === "POST" ? post("stac/search", next.body) : get(next.href)));
});

try {
  await Promise.all([drawLand(map), criteria.list()]);
  await restore();
} catch (error) {
  said(error.message);
}
state.ready = true;
