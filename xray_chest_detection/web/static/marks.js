// From the server's answer to the marks that are shown: cut at the thresholds, what is switched off left out.

export const MOST_A_MODEL = 100;
const DASHES = ["none", "9 5", "2 4", "14 4 3 4"];
const UNKNOWN = { letter: "?", colour: "#e8e8e8" };

// {marks: {model: [mark]}, counts: {model: number}}: the best of each model, and how many there were before the cap.
export function marksShown(answer, cards, conf, off) {
  const marks = {};
  const counts = {};
  for (const [model, found] of Object.entries(answer?.models ?? {})) {
    if (!(model in cards) || off.models.includes(model)) continue;
    const kept = found
      .map((mark, index) => ({ ...mark, model, id: `${model}/${index}`, ...lookOf(cards[model], mark.class) }))
      .filter((mark) => mark.score >= thresholdOf(cards[model], conf[model], mark.class))
      .filter((mark) => !off.classes.includes(mark.class));
    counts[model] = kept.length;
    marks[model] = kept.slice(0, MOST_A_MODEL);
  }
  return { marks, counts };
}

// A moved slider holds for all classes of its model; at the tuned setting each class has its own threshold.
export function thresholdOf(card, conf, className) {
  return conf ?? card.thresholds.per_class[className] ?? card.thresholds.conf;
}

export function dashOf(index) {
  return DASHES[index % DASHES.length];
}

// All classes that some model knows, in the order of the models.
export function classesOf(cards) {
  const known = new Map();
  for (const card of Object.values(cards)) for (const entry of card.classes) known.set(entry.name, entry);
  return [...known.values()];
}

function lookOf(card, name) {
  const { letter, colour } = card.classes.find((entry) => entry.name === name) ?? UNKNOWN;
  return { letter, colour };
}
