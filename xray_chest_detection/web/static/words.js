// What the page says about a result. "Marks" and "score" only: nothing here is a reading of the film.

export function headline({ shared, alone }, modelsOn) {
  if (!modelsOn) return "All models are switched off";
  if (!shared && !alone) return "No model marks anything at these thresholds";
  return modelsOn > 1 ? `${shared} shared, ${alone} alone` : `${alone} ${alone === 1 ? "mark" : "marks"} by one model`;
}

export function caution({ shared, alone }) {
  return shared + alone
    ? "A score orders a model's own marks; it is no probability."
    : "This does not mean that the film is normal: these models miss many findings.";
}

export function announcement({ shared, alone }, modelsOn) {
  const total = shared + alone;
  return total ? `Found ${total}, ${shared} shared` : headline({ shared, alone }, modelsOn);
}

export function facts({ name, note }, { image, width, height }) {
  const { format, view, laterality, notes } = image;
  const size = `${width} × ${height} px`;
  const parts = [name, note, format, size, view && `view ${view}`, laterality && `side ${laterality}`, ...notes];
  return parts.filter(Boolean).join(" · ");
}

export function countOf(shown, all) {
  if (!all) return "marks nothing";
  return shown < all ? `best ${shown} of ${all} marks` : `${all} ${all === 1 ? "mark" : "marks"}`;
}

export function lookingNow(count) {
  const words = ["No model is", "One model is", "Two models are", "Three models are", "Four models are"];
  return `${words[count] ?? `${count} models are`} looking at the film`;
}
