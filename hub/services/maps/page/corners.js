// Corners that are set on the map one by one, by clicks of a mouse or taps of a finger: of a line, or of a polygon.
import { begin, ended } from "./box.js";

const L = window.L;

// Corners as people write them: a line for each, longitude and latitude; null: that is none.
export function written(text) {
  const corners = text.split(/\n|;/).map((line) => line.trim()).filter(Boolean).map((line) => line.split(/[\s,]+/).map(Number));
  return corners.every((c) => c.length === 2 && Math.abs(c[0]) <= 180 && Math.abs(c[1]) <= 90) ? corners : null;
}

export const asWritten = (corners) => corners.map((corner) => corner.join(" ")).join("\n");

// For an address, and back.
export const toText = (corners) => corners.flat().join(",");
export function ofText(text, most) {
  const numbers = (text ?? "").split(",").map((part) => (part.trim() ? Number(part) : NaN));
  const corners = Array.from({ length: Math.floor(numbers.length / 2) }, (_, n) => numbers.slice(2 * n, 2 * n + 2));
  const within = corners.every(([x, y]) => Math.abs(x) <= 180 && Math.abs(y) <= 90);
  return within && numbers.length % 2 === 0 && corners.length <= most ? corners : [];
}

const near = (number) => Math.round(number * 1e5) / 1e5;

// Begin; `changed` is called with the corners after each, `done` at the end, with null if it was given up. What is
// returned ends it.
export function setCorners(map, { closed, changed, done }) {
  const target = map.getContainer();
  const corners = [];
  const shape = (closed ? L.polygon : L.polyline)([], { className: "drawing", weight: 2, interactive: false }).addTo(map);
  const dots = L.layerGroup().addTo(map);

  function click(event) {
    if (event.target.closest(".leaflet-control, .swipe")) return; // the map's own buttons
    event.preventDefault();
    event.stopPropagation();
    if (map.dragging.moved()) return;
    const place = map.mouseEventToLatLng(event);
    const first = corners[0] && map.latLngToContainerPoint([corners[0][1], corners[0][0]]);
    if (closed && corners.length > 2 && first.distanceTo(map.mouseEventToContainerPoint(event)) < 10) return finish();
    corners.push([near(place.lng), near(place.lat)]);
    tell();
  }
  function tell() {
    const places = corners.map(([x, y]) => [y, x]);
    shape.setLatLngs(places);
    dots.clearLayers();
    for (const place of places) L.circleMarker(place, { className: "drawing", radius: 4, interactive: false }).addTo(dots);
    changed(corners);
  }
  function key(event) {
    if (/^(INPUT|TEXTAREA|SELECT|BUTTON)$/.test(event.target.tagName) && event.key !== "Escape") return;
    if (event.key === "Escape") end(null);
    else if (event.key === "Enter") finish();
    else if (event.key === "Backspace" && corners.pop()) tell();
    else return;
    event.preventDefault();
  }
  function twice(event) {
    if (event.target.closest(".leaflet-control, .swipe")) return;
    event.preventDefault();
    event.stopPropagation();
    corners.pop(); // the second click is no other corner
    finish();
  }
  const finish = () => end(corners.length >= (closed ? 3 : 2) ? corners : null);
  function end(found) {
    shape.remove();
    dots.remove();
    target.removeEventListener("click", click, true);
    target.removeEventListener("dblclick", twice, true);
    document.removeEventListener("keydown", key);
    target.classList.remove("is-drawing");
    ended(giveUp);
    done(found);
  }
  const giveUp = () => end(null);
  begin(giveUp);
  target.addEventListener("click", click, true);
  target.addEventListener("dblclick", twice, true);
  document.addEventListener("keydown", key);
  target.classList.add("is-drawing");
  return finish;
}
