// The map with the land of the Earth; it asks no other site for tiles.
import { get } from "./asking.js";

// Across the date line a ring goes on beyond 180 degrees, instead of all the way back.
function continued(part) {
  if (typeof part[0][0] !== "number") return part.map(continued);
  let last = part[0][0];
  return part.map(([x, y]) => [(last = x + 360 * Math.round((last - x) / 360)), y]);
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
