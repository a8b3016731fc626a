// Zoom and pan, the same for every panel: the centre as shares of the film, so that panels of any size agree.

export const FIT = Object.freeze({ zoom: 1, x: 0.5, y: 0.5 });
const DEEPEST = 16;

// Film pixels to screen pixels: screen = film * scale + (left, top).
export function frame(view, size, bounds) {
  const scale = Math.min(bounds.width / size.width, bounds.height / size.height) * view.zoom;
  const { x, y } = kept(view, size, bounds, scale);
  return { scale, left: bounds.width / 2 - x * size.width * scale, top: bounds.height / 2 - y * size.height * scale };
}

// The place under the point stays where it is.
export function zoomed(view, factor, point, size, bounds) {
  const zoom = Math.min(DEEPEST, Math.max(1, view.zoom * factor));
  const before = frame(view, size, bounds);
  const scale = (before.scale * zoom) / view.zoom;
  const next = {
    zoom,
    x: ((point.x - before.left) / before.scale + (bounds.width / 2 - point.x) / scale) / size.width,
    y: ((point.y - before.top) / before.scale + (bounds.height / 2 - point.y) / scale) / size.height,
  };
  return kept(next, size, bounds, scale);
}

export function panned(view, across, down, size, bounds) {
  const { scale } = frame(view, size, bounds);
  const next = { ...view, x: view.x - across / (size.width * scale), y: view.y - down / (size.height * scale) };
  return kept(next, size, bounds, scale);
}

// A film wider than its panel covers it; a narrower one stands in its middle.
function kept(view, size, bounds, scale) {
  const [width, height] = [size.width * scale, size.height * scale];
  return { ...view, x: within(view.x, bounds.width, width), y: within(view.y, bounds.height, height) };
}

function within(centre, room, length) {
  const half = room / (2 * length);
  return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, centre));
}
