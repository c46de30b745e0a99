// Where: a box or a polygon that is drawn or written, a place or a tile by its name, or the shapes of a file that is chosen
// or dropped on the map.
// The page has the elements draw, clear, use, shape, file, area and the fields of the box, and its words.js the sentences;
// polygon, corners and use-polygon where polygons can be drawn.
import { post } from "./asking.js";
import { drawBox, toBbox } from "./box.js";
import { asWritten, setCorners, written } from "./corners.js";
import { drawShape, fileOf, MOST } from "./shape.js";
import { say } from "./words.js";

const L = window.L;
const $ = (id) => document.getElementById(id);
const CORNERS = ["west", "south", "east", "north"];
export const MOST_CORNERS = 100; // of a polygon that is drawn: an address has all of them

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
    $("polygon")?.addEventListener("click", () => this.drawPolygon());
    $("use-polygon")?.addEventListener("click", () => this.usePolygon(written($("corners").value)));
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

  // Nothing of what was chosen before.
  forget() {
    this.reading = this.bbox = this.file = this.polygon = this.named = this.tile = null;
    for (const name of CORNERS) $(name).value = "";
    if ($("corners")) $("corners").value = "";
  }

  clear() {
    this.forget();
    this.set(null, say("nowhere"));
  }

  setBox(bbox, words = say("box", { box: bbox.join(", ") })) {
    this.forget();
    this.bbox = bbox;
    CORNERS.forEach((name, n) => ($(name).value = bbox[n]));
    this.set(ofBox(bbox), words);
  }

  // A place that was chosen by its name: its box, or a tile, which has an outline of its own.
  setNamed(place) {
    const country = place.country ? `, ${place.country}` : "";
    this.setBox(place.bbox, place.tile ? say("tile", { tile: place.tile }) : say("around", { name: `${place.name}${country}` }));
    [this.named, this.tile] = [place.tile ? null : place.name, place.tile ?? null];
    if (!place.geometry) return;
    this.drawn.remove();
    this.drawn = drawShape(this.map, place.geometry);
  }

  // The button begins, and gives up what it has begun.
  draw() {
    if (this.giveUp) return this.giveUp();
    this.map.getContainer().scrollIntoView({ block: "nearest" });
    this.giveUp = drawBox(this.map, (bounds) => {
      this.giveUp = null;
      $("draw").setAttribute("aria-pressed", "false");
      if (bounds) this.useBox(toBbox(bounds));
    });
    $("draw").setAttribute("aria-pressed", "true");
  }

  // Corner by corner; the button ends it.
  drawPolygon() {
    if (this.finish) return this.finish();
    const button = $("polygon");
    const words = button.textContent;
    button.setAttribute("aria-pressed", "true");
    this.map.getContainer().scrollIntoView({ block: "nearest" });
    $("area").textContent = say("corner_by_corner");
    this.finish = setCorners(this.map, {
      closed: true,
      changed: (corners) => (button.textContent = say("finish", { n: corners.length })),
      done: (corners) => {
        this.finish = null;
        button.setAttribute("aria-pressed", "false");
        button.textContent = words;
        if (corners) this.usePolygon(corners);
        else $("area").textContent = say("no_polygon");
      },
    });
  }

  usePolygon(corners) {
    if (!corners || corners.length < 3 || corners.length > MOST_CORNERS) return void ($("area").textContent = say("needcorners", { n: MOST_CORNERS }));
    // Turned around the world as its first corner: one that goes on beyond 180 degrees would be another on the other side.
    const turn = 360 * Math.floor((corners[0][0] + 180) / 360);
    const polygon = corners.map(([x, y]) => [Math.round((x - turn) * 1e5) / 1e5, y]);
    if (polygon.some(([x, y]) => Math.abs(x) > 180 || Math.abs(y) > 90)) return void ($("area").textContent = say("beyond"));
    this.forget();
    this.polygon = polygon;
    $("corners").value = asWritten(polygon);
    this.set({ type: "Polygon", coordinates: [[...polygon, polygon[0]]] }, say("polygon_of", { n: polygon.length }));
    this.keepPolygon(polygon, this.geometry);
  }

  // The notebook of a search fetches it from the service, like the shape of a file; without a login there is no notebook.
  keepPolygon(polygon, geometry) {
    const data = btoa(JSON.stringify(geometry));
    this.kept = post("shapes", { name: "polygon.geojson", data }).then(
      ({ id }) => this.polygon === polygon && (this.file = { id, name: "" }),
      (error) => this.polygon === polygon && error.status === 400 && ($("area").textContent = error.message),
    );
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
    this.forget();
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
