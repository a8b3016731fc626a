// Window and level on the picture that is shown, as the two numbers of a linear transfer. Level and width are shares of
// the grey range; out = slope * in + intercept, cut to 0..1.

export const PLAIN = Object.freeze({ level: 0.5, width: 1, invert: false });
const NARROWEST = 0.04;

export function transfer({ level, width, invert }) {
  const slope = 1 / width;
  const intercept = 0.5 - level / width;
  return invert ? { slope: -slope, intercept: 1 - intercept } : { slope, intercept };
}

export function isPlain({ level, width, invert }) {
  return level === PLAIN.level && width === PLAIN.width && !invert;
}

// A drag of the whole side of a panel moves level or width over half of their range.
export function dragged(light, across, down) {
  return windowed(light, { width: light.width + across / 2, level: light.level + down / 2 });
}

export function windowed(light, { level = light.level, width = light.width }) {
  return { ...light, level: Math.min(1, Math.max(0, level)), width: Math.min(1, Math.max(NARROWEST, width)) };
}
