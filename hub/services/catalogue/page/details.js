// One product: its picture, what is known of it, its files, and what can be done with it.
import { element } from "./asking.js";
import { facts, moment, quicklook } from "./results.js";
import { say, size } from "./words.js";

const SHOWN = 40; // properties and files: an Item may have any number
const LONG = 200; // characters

export class Details {
  // `zoom` shows a product on the map, `notebook` gives the address of one that opens it, `imagery` draws its pixels,
  // `closed` is called afterwards.
  constructor(panel, { zoom, notebook, imagery, closed }) {
    Object.assign(this, { panel, zoom, notebook, imagery, closed });
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  open(item, from) {
    this.from = from;
    const picture = element("img", { src: quicklook(item), alt: item.id });
    picture.addEventListener("error", () => picture.replaceWith(element("p", { class: "soft" }, say("no_picture"))));
    const close = element("button", { type: "button", class: "button plain small", id: "close" }, say("close"));
    const zoom = element("button", { type: "button", class: "button plain small" }, say("zoom"));
    close.addEventListener("click", () => this.close());
    zoom.addEventListener("click", () => this.zoom(item));
    const image = element("div");
    this.imagery.choice(item).then((choice) => image.append(choice));
    const command = `geodes-lab search '${item.collection.replaceAll("'", "")}' --id '${item.id.replaceAll("'", "")}' --json | geodes-lab download - --to products`;
    this.panel.replaceChildren(
      element("div", { class: "top" }, element("h2", {}, moment(item)), close),
      element("p", { class: "name" }, item.id), picture,
      element("p", {}, facts(item)),
      element("p", { class: "acts" }, element("a", { class: "button small", href: this.notebook(item) }, say("notebook")), zoom),
      image,
      element("p", { class: "soft" }, say("command")), element("pre", { tabindex: "0" }, command),
      table(Object.entries(item.properties).filter(([, value]) => value !== null && typeof value !== "object")),
      element("h3", {}, say("files")),
      table(Object.entries(item.assets).map(([key, asset]) => [key, [asset.type, asset["file:size"] && size(asset["file:size"])].filter(Boolean).join(" · ")])),
    );
    this.panel.hidden = false;
    this.panel.focus();
  }

  close() {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.imagery.clear();
    this.panel.replaceChildren();
    this.from?.focus();
    this.closed();
  }
}

function table(rows) {
  const lines = rows.slice(0, SHOWN).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, String(name).slice(0, LONG)), element("td", {}, String(value).slice(0, LONG))));
  return element("div", { class: "scroll" }, element("table", {}, element("tbody", {}, ...lines)));
}
