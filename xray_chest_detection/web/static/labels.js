// Where labels go: pure functions on rectangles {x, y, width, height} in screen pixels.

const STEPS = 8;

// One place per box, in the order given; each avoids the places before it if it can, and stays inside the bounds.
export function placeLabels(boxes, sizes, bounds) {
  const taken = [];
  boxes.forEach((box, index) => {
    const candidates = candidatesFor(box, sizes[index], bounds);
    taken.push(candidates.find((place) => !taken.some((other) => overlap(place, other))) ?? candidates[0]);
  });
  return taken;
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
