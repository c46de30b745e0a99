// A place by its name, or a tile by its own: a field whose suggestions come while one writes (the combobox of ARIA's
// patterns). The names are those of the service's list.
import { element, get } from "./asking.js";
import { LANGUAGE, say } from "./words.js";

const $ = (id) => document.getElementById(id);
const PATIENCE = 150; // ms after the last letter

export const placesNamed = async (text) => (await get(`places?${new URLSearchParams({ named: text, lang: LANGUAGE })}`)).places;

export class Named {
  // `chosen` is called with a place: name, country, bbox, and of a tile its name and geometry.
  constructor(chosen) {
    [this.chosen, this.input, this.list, this.told] = [chosen, $("named"), $("named-list"), $("named-said")];
    Object.assign(this, { places: [], active: -1, asked: 0, timer: 0 });
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.suggest(), PATIENCE);
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the field
  }

  get isOpen() {
    return !this.list.hidden;
  }

  // Ask for what is written, and show it; later answers win.
  async suggest() {
    clearTimeout(this.timer);
    const [text, asked] = [this.input.value.trim(), ++this.asked];
    this.told.textContent = "";
    if (text.length < 2) return this.close();
    try {
      const places = await placesNamed(text);
      if (asked !== this.asked) return;
      this.show(places);
      if (!places.length) this.told.textContent = say("no_place");
    } catch (error) {
      if (asked !== this.asked) return;
      this.close();
      this.told.textContent = error.message;
    }
  }

  show(places) {
    [this.places, this.active] = [places, -1];
    this.list.replaceChildren(...places.map((place, n) => {
      const option = element("li", { role: "option", id: `named-${n}`, "aria-selected": "false" }, place.tile ? say("tile", { tile: place.tile }) : place.name,
        ...(place.country ? [" ", element("small", {}, place.country)] : []));
      option.addEventListener("click", () => this.choose(n));
      return option;
    }));
    this.open(places.length > 0);
  }

  open(on) {
    this.list.hidden = !on;
    this.input.setAttribute("aria-expanded", on);
    if (!on) this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.asked += 1;
    this.open(false);
  }

  async key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (!this.isOpen) return this.suggest();
      const many = this.places.length;
      this.mark((this.active + step + (this.active < 0 && step < 0 ? many + 1 : many)) % many);
    } else if (event.key === "Escape" && this.isOpen) {
      event.stopPropagation();
      this.close();
    } else if (event.key === "Enter" && this.input.value.trim()) {
      event.preventDefault(); // the place first, then the search
      if (!this.isOpen || this.active < 0) await this.suggest();
      if (this.isOpen) this.choose(Math.max(this.active, 0));
    }
  }

  mark(place) {
    this.active = place;
    [...this.list.children].forEach((option, n) => option.setAttribute("aria-selected", n === place));
    this.input.setAttribute("aria-activedescendant", `named-${place}`);
    this.list.children[place].scrollIntoView({ block: "nearest" });
  }

  choose(place) {
    const chosen = this.places[place];
    this.close();
    this.input.value = "";
    this.chosen(chosen);
  }
}
