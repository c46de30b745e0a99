// A distance on the Earth: along the geodesic of WGS 84 between places that are clicked on the map, or written.
import { element } from "./asking.js";
import { asWritten, ofText, setCorners, toText, written } from "./corners.js";
import { number, say } from "./words.js";

const L = window.L;
const MOST = 50; // places
const STEP = 100_000; // metres between the points of a line that is shown

// Karney's own library, which few visits need.
let coming = null;
function geodesic() {
  coming ??= new Promise((there, failed) => {
    const script = element("script", { src: "assets/geodesic.js" });
    script.addEventListener("load", () => there(window.geodesic.Geodesic.WGS84));
    script.addEventListener("error", () => failed(new Error("assets/geodesic.js")));
    document.head.append(script);
  });
  return coming;
}

export class Measure {
  // `changed` is called when the address is another one.
  constructor(map, panel, changed) {
    Object.assign(this, { map, changed, places: [], finish: null, asked: 0 });
    this.shown = L.layerGroup().addTo(map);
    this.draw = this.button("measure_map", () => this.onMap());
    this.text = element("textarea", { id: "places", rows: "3", spellcheck: "false", placeholder: "1.44 43.60\n2.35 48.86" });
    this.told = element("p", { id: "distance", role: "status", "aria-live": "polite" });
    panel.append(element("p", { class: "acts" }, this.draw, this.button("measure_clear", () => this.use([]))),
      element("label", { for: "places" }, say("measure_places")), this.text,
      element("p", { class: "acts" }, this.button("measure_use", () => this.use(written(this.text.value)))), this.told);
  }

  button(word, act) {
    const made = element("button", { type: "button", class: "button plain small" }, say(word));
    made.addEventListener("click", act);
    return made;
  }

  onMap() {
    if (this.finish) return this.finish();
    this.use([]);
    this.map.getContainer().scrollIntoView({ block: "nearest" });
    this.draw.setAttribute("aria-pressed", "true");
    this.draw.textContent = say("finish", { n: 0 });
    this.finish = setCorners(this.map, {
      closed: false,
      changed: (corners) => {
        this.draw.textContent = say("finish", { n: corners.length });
        this.tell(corners);
      },
      done: (corners) => {
        this.finish = null;
        this.draw.setAttribute("aria-pressed", "false");
        this.draw.textContent = say("measure_map");
        this.use(corners ?? []);
      },
    });
  }

  use(places) {
    if (!places || places.length === 1 || places.length > MOST) return void (this.told.textContent = say("measure_wrong", { n: MOST }));
    this.places = places;
    this.text.value = asWritten(places);
    this.changed();
    return this.tell(places, true);
  }

  // The length of the line, and the line itself: on this map the shortest way is a curve.
  async tell(places, isWhole = false) {
    const asked = ++this.asked;
    this.shown.clearLayers();
    this.told.textContent = "";
    if (places.length < 2) return;
    const earth = await geodesic().catch((error) => void (this.told.textContent = error.message));
    if (!earth || asked !== this.asked) return;
    const parts = places.slice(1).map(([x, y], n) => earth.InverseLine(places[n][1], places[n][0], y, x));
    const length = parts.reduce((sum, part) => sum + part.s13, 0);
    this.told.textContent = say("distance", { km: number(length / 1000) });
    if (!isWhole) return;
    let last = places[0][0];
    const line = parts.flatMap((part) => {
      const steps = Math.min(200, Math.max(1, Math.ceil(part.s13 / STEP)));
      return Array.from({ length: steps + 1 }, (_, n) => {
        const { lat2, lon2 } = part.Position((part.s13 * n) / steps);
        return [lat2, (last = lon2 + 360 * Math.round((last - lon2) / 360))];
      });
    });
    L.polyline(line, { className: "measured", weight: 3, interactive: false }).addTo(this.shown)
      .bindTooltip(`${number(length / 1000)} km`, { permanent: true, className: "length" }).openTooltip(line.at(-1));
    for (const place of [line[0], line.at(-1)]) L.circleMarker(place, { className: "measured", radius: 4, interactive: false }).addTo(this.shown);
  }

  keep(kept) {
    if (this.places.length) kept.set("measure", toText(this.places));
  }

  restore(kept) {
    const places = ofText(kept.get("measure"), MOST);
    if (places.length > 1) return this.use(places);
  }
}
