// The pixels of a product on the map, drawn by the lab's service of tiles in one of the ways that the product's bands allow.
import { element } from "./asking.js";
import { say, wayOf } from "./words.js";

const L = window.L;

export class Imagery {
  // `base` is the address of the service; empty where a page may not ask it.
  constructor(map, base) {
    [this.map, this.base, this.layer] = [map, base, null];
  }

  clear() {
    this.layer?.remove();
    this.layer = this.product = null;
  }

  // The field that chooses a way, as soon as the service has told the ways; nothing for a product without a map.
  async choice(item) {
    this.clear();
    if (!this.base) return "";
    this.product = item.id;
    const place = `${this.base}${encodeURIComponent(item.collection)}/${encodeURIComponent(item.id)}`;
    const ways = await this.ask(`${place}/presets.json`).catch(() => ({}));
    if (this.product !== item.id || !Object.keys(ways).length) return "";
    const names = [new Option(say("no_image"), ""), ...Object.keys(ways).map((name) => new Option(wayOf(name), name))];
    const select = element("select", { id: "way" }, ...names);
    const opacity = element("input", { id: "opacity", type: "range", min: "0", max: "1", step: "0.05", value: "1" });
    select.addEventListener("change", () => this.show(place, item, ways[select.value], opacity));
    opacity.addEventListener("input", () => this.layer?.setOpacity(Number(opacity.value)));
    return element("div", { class: "pair" },
      element("div", {}, element("label", { for: "way" }, say("image")), select),
      element("div", {}, element("label", { for: "opacity" }, say("opacity")), opacity));
  }

  // Whom the hub knows is known there after its login, which asks nothing.
  async ask(path) {
    let answer = await fetch(path);
    if (!answer.ok) answer = await fetch(`${this.base}login?next=${encodeURIComponent(path)}`);
    return answer.ok ? answer.json() : {};
  }

  show(place, item, way, opacity) {
    this.layer?.remove();
    this.layer = null;
    if (!way) return;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(way)) for (const one of [value].flat()) query.append(name, one);
    const bounds = L.geoJSON(item).getBounds();
    this.layer = L.tileLayer(`${place}/tiles/{z}/{x}/{y}.png?${query}`, {
      bounds, maxZoom: 18, opacity: Number(opacity.value), className: "imagery" }).addTo(this.map);
    this.map.fitBounds(bounds, { maxZoom: 12, padding: [10, 10] });
  }
}
