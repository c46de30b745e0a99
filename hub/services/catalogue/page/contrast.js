// Contrast: which numbers are darkest and brightest, in percent of the usual range of each band, and gamma.
import { element } from "./asking.js";
import { number, say } from "./words.js";

const USUAL = { low: 0, high: 100, gamma: 1 };
const LIMITS = { low: [-50, 99, 1], high: [1, 200, 1], gamma: [0.4, 2.6, 0.1] };

export class Contrast {
  // `changed` is called when a slider was moved.
  constructor(changed) {
    [this.changed, this.values, this.ranges, this.inputs] = [changed, { ...USUAL }, [], {}];
  }

  get isUsual() {
    return Object.entries(USUAL).every(([name, value]) => this.values[name] === value);
  }

  // The sliders of a way whose usual ranges are these.
  fields(ranges) {
    this.ranges = ranges;
    if (!ranges.length) return "";
    const rows = Object.entries(LIMITS).map(([name, [min, max, step]]) => {
      const input = element("input", { type: "range", id: `contrast-${name}`, min, max, step, value: this.values[name] });
      const output = element("output", { for: input.id });
      input.addEventListener("input", () => this.move(name, Number(input.value)));
      input.addEventListener("change", () => this.changed());
      this.inputs[name] = { input, output };
      return element("div", {}, element("label", { for: input.id }, say(name), " ", output), input);
    });
    const usual = element("button", { type: "button", class: "button plain small" }, say("usual"));
    usual.addEventListener("click", () => {
      for (const [name, value] of Object.entries(USUAL)) this.move(name, value);
      this.changed();
    });
    this.tell();
    return element("details", { id: "contrast", ...(this.isUsual ? {} : { open: "" }) }, element("summary", {}, say("contrast")), ...rows, usual);
  }

  // The brightest number stays above the darkest.
  move(name, value) {
    this.values[name] = value;
    if (this.values.low >= this.values.high) {
      if (name === "low") this.values.high = value + 1;
      else this.values.low = value - 1;
    }
    this.tell();
  }

  tell() {
    for (const [name, { input, output }] of Object.entries(this.inputs)) {
      input.value = this.values[name];
      output.textContent = this.said(name);
      input.setAttribute("aria-valuetext", output.textContent);
    }
  }

  said(name) {
    if (name === "gamma") return number(this.values.gamma);
    if (this.ranges.length > 1) return `${this.values[name]} %`;
    return number(this.scaled(this.ranges[0])[name === "low" ? 0 : 1]);
  }

  scaled([low, high]) {
    return [this.values.low, this.values.high].map((percent) => low + ((high - low) * percent) / 100);
  }

  // The way as it is drawn with this contrast.
  applied(way) {
    if (this.isUsual || !this.ranges.length) return way;
    const rescale = this.ranges.map((range) => this.scaled(range).map((n) => Number(n.toPrecision(6))).join(","));
    return { ...way, rescale, ...(this.values.gamma === 1 ? {} : { gamma: this.values.gamma }) };
  }

  // For the address.
  get text() {
    return this.isUsual ? "" : Object.keys(USUAL).map((name) => this.values[name]).join(",");
  }

  set text(text) {
    const several = text.split(",").map(Number);
    Object.keys(USUAL).forEach((name, n) => {
      const [min, max] = LIMITS[name];
      this.values[name] = several[n] >= min && several[n] <= max ? several[n] : USUAL[name];
    });
    if (this.values.low >= this.values.high) Object.assign(this.values, USUAL);
  }
}
