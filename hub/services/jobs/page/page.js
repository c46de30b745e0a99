// The page of processing: what is asked here is what any client of OGC API – Processes would ask.
import { element, get, post } from "./asking.js";
import { formOf } from "./form.js";
import { Jobs } from "./jobs.js";
import { drawLand, newMap } from "./land.js";
import { Place } from "./place.js";
import { forget, planned } from "./plan.js";
import { Schedules } from "./schedules.js";
import { LANGUAGE, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const OF_JOBS = new Set(["items", "search", "region", "period", "every", "tile", "crs", "resolution", "clip", "output", "collection", "readers", "title"]);
const PARTS = ["1MS", "10D", "W", "QS", "YS"];
const desk = document.querySelector(".desk");
const state = { processes: [], process: null, form: null, criteria: {}, kept: null, rest: {} };

const map = newMap("map");
let place = null; // while it is made, something changes already
place = new Place(map, changed, { wantsZones: () => Boolean(state.form?.zones) });
const jobs = new Jobs(map, again, desk.dataset);
const schedules = new Schedules((text) => said(text));

function said(text, good = false) {
  $("said").classList.toggle("good", good);
  $("said").replaceChildren(text);
  if (text) $("said").scrollIntoView({ block: "nearest" });
}

// What was planned is another job's.
function changed() {
  forget();
  $("planned")?.replaceChildren();
  const epsg = place?.utm?.();
  $("crs").placeholder = epsg ? say("auto", { epsg }) : "";
  const each = !place?.drawn && state.process?.keywords?.includes("each");
  if ($("every").options.length) $("every").options[0].textContent = say(each ? "product" : "together");
}

async function listProcesses() {
  const { processes } = await get(`ogc/processes?lang=${LANGUAGE}&limit=1000`);
  state.processes = processes;
  $("process").replaceChildren(...processes.map((p) => new Option(`${p.id}: ${p.title}`, p.id)));
  if (processes.some((p) => p.id === "ndvi")) $("process").value = "ndvi";
  await useProcess();
}

const isNotebook = () => Boolean(state.process?.keywords.includes("notebook"));

async function useProcess() {
  const id = $("process").value;
  const process = await get(`ogc/processes/${encodeURIComponent(id)}?lang=${LANGUAGE}`);
  if ($("process").value !== id) return; // another was chosen meanwhile
  state.process = process;
  $("about").textContent = [...new Set([process.title, process.description])].map((text) => text.replace(/\.?$/, ".")).join(" ");
  state.form = formOf(process, OF_JOBS, $("inputs"), $("opening"));
  $("output-row").hidden = !process.keywords.includes("raster");
  // A notebook has no products and no region of its own, and nobody knows before what it reads.
  for (const id of ["products", "where", "pixels", "plan", "when"]) $(id).hidden = isNotebook();
  schedules.chosen();
  $("into").placeholder = say("default_into", { id });
  if (place.zones && !state.form.zones) place.clear();
  changed();
}

async function listCollections() {
  const found = await get("collections");
  $("collection").replaceChildren(...found.map((c) => new Option(`${c.title} (${c.id})`, c.id)));
  if (!found.length) $("collection").append(new Option(say("none_of"), ""));
  await useCollection();
}

async function useCollection() {
  const id = $("collection").value;
  const criteria = id ? await get(`collections/${encodeURIComponent(id)}/criteria`) : {};
  if ($("collection").value !== id) return;
  state.criteria = criteria;
  $("clouds-row").hidden = !criteria.clouds;
}

// The products, as a search of STAC.
function search() {
  const [from, to, clouds] = [$("from").value, $("to").value, Number($("clouds").value)];
  const found = { collections: [$("collection").value] };
  if (from || to) found.datetime = `${from ? `${from}T00:00:00Z` : ".."}/${to ? `${to}T23:59:59.999999Z` : ".."}`;
  const conditions = [];
  if (state.criteria.clouds && clouds < 100) conditions.push({ op: "<=", args: [{ property: "eo:cloud_cover" }, clouds] });
  if (state.criteria.latest) {
    // As `gl.search` does by itself: superseded versions are left out.
    const latest = { property: "latest" };
    conditions.push({ op: "or", args: [{ op: "isNull", args: [latest] }, { op: "=", args: [latest, true] }] });
  }
  if (conditions.length) Object.assign(found, { filter: { op: "and", args: conditions }, "filter-lang": "cql2-json" });
  return found;
}

// The request for the execution of the process; throws a sentence.
function request() {
  const named = {};
  if ($("title").value.trim()) named.title = $("title").value.trim();
  if ($("into").value.trim()) named.collection = $("into").value.trim();
  if (isNotebook()) return { inputs: { ...state.rest, ...state.form.read(), ...named }, response: "document" };
  const inputs = { ...state.rest, ...state.form.read(), ...(state.kept ?? { search: search() }), ...named };
  const { zones } = state.form;
  if (zones) {
    if (!place.asZones()) throw new Error(say("needzones"));
    inputs[zones] = place.asZones();
  } else if (place.geometry) {
    inputs.region = place.geometry;
  }
  if ($("every").value && !schedules.each) {
    if (!$("from").value || !$("to").value) throw new Error(say("needdates"));
    Object.assign(inputs, { period: `${$("from").value}/${$("to").value}`, every: $("every").value });
  }
  if (place.drawn) {
    inputs.crs = Number($("crs").value) || place.utm();
    inputs.resolution = Number($("resolution").value) || 10;
  } else if ($("crs").value) {
    inputs.crs = Number($("crs").value);
  }
  if (!$("output-row").hidden && $("output").value) inputs.output = $("output").value;
  return { inputs, response: "document" };
}

async function asked(act, words) {
  if (!$("form").reportValidity()) return;
  for (const id of ["plan", "start"]) $(id).disabled = true;
  said(words);
  try {
    await act(request());
  } catch (error) {
    $("planned").replaceChildren();
    said(error.status === 401 ? element("a", { href: "login" }, say("login")) : error.message);
  }
  for (const id of ["plan", "start"]) $(id).disabled = false;
}

function plan() {
  return asked(async (body) => {
    await planned($("process").value, body, $("planned"));
    said("");
    $("planned").scrollIntoView({ block: "nearest" });
  }, say("checking"));
}

function start(event) {
  event.preventDefault();
  if (schedules.each) return schedule();
  return asked(async (body) => {
    const job = await post(`ogc/processes/${encodeURIComponent($("process").value)}/execution`, body);
    $("planned").replaceChildren();
    said(say("began", { units: job.units.total }), true);
    await jobs.look();
  }, say("starting"));
}

function schedule() {
  return asked(async (body) => {
    if (schedules.each !== "product" && !place.drawn && !state.form.zones) throw new Error(say("needregion"));
    await post(`ogc/processes/${encodeURIComponent($("process").value)}/schedules`, schedules.of(body, $("from").value));
    $("planned").replaceChildren();
    said(say("scheduled"), true);
    await schedules.look();
  }, say("checking"));
}

function keep(kept, words) {
  state.kept = kept;
  $("searched").hidden = Boolean(kept);
  $("kept").hidden = !kept;
  if (!kept) return;
  const other = element("button", { type: "button", class: "button plain small" }, say("choose"));
  other.addEventListener("click", () => {
    keep(null);
    $("collection").focus();
  });
  $("kept").replaceChildren(element("span", {}, words, " "), other);
}

// The form as it was for a job: changed or not, it can be started again.
async function again(job) {
  const name = job.title || job.processID;
  const { process, inputs } = await get(`ogc/jobs/${job.jobID}/request`);
  if (!state.processes.some((p) => p.id === process)) throw new Error(job.processID);
  $("process").value = process;
  await useProcess();
  state.form.write(inputs);
  const [begin = "", end = ""] = (inputs.period ?? inputs.search?.datetime ?? "").split("/");
  [$("from").value, $("to").value] = [begin.slice(0, 10), end.slice(0, 10)];
  $("every").value = PARTS.includes(inputs.every) ? inputs.every : "";
  $("output").value = inputs.output ?? "";
  $("title").value = inputs.title === state.process.title ? "" : (inputs.title ?? "");
  $("into").value = inputs.collection === process ? "" : (inputs.collection ?? "");
  $("crs").value = inputs.crs ?? "";
  if (inputs.resolution) $("resolution").value = inputs.resolution;
  const zones = state.form.zones && inputs[state.form.zones];
  if (zones) place.set(null, say("zones", { count: zones.features.length, name }), zones);
  else if (inputs.region) place.set(inputs.region, say("shape", { name }));
  else place.clear();
  // What the form has no field for is kept as it was.
  state.rest = Object.fromEntries(["tile", "clip", "readers"].filter((n) => n in inputs).map((n) => [n, inputs[n]]));
  if (inputs.collection === "") state.rest.collection = "";
  if (inputs.every && !PARTS.includes(inputs.every)) Object.assign(state.rest, { period: inputs.period, every: inputs.every });
  await useSearch(inputs, name);
  said(say("filled", { job: name }), true);
  $("process").focus();
  $("new").scrollIntoView({ block: "start" });
}

async function useSearch(inputs, name) {
  if (isNotebook()) return keep(null);
  if (!inputs.search) return keep({ items: inputs.items }, say("kept", { count: inputs.items.length, job: name }));
  const [collection] = inputs.search.collections ?? [];
  $("collection").value = collection ?? "";
  const most = JSON.stringify(inputs.search.filter ?? {}).match(/"eo:cloud_cover"},(\d+)]/)?.[1];
  $("clouds").value = $("clouds-said").textContent = most ?? 100;
  if (collection) await useCollection();
  const same = JSON.stringify(search()) === JSON.stringify(inputs.search);
  return keep(same ? null : { search: inputs.search }, say("keptsearch", { job: name }));
}

// Products that the catalogue's page sends here: the address only names them, and the service looks them up.
function useAddress() {
  try {
    const { collections, ids } = JSON.parse(new URLSearchParams(location.search).get("search") ?? "{}");
    const isNames = (some) => Array.isArray(some) && some.length && some.every((one) => typeof one === "string");
    if (isNames(collections) && isNames(ids)) keep({ search: { collections, ids } }, say("basket", { count: ids.length }));
  } catch {
    said(say("noaddress"));
  }
}

$("every").replaceChildren(new Option(say("together"), ""), ...PARTS.map((part) => new Option(say(part), part)));
$("output").replaceChildren(new Option(say("byprocess"), ""), new Option(say("zarr"), "zarr"), new Option(say("cog"), "cog"));
const telling = (act) => () => act().catch((error) => said(error.message));
$("process").addEventListener("change", telling(useProcess));
$("collection").addEventListener("change", telling(useCollection));
$("clouds").addEventListener("input", () => ($("clouds-said").textContent = $("clouds").value));
$("form").addEventListener("input", changed);
$("form").addEventListener("submit", start);
$("plan").addEventListener("click", plan);

useAddress();
jobs.look();
schedules.look();
await Promise.all([drawLand(map), listProcesses(), listCollections()]).catch((error) => said(error.message));
