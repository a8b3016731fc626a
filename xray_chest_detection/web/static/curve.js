// What a model's card knows about a threshold.

// One line. At `conf` null the tuned thresholds hold; where they differ by class the curve, which has one threshold for
// all classes, does not describe them.
export function knownAt(card, conf) {
  const curve = card.operating_curve;
  const byClass = Object.keys(card.thresholds.per_class).length > 0;
  if (!curve || (conf === null && byClass)) return `Tuned: ${card.operating_point}.`;
  return sentence(card, nearest(curve.points, conf ?? card.thresholds.conf));
}

export function nearest(points, conf) {
  return points.reduce((best, point) => (Math.abs(point.conf - conf) < Math.abs(best.conf - conf) ? point : best));
}

// A score without its zero: ".20".
function short(score) {
  return score.toFixed(2).replace(/^0/, "");
}

// The numbers may be those of a twin; then the page says beside the sliders what that is.
function sentence({ operating_curve: curve, measured_on: twin }, point) {
  const { split, n_images: films, n_boxes: boxes } = curve;
  const { sensitivity, false_positives_per_image: falseMarks } = point;
  const whose = twin ? "its twin, " : "its ";
  const parts = [
    `at ${short(point.conf)}: finds ${percent(sensitivity)} %`,
    interval(point),
    `at ${falseMarks.toFixed(falseMarks < 0.1 ? 2 : 1)} false marks/film`,
    `(${whose}${split} split, n = ${films} films, ${boxes} boxes)`,
  ];
  return parts.filter(Boolean).join(" ");
}

// Where all boxes are found, or none, a bootstrap knows no other outcome: an interval that is a point is left out.
function interval({ sensitivity_low: low, sensitivity_high: high }) {
  return low === null || high === null || low === high ? "" : `[${percent(low)}–${percent(high)}]`;
}

function percent(share) {
  return share === null ? "–" : Math.round(100 * share);
}
