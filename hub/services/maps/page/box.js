// A box that is drawn with the mouse: one drag on the map, and it is there.
export function drawBox(map, done) {
  const L = window.L;
  let start = null;
  let shape = null;
  const places = {
    mousedown(event) {
      start = event.latlng;
      shape = L.rectangle([start, start], { className: "drawing", weight: 2 }).addTo(map);
    },
    mousemove(event) {
      if (shape) shape.setBounds(L.latLngBounds(start, event.latlng));
    },
    mouseup(event) {
      if (!shape) return;
      const bounds = L.latLngBounds(start, event.latlng);
      stop();
      done(bounds);
    },
  };
  function stop() {
    if (shape) shape.remove();
    map.off(places);
    map.dragging.enable();
    map.getContainer().classList.remove("is-drawing");
    document.removeEventListener("keydown", escape);
  }
  function escape(event) {
    if (event.key === "Escape") {
      stop();
      done(null);
    }
  }
  map.dragging.disable();
  map.getContainer().classList.add("is-drawing");
  map.on(places);
  document.addEventListener("keydown", escape);
}

// West, south, east, north, as a search wants them, whichever way round the world the map was turned.
export function toBbox(bounds) {
  const wrap = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
  const wide = bounds.getEast() - bounds.getWest() >= 360;
  const near = (number) => Math.round(number * 1e4) / 1e4;
  const south = Math.max(bounds.getSouth(), -90);
  const north = Math.min(bounds.getNorth(), 90);
  return [wide ? -180 : wrap(bounds.getWest()), south, wide ? 180 : wrap(bounds.getEast()), north].map(near);
}
