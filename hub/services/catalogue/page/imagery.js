// The pixels of a product on the map: in which way, how bright, beside which other date, and what a click on them says.
import { element } from "./asking.js";
import { Contrast } from "./contrast.js";
import { Pixels } from "./pixels.js";
import { Swipe } from "./swipe.js";
import { Values } from "./values.js";
import { say, wayOf } from "./words.js";

const L = window.L;
const OFFERED = 60; // other dates

export class Imagery {
  // `base` is the address of the service, empty where a page may not ask it; `others` gives products of the same ground,
  // `changed` is called when the address is another one.
  constructor(map, base, { others, changed }) {
    Object.assign(this, { map, base, others, changed, layer: null, item: null, under: null, at: null });
    map.on("moveend", () => this.layer && changed());
    [this.way, this.second, this.opacity] = ["", "", 1]; // they stay for the next product
    this.swipe = new Swipe(map);
    this.values = new Values(map);
    this.contrast = new Contrast(() => this.draw());
  }

  clear() {
    this.layer?.remove();
    this.layer = this.item = this.under = null;
    this.swipe.clear();
    this.values.use(null);
    this.map.getContainer().classList.remove("has-imagery");
  }

  // The fields for a product, as soon as the service has told its ways; nothing for a product without a map.
  async choice(item) {
    this.clear();
    if (!this.base) return "";
    this.item = item;
    const pixels = new Pixels(this.base, item);
    const ways = await pixels.ways().catch(() => ({}));
    if (this.item !== item || !Object.keys(ways).length) return "";
    Object.assign(this, { pixels, ways });
    if (!(this.way in ways)) this.way = "";
    const select = element("select", { id: "way" });
    select.append(new Option(say("no_image"), ""), ...Object.keys(ways).map((name) => new Option(wayOf(name), name)));
    select.value = this.way;
    const opacity = element("input", { id: "opacity", type: "range", min: "0", max: "1", step: "0.05" });
    opacity.value = this.opacity;
    this.under = element("div");
    select.addEventListener("change", () => {
      this.way = select.value;
      this.contrast.text = "";
      this.use(true);
    });
    opacity.addEventListener("input", () => {
      this.opacity = Number(opacity.value);
      this.layer?.setOpacity(this.opacity);
    });
    this.use(Boolean(this.at));
    return element("div", { id: "imagery" },
      element("div", { class: "pair" },
        element("div", {}, element("label", { for: "way" }, say("image")), select),
        element("div", {}, element("label", { for: "opacity" }, say("opacity")), opacity)),
      this.under);
  }

  // The fields of a way, below the choice of it.
  async use(goes) {
    const { pixels, under } = this;
    const way = this.ways[this.way];
    under.replaceChildren();
    if (goes && way) this.go();
    if (!way) return this.draw();
    const [legend, contrast] = [element("div"), element("div")];
    under.replaceChildren(legend, contrast, this.comparison(), element("p", { class: "soft" }, say("click"), " ", this.values.button()));
    this.draw();
    if (way.colormap_name) legend.append(element("img", { src: pixels.legend(way), alt: say("legend", { way: wayOf(this.way) }), class: "legend" }));
    const ranges = await pixels.ranges(way).catch(() => []);
    if (this.pixels !== pixels || this.ways[this.way] !== way) return;
    contrast.replaceChildren(this.contrast.fields(ranges));
    if (!this.contrast.isUsual) this.draw();
  }

  // To the product, or to where an address says.
  go() {
    const [zoom, lat, lon] = this.at || [];
    this.at = null;
    this.map.getContainer().scrollIntoView({ block: "nearest" }); // on a phone it is above
    if (zoom) this.map.setView([lat, lon], zoom, { animate: false });
    else this.map.fitBounds(L.geoJSON(this.item).getBounds(), { maxZoom: 12, padding: [10, 10] });
  }

  // The other dates have come.
  again() {
    if (this.item && this.under) this.use(false);
  }

  comparison() {
    const others = this.others(this.item).slice(0, OFFERED);
    if (!others.length) return "";
    const select = element("select", { id: "second" });
    select.append(new Option(say("no_second"), ""), ...others.map((one) => new Option(dateOf(one), one.id)));
    if (!others.some(({ id }) => id === this.second)) this.second = "";
    select.value = this.second;
    select.addEventListener("change", () => {
      this.second = select.value;
      this.map.getContainer().scrollIntoView({ block: "nearest" });
      this.compare();
      this.changed();
    });
    this.told = element("p", { class: "soft", role: "status" });
    return element("div", {}, element("label", { for: "second" }, say("second")), select, this.told);
  }

  draw() {
    this.layer?.remove();
    this.layer = null;
    const way = this.ways[this.way];
    this.map.getContainer().classList.toggle("has-imagery", Boolean(way));
    this.values.use(way ? this.pixels : null);
    if (way) this.layer = this.tiles(this.pixels, this.contrast.applied(way), L.geoJSON(this.item).getBounds()).addTo(this.map);
    this.compare();
    this.changed();
  }

  tiles(pixels, way, bounds, pane = "tilePane") {
    return L.tileLayer(pixels.tiles(way), { bounds, pane, maxZoom: 18, opacity: this.opacity, className: "imagery" });
  }

  // The other date, in the same way and with the same numbers.
  async compare() {
    const { pixels, way: name, second } = this;
    const other = name && second && this.others(this.item).find(({ id }) => id === second);
    if (!other) return this.swipe.clear();
    const theirs = new Pixels(this.base, other);
    const [ways, ranges] = await Promise.all([theirs.ways().catch(() => ({})), pixels.ranges(this.ways[name]).catch(() => [])]);
    if (this.pixels !== pixels || this.way !== name || this.second !== second) return;
    this.told.textContent = ways[name] ? "" : say("no_way", { date: dateOf(other), way: wayOf(name) });
    if (!ways[name]) return this.swipe.clear();
    const same = this.contrast.isUsual && ranges.length ? { rescale: ranges.map((range) => range.join(",")) } : {};
    const way = this.contrast.applied({ ...ways[name], ...same });
    const [west, south, east, north] = other.bbox;
    const bounds = L.latLngBounds([south, west], [north, east]);
    this.swipe.show((pane) => this.tiles(theirs, way, bounds, pane), dateOf(this.item), dateOf(other));
  }

  keep(kept) {
    if (!this.item || !this.way) return;
    kept.set("way", this.way);
    if (this.contrast.text) kept.set("contrast", this.contrast.text);
    if (this.second) kept.set("second", this.second);
    const { lat, lng } = this.map.getCenter();
    kept.set("at", [this.map.getZoom(), lat.toFixed(4), lng.toFixed(4)].join(","));
  }

  restore(kept) {
    [this.way, this.second] = [kept.get("way") ?? "", kept.get("second") ?? ""];
    this.contrast.text = kept.get("contrast") ?? "";
    const at = kept.get("at")?.split(",").map(Number) ?? [];
    const [zoom, lat, lon] = at.length === 3 && at.every(Number.isFinite) ? at : [];
    this.at = zoom >= 1 && zoom <= 18 && Math.abs(lat) <= 85 && Math.abs(lon) <= 180 ? [zoom, lat, lon] : [];
    if (!this.way) this.at = null;
  }
}

function dateOf(item) {
  const p = item.properties;
  const clouds = p["eo:cloud_cover"] === undefined ? "" : ` · ${say("clouds", { n: Math.round(p["eo:cloud_cover"]) })}`;
  return `${(p.datetime || p.start_datetime || "").slice(0, 10)}${clouds}`;
}
