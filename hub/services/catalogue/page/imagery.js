// The pixels of a product on the map: in which way, how bright, beside which other date, and what a click on them says.
import { element } from "./asking.js";
import { Contrast } from "./contrast.js";
import { Pixels } from "./pixels.js";
import { boundsOf } from "./results.js";
import { Swipe } from "./swipe.js";
import { Values } from "./values.js";
import { say, wayOf } from "./words.js";

const L = window.L;
const OFFERED = 60; // other dates
const NONE = "none"; // in an address: no image
const REASONS = 3; // tiles that are asked why they did not come

export class Imagery {
  // `base` is the address of the service, empty where a page may not ask it; `others` gives products of the same ground,
  // `changed` is called when the address is another one, `show` goes to a product, `login` makes a link to the login.
  constructor(map, base, { others, changed, show, login }) {
    Object.assign(this, { map, base, others, changed, show, login, layer: null, item: null, under: null, legend: null });
    [this.way, this.second, this.opacity] = [null, "", 1]; // they stay for the next product; null: the first of its ways
    this.coming = new Set(); // layers that wait for tiles
    this.failure = element("p", { class: "wrong", role: "status" });
    this.swipe = new Swipe(map, changed);
    this.values = new Values(map, (place) => this.pixelsAt(place));
    this.contrast = new Contrast(() => this.draw());
  }

  // The date that a place of the map shows.
  pixelsAt(place) {
    if (!this.layer) return null;
    return this.swipe.isRight(place) ? this.right : { pixels: this.pixels, date: dayOf(this.item) };
  }

  clear() {
    this.layer?.remove();
    this.layer = this.item = this.under = this.legend = null;
    this.swipe.clear();
    this.values.clear();
    this.map.getContainer().classList.remove("has-imagery");
  }

  // The fields for a product, as soon as the service has told its ways; for a product without a map the reason.
  async choice(item) {
    this.clear();
    if (!this.base) return element("p", { class: "soft" }, say("no_imagery"), " ", say("apart"));
    this.item = item;
    const pixels = new Pixels(this.base, item);
    this.failure.replaceChildren();
    let ways;
    try {
      ways = await pixels.ways();
      if (!Object.keys(ways).length) throw new Error(say("no_map"));
    } catch (error) {
      return element("p", { class: "soft", role: "status" }, say("no_imagery"), " ", ...this.said(error));
    }
    if (this.item !== item) return "";
    Object.assign(this, { pixels, ways });
    if (this.way !== "" && !(this.way in ways)) this.way = Object.keys(ways)[0];
    const select = element("select", { id: "way" });
    select.append(new Option(say("no_image"), ""), ...Object.keys(ways).map((name) => new Option(wayOf(name), name)));
    select.value = this.way;
    const opacity = element("input", { id: "opacity", type: "range", min: "0", max: "1", step: "0.05" });
    opacity.value = this.opacity;
    this.under = element("div");
    select.addEventListener("change", () => {
      this.way = select.value;
      this.contrast.text = "";
      this.map.getContainer().scrollIntoView({ block: "nearest" }); // on a phone it is above
      if (this.way) this.show(item);
      this.use();
    });
    opacity.addEventListener("input", () => {
      this.opacity = Number(opacity.value);
      this.layer?.setOpacity(this.opacity);
    });
    opacity.addEventListener("change", this.changed);
    this.use();
    return element("div", { id: "imagery" },
      element("div", { class: "pair" },
        element("div", {}, element("label", { for: "way" }, say("image")), select),
        element("div", {}, element("label", { for: "opacity" }, say("opacity")), opacity)),
      this.failure, this.under);
  }

  // A sentence, with the login where that helps.
  said(error) {
    return error.status === 401 ? [error.message, " ", this.login()] : [error.message];
  }

  // The fields of a way, below the choice of it.
  async use() {
    const { pixels, under } = this;
    const way = this.ways[this.way];
    under.replaceChildren();
    this.legend = null;
    if (!way) return this.draw();
    const [legend, contrast] = [element("div"), element("div")];
    this.compared = element("div");
    this.compared.append(this.comparison());
    under.replaceChildren(legend, contrast, this.compared, element("p", { class: "soft" }, say("click"), " ", this.values.button()));
    this.draw();
    const { ranges = [], classes } = await pixels.meaning(way).catch(() => ({}));
    if (this.pixels !== pixels || this.ways[this.way] !== way) return;
    if (way.colormap_name || classes) {
      this.legend = element("img", { alt: say("legend", { way: wayOf(this.way) }), class: "legend" });
      this.legend.addEventListener("error", ({ target }) => target.remove());
      legend.append(this.legend);
    }
    contrast.replaceChildren(this.contrast.fields(ranges));
    if (this.contrast.isUsual) this.explain();
    else this.draw();
  }

  // The other dates have come.
  again() {
    if (!this.item || !this.under || !this.ways[this.way]) return;
    this.compared.replaceChildren(this.comparison());
    this.compare();
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
    this.failure.replaceChildren();
    this.values.clear();
    if (way) this.layer = this.tiles(this.pixels, this.contrast.applied(way), boundsOf(this.item)).addTo(this.map);
    this.explain();
    this.compare();
    this.changed();
  }

  // The legend has the numbers of the contrast.
  explain() {
    if (this.legend) this.legend.src = this.pixels.legend(this.contrast.applied(this.ways[this.way]));
  }

  tiles(pixels, way, bounds, pane = "tilePane") {
    const layer = L.tileLayer(pixels.tiles(way), { bounds, pane, maxZoom: 18, opacity: this.opacity, className: "imagery" });
    const wait = (on) => () => {
      this.coming[on ? "add" : "delete"](layer);
      this.map.getContainer().classList.toggle("is-waiting", this.coming.size > 0);
    };
    layer.on("loading", wait(true)).on("load remove", wait(false));
    const told = { asked: 0, again: false };
    return layer.on("tileerror", ({ tile }) => this.failed(pixels, layer, tile.src, told));
  }

  // A tile did not come: why is said once. Beside the pixels of a product there is none, and that is no fault.
  async failed(pixels, layer, tile, told) {
    if (told.asked >= REASONS || !this.map.hasLayer(layer)) return;
    told.asked += 1;
    try {
      await pixels.why(tile);
      if (told.again) return;
      told.again = true; // the session was renewed, or the service had too much to do
      layer.redraw();
    } catch (error) {
      if (error.status === 404 || !this.map.hasLayer(layer)) return;
      told.asked = REASONS;
      const again = element("button", { type: "button", class: "button plain small" }, say("again"));
      again.addEventListener("click", () => this.draw());
      this.failure.replaceChildren(say("not_drawn"), " ", ...this.said(error), " ", again);
    }
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
    const bounds = L.latLngBounds([south, west], [north, east < west ? east + 360 : east]);
    this.right = { pixels: theirs, date: dayOf(other) };
    this.swipe.show((pane) => this.tiles(theirs, way, bounds, pane), dateOf(this.item), dateOf(other));
  }

  keep(kept) {
    if (!this.item || this.way === null) return;
    kept.set("way", this.way || NONE);
    if (!this.way) return;
    if (this.contrast.text) kept.set("contrast", this.contrast.text);
    if (this.opacity < 1) kept.set("opacity", this.opacity);
    if (this.second) kept.set("second", this.second);
    if (this.second && this.swipe.part !== 50) kept.set("swipe", this.swipe.part);
  }

  restore(kept) {
    const way = kept.get("way");
    [this.way, this.second] = [way === NONE ? "" : way, kept.get("second") ?? ""];
    this.contrast.text = kept.get("contrast") ?? "";
    const part = (name, most, usual) => {
      const number = kept.has(name) ? Number(kept.get(name)) : NaN;
      return number >= 0 && number <= most ? number : usual;
    };
    this.opacity = part("opacity", 1, 1);
    this.swipe.part = part("swipe", 100, 50);
  }
}

const dayOf = ({ properties: p }) => (p.datetime || p.start_datetime || "").slice(0, 10);

function dateOf(item) {
  const p = item.properties;
  const clouds = p["eo:cloud_cover"] === undefined ? "" : ` · ${say("clouds", { n: Math.round(p["eo:cloud_cover"]) })}`;
  return `${dayOf(item)}${clouds}`;
}
