// The map with the land of the Earth; it asks no other site for tiles.
import { get } from "./asking.js";

// Across the date line a ring goes on beyond 180 degrees, instead of all the way back.
function continued(part) {
  if (typeof part[0][0] !== "number") return part.map(continued);
  let last = part[0][0];
  return part.map(([x, y]) => [(last = x + 360 * Math.round((last - x) / 360)), y]);
}

// The same shape in one piece: what goes on beyond 180 degrees is not at the other end of the map. A step of 360 degrees
// closes a shape around a pole, and stays.
export function unbroken(geometry) {
  const crosses = (ring) => ring.some(([x], n) => n && Math.abs(x - ring[n - 1][0]) > 180 && Math.abs(x - ring[n - 1][0]) < 360);
  const onward = (ring) => ring.map(([x, y]) => [x + 360, y]);
  const whole = (rings) => {
    const together = rings.some(crosses) ? continued(rings) : rings;
    return together.some((ring) => ring.some(([x]) => x < -180)) ? together.map(onward) : together;
  };
  if (geometry?.type === "Polygon") return { ...geometry, coordinates: whole(geometry.coordinates) };
  if (geometry?.type !== "MultiPolygon") return geometry;
  const parts = geometry.coordinates.map(whole);
  const longitudes = parts.map(([ring]) => ring.map(([x]) => x));
  const isWest = longitudes.map((several) => Math.max(...several) <= -90);
  if (!isWest.includes(true) || !longitudes.some((several) => Math.min(...several) >= 90)) return { ...geometry, coordinates: parts };
  return { ...geometry, coordinates: parts.map((rings, n) => (isWest[n] ? rings.map(onward) : rings)) };
}

export function newMap(id) {
  const map = window.L.map(id, { worldCopyJump: true, minZoom: 1, attributionControl: false, zoomControl: false }).setView([30, 5], 2);
  const [zoomInTitle, zoomOutTitle] = document.documentElement.lang === "fr" ? ["Agrandir", "Réduire"] : ["Zoom in", "Zoom out"];
  window.L.control.zoom({ zoomInTitle, zoomOutTitle }).addTo(map);
  new ResizeObserver(() => map.invalidateSize({ pan: false })).observe(map.getContainer()); // what is beside it comes and goes
  return map;
}

export async function drawLand(map) {
  const atlas = await get("assets/land.json");
  const land = window.topojson.feature(atlas, atlas.objects.countries);
  for (const { geometry } of land.features) geometry.coordinates = continued(geometry.coordinates);
  map.createPane("land").style.zIndex = 150; // below tiles, which would be hidden
  window.L.geoJSON(land, { pane: "land", className: "land", interactive: false, weight: 0.5 }).addTo(map);
}
