// The dates of a whole search, with their clouds: a bar for each day, and a slider that goes from one day to the next.
import { element, post } from "./asking.js";
import { Calendar } from "./calendar.js";
import { say } from "./words.js";

const MOST = 1000; // products that are asked for
const DAY = 86400000;
const LABEL = 64; // pixels of a date below it
const HIGH = 44; // pixels of the bar of a day without clouds
const FIELDS = ["id", "collection", "bbox", "properties.datetime", "properties.start_datetime", "properties.eo:cloud_cover"];

const drawn = (name, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const dayOf = (item) => (item.properties.datetime || item.properties.start_datetime || "").slice(0, 10);
const clouds = (item) => item.properties["eo:cloud_cover"] ?? null;

export class Timeline {
  // `chosen` is called with the product of a day that was chosen.
  constructor(panel, chosen) {
    [this.panel, this.chosen, this.days, this.search] = [panel, chosen, [], 0];
    this.chart = drawn("svg", { class: "days", height: HIGH + 18, "aria-hidden": "true" });
    this.slider = element("input", { type: "range", id: "day", "aria-label": say("day") });
    this.output = element("output", { for: "day" });
    this.more = element("span", { class: "soft" });
    this.calendar = new Calendar({
      said: (place) => this.said(place),
      chosen: (place) => {
        this.mark(place);
        this.choose();
      },
    });
    panel.append(this.chart, this.slider, element("div", { class: "told" }, element("p", {}, this.output, " ", this.more), this.calendar.switch), this.calendar.panel);
    this.slider.addEventListener("input", () => this.near(Number(this.slider.value)));
    this.slider.addEventListener("change", () => this.choose());
    this.slider.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(panel);
  }

  clear() {
    this.search += 1;
    [this.days, this.place, this.item] = [[], -1, null];
    this.panel.hidden = true;
  }

  // All that a search finds, as far as the bound, with few fields.
  async ask(body) {
    this.clear();
    const search = this.search;
    const page = await post("stac/search", { ...body, limit: MOST, fields: { include: FIELDS, exclude: ["links", "assets", "geometry"] } });
    if (search !== this.search) return;
    const days = new Map();
    for (const item of page.features) if (Number.isFinite(Date.parse(dayOf(item)))) days.set(dayOf(item), [...(days.get(dayOf(item)) ?? []), item]);
    this.days = [...days].sort(([a], [b]) => (a < b ? -1 : 1)).map(([date, items]) => ({ date, items, time: Date.parse(date) / DAY }));
    this.panel.hidden = this.days.length < 2;
    if (this.panel.hidden) return;
    this.more.textContent = page.features.length < (page.numberMatched ?? Infinity) && page.features.length >= MOST ? say("latest_alone", { n: MOST }) : "";
    const [first, last] = [this.days[0].time, this.days.at(-1).time];
    Object.assign(this.slider, { min: first, max: last, value: last });
    this.draw();
    this.mark(this.days.length - 1);
    if (this.item) this.follow(this.item); // it was opened meanwhile
  }

  // Products of other days that show most of the same ground, or else some of it, the nearest in time first.
  others(item) {
    const there = this.days.flatMap(({ items }) => items).filter((one) => dayOf(one) !== dayOf(item));
    const most = overlap(item.bbox, item.bbox);
    const [whole, partly] = [0.5 * most, 0.01 * most].map((least) => there.filter((one) => overlap(one.bbox, item.bbox) > least));
    const far = (one) => Math.abs(Date.parse(dayOf(one)) - Date.parse(dayOf(item)));
    return (whole.length ? whole : partly).sort((a, b) => far(a) - far(b));
  }

  // Its day is the one that is marked, wherever it was chosen.
  follow(item) {
    this.item = item;
    const place = this.days.findIndex(({ date }) => date === dayOf(item));
    if (place >= 0) this.mark(place);
  }

  draw() {
    if (this.panel.hidden || !this.days.length) return;
    const wide = this.panel.clientWidth - 16;
    const [first, last] = [this.days[0].time, this.days.at(-1).time];
    const across = (time) => 8 + ((time - first) / (last - first)) * (wide - 16);
    const thick = Math.max(2, Math.min(10, (wide / (last - first + 1)) * 0.8));
    const bars = this.days.map(({ items, time, date }, place) => {
      const best = Math.min(...items.map((item) => clouds(item) ?? 0));
      const high = 6 + ((HIGH - 6) * (100 - best)) / 100;
      const bar = drawn("rect", { x: across(time) - thick / 2, y: HIGH - high, width: thick, height: high, class: `day ${best > 50 ? "cloudy" : ""}` });
      const hit = drawn("rect", { x: across(time) - Math.max(thick, 8) / 2, y: 0, width: Math.max(thick, 8), height: HIGH, class: "hit" }, drawn("title", {}, `${date}: ${this.said(place)}`));
      hit.addEventListener("click", () => {
        this.mark(place);
        this.choose();
      });
      return drawn("g", {}, bar, hit);
    });
    const label = (text, x, anchor) => drawn("text", { x, y: HIGH + 14, "text-anchor": anchor }, text);
    const ticks = months(first, last, (wide - 2 * LABEL) / LABEL).filter(({ time }) => across(time) > LABEL * 1.4 && across(time) < wide - LABEL * 1.4);
    this.chart.setAttribute("width", wide);
    this.chart.replaceChildren(...bars, ...ticks.map(({ text, time }) => label(text, across(time), "middle")), label(this.days[0].date, 0, "start"), label(this.days.at(-1).date, wide, "end"));
    this.mark(this.place);
  }

  said(place) {
    const { items } = this.days[place];
    const covers = items.map(clouds).filter((cover) => cover !== null).map(Math.round);
    const [least, most] = [Math.min(...covers), Math.max(...covers)];
    const range = covers.length ? say("clouds", { n: least === most ? least : `${least}–${most}` }) : "";
    return [say(items.length === 1 ? "one_product" : "products", { n: items.length }), range].filter(Boolean).join(" · ");
  }

  mark(place) {
    if (place < 0 || place >= this.days.length) return;
    this.place = place;
    const { date, time } = this.days[place];
    this.slider.value = time;
    this.calendar.mark(this.days, place);
    this.output.textContent = `${date} · ${this.said(place)}`;
    this.slider.setAttribute("aria-valuetext", this.output.textContent);
    [...this.chart.querySelectorAll("rect.day")].forEach((bar, n) => bar.classList.toggle("marked", n === place));
  }

  near(time) {
    const far = (day) => Math.abs(day.time - time);
    this.mark(this.days.reduce((best, day, n) => (far(day) < far(this.days[best]) ? n : best), 0));
  }

  // From day to day, where products are.
  step(event) {
    const go = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -this.place, End: this.days.length - 1 - this.place }[event.key];
    if (go === undefined) return;
    event.preventDefault();
    this.mark(Math.max(0, Math.min(this.days.length - 1, this.place + go)));
    this.choose();
  }

  // Of several products of a day the one that shows most of what is looked at, else the clearest.
  choose() {
    const { items } = this.days[this.place];
    const shared = (one) => overlap(one.bbox, this.item?.bbox);
    const [best] = [...items].sort((a, b) => shared(b) - shared(a) || (clouds(a) ?? 0) - (clouds(b) ?? 0));
    this.chosen(best);
  }
}

// The beginnings of months, quarters or years between two days, as many as have room.
function months(first, last, most) {
  const step = [1, 3, 12, 60, 120].find((one) => (last - first) / (30.4 * one) <= most) ?? 1200;
  const found = [];
  const day = new Date(first * DAY);
  const at = (month) => Date.UTC(Math.floor(month / 12), month % 12) / DAY;
  for (let month = Math.ceil((day.getUTCFullYear() * 12 + day.getUTCMonth() + 1) / step) * step; at(month) <= last; month += step) {
    found.push({ time: at(month), text: new Date(at(month) * DAY).toISOString().slice(0, step < 12 ? 7 : 4) });
  }
  return found;
}

// What two boxes have in common, in square degrees; a box whose west is larger than its east goes on beyond 180 degrees.
function overlap(a, b) {
  if (a?.length !== 4 || b?.length !== 4) return 0;
  const [aEast, bEast] = [a, b].map(([west, , east]) => (east < west ? east + 360 : east));
  const wide = [-360, 0, 360].map((turn) => Math.min(aEast, bEast + turn) - Math.max(a[0], b[0] + turn));
  return Math.max(0, ...wide) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
}
