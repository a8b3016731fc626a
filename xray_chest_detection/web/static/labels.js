// Where labels go: pure functions on rectangles {x, y, width, height} in screen pixels.

const STEPS = 8;

// One place {rect, free} per box, in the order given, inside the bounds. Each avoids the free ones before it; where all
// tries are taken the label is not free, and the page shows it only when its box is lifted.
export function placeLabels(boxes, sizes, bounds) {
  const taken = [];
  return boxes.map((box, index) => {
    const candidates = candidatesFor(box, sizes[index], bounds);
    const rect = candidates.find((place) => !taken.some((other) => overlap(place, other)));
    if (rect) taken.push(rect);
    return { rect: rect ?? candidates[0], free: Boolean(rect) };
  });
}

function candidatesFor(box, size, bounds) {
  const right = box.x + box.width - size.width;
  const bottom = box.y + box.height;
  const tries = [];
  for (const y of [box.y - size.height - 2, box.y, bottom - size.height, bottom + 2]) {
    for (const x of [box.x, right]) tries.push([x, y]);
  }
  for (let step = 1; step < STEPS; step += 1) tries.push([box.x, box.y + step * (size.height + 2)]);
  return tries.map(([x, y]) => ({
    x: clamp(x, 0, bounds.width - size.width),
    y: clamp(y, 0, bounds.height - size.height),
    ...size,
  }));
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(value, Math.max(low, high)));
}

function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
