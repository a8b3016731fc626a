// What the page says about a result. "Marks" and "score" only: nothing here is a reading of the film.

export function headline(result) {
  const lists = Object.values(result.models);
  const total = lists.reduce((sum, list) => sum + list.length, 0);
  if (!total) return "No model marks anything at these thresholds";
  const marking = lists.filter((list) => list.length).length;
  return `${total} ${total === 1 ? "mark" : "marks"} by ${marking} of ${lists.length} models`;
}

export function caution(result) {
  const some = Object.values(result.models).some((list) => list.length);
  return some
    ? "A score orders a model's own marks; it is no probability."
    : "This does not mean that the film is normal: these models miss many findings.";
}

export function facts(name, result) {
  const { format, view, laterality, notes } = result.image;
  const size = `${result.width} × ${result.height} px`;
  return [name, format, size, view && `view ${view}`, laterality && `side ${laterality}`, ...notes].filter(Boolean).join(" · ");
}
