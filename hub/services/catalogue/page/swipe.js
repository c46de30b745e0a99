// Two dates on one map: the second lies on the right of a line, which a slider moves.
import { element } from "./asking.js";
import { say } from "./words.js";

const L = window.L;
const PANE = "second";
const LINE = "second-line";

export class Swipe {
  // `changed` is called when the line has another place.
  constructor(map, changed) {
    [this.map, this.layer, this.part] = [map, null, 50];
    map.createPane(PANE).style.zIndex = 250; // above the tiles of the first, below the footprints
    this.line = element("div", { class: "swipe-line", hidden: "" });
    this.input = element("input", { type: "range", class: "swipe", min: "0", max: "100", value: "50", hidden: "" });
    this.labels = ["left", "right"].map((side) => element("p", { class: `swipe-date ${side}`, hidden: "", "aria-hidden": "true" }));
    const container = map.getContainer();
    map.createPane(LINE).style.zIndex = 260;
    map.getPane(LINE).append(this.line);
    for (const one of [this.input, ...this.labels]) container.append(one);
    L.DomEvent.disableClickPropagation(this.input);
    for (const name of ["keydown", "keypress", "keyup"]) this.input.addEventListener(name, (event) => event.stopPropagation());
    this.input.addEventListener("input", () => {
      this.part = Number(this.input.value);
      this.clip();
    });
    this.input.addEventListener("change", changed);
    map.on("move zoom resize viewreset", () => this.clip());
  }

  // Whether a place of the map shows the second date.
  isRight(place) {
    return Boolean(this.layer) && this.map.latLngToContainerPoint(place).x > (this.map.getSize().x * this.part) / 100;
  }

  // `layer` makes the second layer, in the pane whose name it is given.
  show(layer, first, second) {
    this.layer?.remove();
    this.layer = layer(PANE).addTo(this.map);
    this.input.setAttribute("aria-label", say("swipe", { first, second }));
    this.input.value = this.part;
    this.labels.forEach((label, n) => (label.textContent = [first, second][n]));
    this.hide(false);
    this.clip();
  }

  clear() {
    this.layer?.remove();
    this.layer = null;
    this.hide(true);
  }

  hide(hidden) {
    for (const one of [this.line, this.input, ...this.labels]) one.hidden = hidden;
  }

  clip() {
    if (!this.layer) return;
    const size = this.map.getSize();
    const across = (size.x * this.part) / 100;
    const [begin, end] = [this.map.containerPointToLayerPoint([across, 0]), this.map.containerPointToLayerPoint(size)];
    this.map.getPane(PANE).style.clip = `rect(${begin.y}px, ${end.x}px, ${end.y}px, ${begin.x}px)`;
    Object.assign(this.line.style, { left: `${begin.x}px`, top: `${begin.y}px`, height: `${size.y}px` });
  }
}
