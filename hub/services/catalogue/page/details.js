// One product: its picture, what is known of it, its files, and what can be done with it.
import { element } from "./asking.js";
import { facts, moment, quicklook } from "./results.js";
import { script } from "./script.js";
import { say, size } from "./words.js";

const SHOWN = 40; // properties and files: an Item may have any number
const LONG = 200; // characters

export class Details {
  // `zoom` shows a product on the map, `notebook` gives the address of one that opens it, `imagery` draws its pixels,
  // `basket` keeps it, `closed` is called afterwards.
  constructor(panel, { zoom, notebook, imagery, basket, closed }) {
    Object.assign(this, { panel, zoom, notebook, imagery, basket, closed, item: null });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  // `quietly` leaves the focus where it is: on the slider of dates.
  open(item, from, quietly = false) {
    if (from) this.from = from;
    this.item = item;
    const picture = element("img", { src: quicklook(item), alt: item.id });
    picture.addEventListener("error", () => picture.replaceWith(element("p", { class: "soft" }, say("no_picture"))));
    const button = (word, act, more = {}) => {
      const made = element("button", { type: "button", class: "button plain small", ...more }, say(word));
      made.addEventListener("click", act);
      return made;
    };
    this.keeping = button("keep", () => this.basket.toggle(item));
    const image = element("div");
    this.imagery.choice(item).then((choice) => this.item === item && image.append(choice));
    this.panel.replaceChildren(
      element("div", { class: "top" }, element("h2", {}, moment(item)), button("close", () => this.close(), { id: "close" })),
      element("p", { class: "name" }, item.id), image, picture,
      element("p", {}, facts(item)),
      element("p", { class: "acts" }, element("a", { class: "button small", href: this.notebook(item) }, say("notebook")),
        element("a", { class: "button plain small", href: this.notebook(item, { latest: false, geodes_download: {} }) }, say("fetch")), button("zoom", () => this.zoom(item)), this.keeping),
      element("p", { class: "soft" }, say("command")), element("pre", { tabindex: "0" }, script([item])),
      table(Object.entries(item.properties).filter(([, value]) => value !== null && typeof value !== "object")),
      element("h3", {}, say("files")),
      table(Object.entries(item.assets).map(([key, asset]) => [key, [asset.type, asset["file:size"] && size(asset["file:size"])].filter(Boolean).join(" · ")])),
    );
    this.mark();
    this.panel.hidden = false;
    this.panel.scrollTop = 0;
    if (quietly) return;
    this.panel.focus({ preventScroll: true });
    document.getElementById("map").scrollIntoView({ block: "start" }); // on a phone its image is above it, and it is as long as several screens
  }

  // Whether it is in the basket.
  mark() {
    if (this.item && this.keeping) this.keeping.textContent = say(this.basket.has(this.item) ? "unkeep" : "keep");
  }

  close() {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.imagery.clear();
    this.panel.replaceChildren();
    this.from?.focus();
    this.item = this.from = null;
    this.closed();
  }
}

function table(rows) {
  const lines = rows.slice(0, SHOWN).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, String(name).slice(0, LONG)), element("td", {}, String(value).slice(0, LONG))));
  return element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, ...lines)));
}
