// Where: a box that is drawn or written, or the shapes of a file that is chosen or dropped on the map.
// The page has the elements draw, clear, use, shape, file, area and the corners, and its words.js the sentences.
import { post } from "./asking.js";
import { drawBox, toBbox } from "./box.js";
import { drawShape, fileOf, MOST } from "./shape.js";
import { say } from "./words.js";

const L = window.L;
const $ = (id) => document.getElementById(id);
const CORNERS = ["west", "south", "east", "north"];

// A box whose west is larger than its east goes on beyond 180 degrees.
export function ofBox([west, south, right, north]) {
  const east = right < west ? right + 360 : right;
  return { type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] };
}

export class Place {
  // `changed` is called after each change; `wantsZones` says whether shapes must be kept apart; `crosses` whether a box may
  // lie on both sides of 180 degrees.
  constructor(map, changed, { wantsZones = () => false, crosses = false } = {}) {
    [this.map, this.changed, this.wantsZones, this.crosses] = [map, changed, wantsZones, crosses];
    this.clear();
    $("draw").addEventListener("click", () => this.draw());
    $("clear").addEventListener("click", () => this.clear());
    $("use").addEventListener("click", () => this.useNumbers());
    $("shape").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", () => {
      const [file] = $("file").files;
      if (file) this.useFile(file).then(() => ($("file").value = ""));
    });
    const target = map.getContainer();
    for (const name of ["dragenter", "dragover"]) target.addEventListener(name, (event) => this.over(event, true));
    target.addEventListener("dragleave", (event) => this.over(event, false));
    target.addEventListener("drop", (event) => {
      this.over(event, false);
      const [file] = event.dataTransfer.files;
      if (file) this.useFile(file);
    });
  }

  over(event, on) {
    event.preventDefault();
    this.map.getContainer().classList.toggle("over", on);
  }

  // A geometry, or, for zones, features that stay apart.
  set(geometry, words, zones = null) {
    this.drawn?.remove();
    [this.geometry, this.zones, this.drawn] = [geometry, zones, null];
    const shown = zones ?? geometry;
    if (shown) this.drawn = drawShape(this.map, shown);
    $("area").textContent = words;
    this.changed();
  }

  clear() {
    this.reading = this.bbox = this.file = null;
    for (const name of CORNERS) $(name).value = "";
    this.set(null, say("nowhere"));
  }

  setBox(bbox) {
    [this.bbox, this.file] = [bbox, null];
    CORNERS.forEach((name, n) => ($(name).value = bbox[n]));
    this.set(ofBox(bbox), say("box", { box: bbox.join(", ") }));
  }

  draw() {
    $("draw").setAttribute("aria-pressed", "true");
    this.map.getContainer().scrollIntoView({ block: "nearest" });
    drawBox(this.map, (bounds) => {
      $("draw").setAttribute("aria-pressed", "false");
      if (!bounds) return;
      this.useBox(toBbox(bounds));
    });
  }

  useBox(bbox) {
    const [west, south, east, north] = bbox;
    const within = [west, east].every((n) => Math.abs(n) <= 180) && [south, north].every((n) => Math.abs(n) <= 90);
    if (within && south < north && (west < east || (this.crosses && west > east))) this.setBox(bbox);
    else $("area").textContent = say("needbox");
  }

  useNumbers() {
    this.useBox(CORNERS.map((name) => ($(name).value === "" ? NaN : Number($(name).value))));
  }

  async useFile(file) {
    this.clear();
    this.reading = file;
    $("area").textContent = say("reading", { name: file.name });
    try {
      if (file.size > MOST) throw new Error(say("large", { name: file.name }));
      if (this.wantsZones()) return this.useZones(file, await file.text());
      const { id, geometry } = await post("shapes", await fileOf(file));
      if (this.reading === file) this.useShape({ id, name: file.name }, geometry);
    } catch (error) {
      if (this.reading === file) $("area").textContent = error.message;
    }
  }

  // The shapes of a file, which the service keeps by its id.
  useShape(file, geometry) {
    this.file = file;
    this.set(geometry, say("shape", file));
  }

  useZones(file, text) {
    if (!/\.(geo)?json$/i.test(file.name)) throw new Error(say("zonesfile", { name: file.name }));
    let features;
    try {
      const document = JSON.parse(text);
      features = document.type === "FeatureCollection" ? document.features
        : [document.type === "Feature" ? document : { type: "Feature", properties: {}, geometry: document }];
      if (!features.length || !features.every((f) => /^(Multi)?Polygon$/.test(f.geometry?.type))) throw new Error();
      L.geoJSON(features); // refuses coordinates that are none
    } catch {
      throw new Error(say("notgeojson", { name: file.name }));
    }
    this.set(null, say("zones", { count: features.length, name: file.name }), { type: "FeatureCollection", features });
  }

  // As GeoJSON for an input of zones.
  asZones() {
    if (this.zones) return this.zones;
    return this.geometry && { type: "FeatureCollection", features: [{ type: "Feature", properties: {}, geometry: this.geometry }] };
  }

  // The EPSG code of the UTM zone in whose middle the region lies; null: there is no region.
  utm() {
    if (!this.drawn) return null;
    const middle = this.drawn.getBounds().getCenter();
    const zone = Math.min(Math.max(Math.floor((middle.lng + 180) / 6) + 1, 1), 60);
    return (middle.lat < 0 ? 32700 : 32600) + zone;
  }
}
