// Wheel, pinch, drag and double click on an element, told in pixels from its upper left corner. A drag with Shift held
// is told as `light`, so that the same hand moves the film and windows it.

const CLICK_PX = 4;
const WHEEL_STEP = 0.0022;

export function gestures(element, { zoom, pan, light, twice }) {
  const fingers = new Map();
  const place = ({ clientX, clientY }) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  };

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      zoom(Math.exp(-event.deltaY * lines * WHEEL_STEP), place(event));
    },
    { passive: false },
  );
  element.addEventListener("dblclick", (event) => twice(place(event)));
  element.addEventListener("pointerdown", (event) => {
    if (event.button === 0) fingers.set(event.pointerId, { start: place(event), now: place(event), dragging: false });
  });
  element.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!event.buttons) fingers.delete(event.pointerId); // let go outside the element
    if (!finger || !event.buttons) return;
    const before = finger.now;
    finger.now = place(event);
    if (fingers.size === 2) pinch(fingers, event.pointerId, before, { zoom, pan });
    else if (begins(finger)) {
      element.setPointerCapture(event.pointerId);
      const told = event.shiftKey ? light : pan;
      told(finger.now.x - before.x, finger.now.y - before.y);
    }
  });
  const lift = (event) => fingers.delete(event.pointerId);
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, lift);
}

// Small movements are part of a click.
function begins(finger) {
  finger.dragging ||= distance(finger.start, finger.now) > CLICK_PX;
  return finger.dragging;
}

function pinch(fingers, moved, before, { zoom, pan }) {
  const [other] = [...fingers].filter(([id]) => id !== moved).map(([, finger]) => finger.now);
  const { now } = fingers.get(moved);
  const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
  const was = distance(before, other);
  if (was > 0) zoom(distance(now, other) / was, middle);
  pan((now.x - before.x) / 2, (now.y - before.y) / 2);
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
