// A box that is drawn on the map with the mouse, a pen or a finger: one drag, and it is there.
export function drawBox(map, done) {
  const L = window.L;
  const target = map.getContainer();
  let start = null;
  let shape = null;
  const listened = { pointerdown: begin, pointermove: move, pointerup: end, pointercancel: giveUp };

  function begin(event) {
    if (!event.isPrimary || event.button) return;
    event.preventDefault();
    event.stopPropagation();
    target.setPointerCapture(event.pointerId);
    start = map.mouseEventToLatLng(event);
    shape = L.rectangle([start, start], { className: "drawing", weight: 2, interactive: false }).addTo(map);
  }
  function move(event) {
    if (!shape || !event.isPrimary) return;
    event.stopPropagation();
    shape.setBounds(L.latLngBounds(start, map.mouseEventToLatLng(event)));
  }
  function end(event) {
    if (!shape || !event.isPrimary) return;
    event.stopPropagation();
    const bounds = L.latLngBounds(start, map.mouseEventToLatLng(event));
    stop();
    done(bounds);
  }
  function giveUp() {
    stop();
    done(null);
  }
  function escape(event) {
    if (event.key === "Escape") giveUp();
  }
  function stop() {
    if (shape) shape.remove();
    for (const [name, listener] of Object.entries(listened)) target.removeEventListener(name, listener, true);
    document.removeEventListener("keydown", escape);
    map.dragging.enable();
    target.classList.remove("is-drawing");
  }
  map.dragging.disable();
  target.classList.add("is-drawing");
  for (const [name, listener] of Object.entries(listened)) target.addEventListener(name, listener, true);
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
