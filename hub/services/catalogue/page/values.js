// The values of all bands at a place of the map: a click on the imagery, or the middle of the map by the keyboard.
import { element } from "./asking.js";
import { number, say } from "./words.js";

const L = window.L;

export class Values {
  // `asked` gives what a click at a place asks: pixels and date; nothing, where there is no image.
  constructor(map, pixelsAt) {
    [this.map, this.pixelsAt, this.asked] = [map, pixelsAt, 0];
    this.popup = L.popup({ maxWidth: 260, autoPan: true, className: "values" });
    map.on("click", ({ latlng }) => this.show(latlng));
    map.on("popupopen popupclose", ({ type }) => map.getContainer().classList.toggle("has-values", type === "popupopen"));
  }

  clear() {
    this.asked += 1;
    this.popup.remove();
  }

  async show(place) {
    const there = this.pixelsAt(place);
    if (!there) return;
    const number_ = ++this.asked;
    const where = say("place", { date: there.date, lat: place.lat.toFixed(5), lon: place.wrap().lng.toFixed(5) });
    const content = element("div", { role: "status" }, element("b", {}, where), element("p", {}, say("reading_values")));
    this.popup.options.maxHeight = Math.min(320, this.map.getSize().y - 90); // all of it is inside of the map
    this.popup.setLatLng(place).setContent(content).openOn(this.map);
    content.parentElement.tabIndex = 0; // it scrolls, by the keyboard too
    this.popup.getElement().querySelector(".leaflet-popup-close-button").setAttribute("aria-label", say("close"));
    try {
      const values = await there.pixels.values(place.wrap());
      if (number_ === this.asked) content.replaceChildren(element("b", {}, where), table(values));
    } catch (error) {
      if (number_ === this.asked) content.replaceChildren(element("b", {}, where), element("p", {}, error.message));
    }
    this.popup.update();
  }

  // Of the place in the middle of the map.
  button() {
    const made = element("button", { type: "button", class: "button plain small" }, say("middle"));
    made.addEventListener("click", () => {
      this.map.getContainer().scrollIntoView({ block: "nearest" });
      this.show(this.map.getCenter());
    });
    return made;
  }
}

function table(values) {
  const reasons = [...new Set(values.map(({ reason }) => reason).filter(Boolean))];
  const lines = values.filter(({ reason }) => !reason).map(({ name, names, value }) =>
    element("tr", {}, element("th", { scope: "row" }, name, " ", element("small", {}, names.split(" ").filter((n) => n !== name).slice(0, 2).join(" "))),
      element("td", {}, value === null ? say("no_data") : number(value))));
  const without = values.filter(({ reason }) => reason).map(({ name }) => name);
  return element("div", {}, element("table", {}, element("tbody", {}, ...lines)),
    ...(without.length ? [element("p", { class: "soft" }, say("without", { bands: without.join(", ") }), " ", reasons.join(" "))] : []));
}
