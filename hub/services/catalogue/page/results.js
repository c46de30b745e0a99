// The products that were found: a card in the list and a footprint on the map for each, which belong together.
import { element } from "./asking.js";
import { unbroken } from "./land.js";
import { orbitOf, say } from "./words.js";

const L = window.L;
const TINY = 0.15; // of the map

export const quicklook = (item) => `quicklook/${encodeURIComponent(item.collection)}/${encodeURIComponent(item.id)}`;

export function facts(item) {
  const p = item.properties;
  const clouds = p["eo:cloud_cover"] === undefined ? "" : say("clouds", { n: Math.round(p["eo:cloud_cover"]) });
  return [p.platform, p["product:type"], p["grid:code"], orbitOf(p["sat:orbit_state"]), clouds].filter(Boolean).join(" · ");
}

// Where it lies, as Leaflet has it.
export const boundsOf = (item) => L.geoJSON(unbroken(item.geometry)).getBounds();

export const moment = (item) => (item.properties.datetime || item.properties.start_datetime || "").slice(0, 16).replace("T", " ");

export class Results {
  // `opened` is called with a product that was chosen, `kept` with one that goes into the basket or out of it.
  constructor(map, list, { opened, kept }) {
    Object.assign(this, { map, list, opened, kept });
    this.footprints = L.featureGroup().addTo(map);
    this.clear();
  }

  clear() {
    this.shown = [];
    this.layers = new Map();
    this.toggles = [];
    this.footprints.clearLayers();
    this.list.replaceChildren();
  }

  add(item) {
    this.shown.push(item);
    const picture = element("img", { src: quicklook(item), alt: "", loading: "lazy" });
    picture.addEventListener("error", () => picture.classList.add("none"));
    const button = element(
      "button", { type: "button", class: "product" }, picture,
      element("span", {}, element("b", {}, moment(item)), element("span", { class: "facts" }, facts(item)), element("span", { class: "name" }, item.id)),
    );
    const toggle = element("button", { type: "button", class: "keep" }, "+");
    toggle.addEventListener("click", () => this.kept(item));
    this.toggles.push([item, toggle]);
    this.list.append(element("li", {}, button, toggle));
    // Only the outline: the footprints of a series lie on each other, and their colours would add up.
    const layer = item.geometry ? L.geoJSON(unbroken(item.geometry), { className: "footprint", weight: 1.5, fillOpacity: 0 }).addTo(this.footprints) : null;
    const mark = (on) => {
      button.classList.toggle("marked", on);
      layer?.setStyle({ weight: on ? 4 : 1.5, fillOpacity: on ? 0.25 : 0 });
    };
    for (const name of ["mouseenter", "focus"]) button.addEventListener(name, () => mark(true));
    for (const name of ["mouseleave", "blur"]) button.addEventListener(name, () => mark(false));
    button.addEventListener("click", () => this.opened(item, button));
    layer?.on("mouseover", () => mark(true)).on("mouseout", () => mark(false));
    layer?.on("click", () => {
      button.scrollIntoView({ block: "nearest" });
      this.opened(item, button);
    });
    if (layer) this.layers.set(item.id, layer);
  }

  // Which of them are in the basket.
  mark(basket) {
    for (const [item, toggle] of this.toggles) {
      const there = basket.has(item);
      toggle.setAttribute("aria-pressed", there);
      toggle.setAttribute("aria-label", say("in_basket", { id: item.id }));
      toggle.textContent = there ? "✓" : "+";
    }
  }

  // Show all footprints, or that of one product.
  fit(item) {
    const bounds = item ? this.layers.get(item.id)?.getBounds() : this.footprints.getBounds();
    if (bounds?.isValid()) this.map.fitBounds(bounds, { maxZoom: item ? 10 : 8, padding: [30, 30] });
  }

  // Go to a product, unless it is seen: whole and not tiny, or the view is inside of it.
  show(item) {
    const bounds = this.layers.get(item.id)?.getBounds() ?? (item.geometry && boundsOf(item));
    if (!bounds?.isValid()) return;
    if (this.map.getPane("mapPane").classList.contains("leaflet-zoom-anim")) {
      this.map.once("zoomend", () => this.show(item)); // the end of a zoom that is under way would undo it
      return;
    }
    this.map.invalidateSize({ pan: false }); // the details made it narrower
    const view = this.map.getBounds();
    const wide = Math.max(
      (bounds.getEast() - bounds.getWest()) / (view.getEast() - view.getWest()),
      (bounds.getNorth() - bounds.getSouth()) / (view.getNorth() - view.getSouth()),
    );
    const isSeen = wide >= TINY && (view.contains(bounds) || bounds.contains(view.getCenter()));
    if (!isSeen) this.map.fitBounds(bounds, { maxZoom: 10, padding: [30, 30], animate: false });
  }
}
