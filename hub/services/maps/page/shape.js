import { unbroken } from "./land.js";

// A file of shapes that is searched by: the service reads it, and says what it holds.
export const MOST = 3 * 2 ** 20; // bytes, as base 64 in the body of a request

// The file as it can be kept while one logs in.
export async function fileOf(file) {
  if (file.size > MOST) {
    throw new Error(`${file.name} has more than 3 MiB: simplify it, or search in a notebook: gl.search(…, intersects="${file.name}").`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let begin = 0; begin < bytes.length; begin += 8192) text += String.fromCharCode(...bytes.subarray(begin, begin + 8192));
  return { name: file.name, data: btoa(text) };
}

export function drawShape(map, geometry) {
  const L = window.L;
  const features = geometry.features?.map((feature) => ({ ...feature, geometry: unbroken(feature.geometry) }));
  const shape = L.geoJSON(features ?? unbroken(geometry), { className: "area", fill: false, weight: 2, interactive: false,
    pointToLayer: (_, place) => L.circleMarker(place, { className: "area", radius: 5 }) }).addTo(map);
  map.fitBounds(shape.getBounds(), { maxZoom: 10, padding: [30, 30] });
  return shape;
}
