// In the corner of a map: how long a distance is there, and the coordinates of the pointer, or of the middle by the keyboard.
import { element } from "./asking.js";

const L = window.L;

export function addWhere(map) {
  L.control.scale({ position: "topright", imperial: false }).addTo(map);
  const told = element("div", { class: "where", hidden: "" });
  const control = L.control({ position: "topright" });
  control.onAdd = () => told;
  control.addTo(map);
  // As fine as a pixel of the map, as numbers that can be written into a field.
  const tell = (place) => {
    const [digits, { lat, lng }] = [Math.min(5, Math.max(1, Math.ceil(map.getZoom() / 3))), place.wrap()];
    told.textContent = `${lat.toFixed(digits)}, ${lng.toFixed(digits)}`;
    told.hidden = false;
  };
  map.on("mousemove", ({ latlng }) => tell(latlng));
  map.on("move", () => document.activeElement === map.getContainer() && tell(map.getCenter()));
  map.on("mouseout", () => (told.hidden = true));
}
