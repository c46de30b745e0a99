// A box that is drawn on the map with the mouse, a pen or a finger: one drag, and it is there.
const STILL = 3; // pixels: a click, and no drag

// One thing is drawn at a time: what begins gives up what was under way, on any map of the page.
let underWay = null;
export function begin(giveUp) {
  underWay?.();
  underWay = giveUp;
}
export function ended(giveUp) {
  if (underWay === giveUp) underWay = null;
}

// `done` is called with the bounds, or with null if it was given up, which what is returned does.
export function drawBox(map, done) {
  const L = window.L;
  const target = map.getContainer();
  let start = null;
  let shape = null;
  const listened = { pointerdown: press, pointermove: move, pointerup: end, pointercancel: giveUp };

  function press(event) {
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
    const last = map.mouseEventToLatLng(event);
    noClick();
    if (map.latLngToContainerPoint(start).distanceTo(map.latLngToContainerPoint(last)) < STILL) {
      shape.remove();
      shape = null; // a box is dragged: it can still be
      return;
    }
    stop();
    done(L.latLngBounds(start, last));
  }
  // The end of a drag is a click for the browser, and shall be none for the map.
  function noClick() {
    const swallow = (event) => event.stopPropagation();
    target.addEventListener("click", swallow, { capture: true, once: true });
    target.addEventListener("pointerdown", () => target.removeEventListener("click", swallow, true), { capture: true, once: true });
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
    ended(giveUp);
  }
  begin(giveUp);
  map.dragging.disable();
  target.classList.add("is-drawing");
  for (const [name, listener] of Object.entries(listened)) target.addEventListener(name, listener, true);
  document.addEventListener("keydown", escape);
  return giveUp;
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
