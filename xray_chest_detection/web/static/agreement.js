// Which marks of different models mean the same finding. Pure functions on marks {id, model, class, score, box}.

export const SHARED_IOU = 0.4;

// A model with this one class says that there is something, not what.
export const ANY_CLASS = "Finding";

export function iou([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) {
  const across = Math.min(ax2, bx2) - Math.max(ax1, bx1);
  const down = Math.min(ay2, by2) - Math.max(ay1, by1);
  if (across <= 0 || down <= 0) return 0;
  const both = across * down;
  return both / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - both);
}

// Findings {id, class, letter, colour, members}, shared ones first, then by score. A finding holds at most one mark of
// each model; the pairs that overlap most are joined first, so the result does not depend on the order of the marks.
export function findingsOf(marks) {
  const groupOf = new Map(marks.map((mark) => [mark.id, [mark]]));
  for (const [a, b] of closePairs(marks)) {
    const [first, second] = [groupOf.get(a.id), groupOf.get(b.id)];
    if (first === second || !joinable(first, second)) continue;
    first.push(...second);
    for (const mark of second) groupOf.set(mark.id, first);
  }
  return [...new Set(groupOf.values())].map(finding).sort(sharedThenScore);
}

export function isShared({ members }) {
  return members.length > 1;
}

export function tally(findings) {
  const shared = findings.filter(isShared).length;
  return { shared, alone: findings.length - shared };
}

// One mark for each finding: its box is the mean of the members' boxes, weighted by their scores.
export function fused(findings) {
  return findings.map((finding) => ({ ...finding.members[0], ...finding, box: meanBox(finding.members) }));
}

function closePairs(marks) {
  const pairs = [];
  marks.forEach((a, index) => {
    for (const b of marks.slice(index + 1)) {
      if (a.model === b.model || !sameClass(a.class, b.class)) continue;
      const overlap = iou(a.box, b.box);
      if (overlap >= SHARED_IOU) pairs.push([a, b, overlap]);
    }
  });
  return pairs.sort((p, q) => q[2] - p[2] || compare(idsOf(p), idsOf(q)));
}

function idsOf([a, b]) {
  return [a.id, b.id].sort().join();
}

function sameClass(a, b) {
  return a === b || a === ANY_CLASS || b === ANY_CLASS;
}

function joinable(first, second) {
  return first.every((a) => second.every((b) => a.model !== b.model && sameClass(a.class, b.class)));
}

function finding(marks) {
  const members = [...marks].sort((a, b) => b.score - a.score || compare(a.id, b.id));
  const named = members.find((mark) => mark.class !== ANY_CLASS) ?? members[0];
  return { id: members[0].id, class: named.class, letter: named.letter, colour: named.colour, members };
}

function sharedThenScore(a, b) {
  return isShared(b) - isShared(a) || b.members[0].score - a.members[0].score || compare(a.id, b.id);
}

function meanBox(members) {
  const total = members.reduce((sum, { score }) => sum + score, 0);
  return [0, 1, 2, 3].map((edge) => members.reduce((sum, { score, box }) => sum + score * box[edge], 0) / total);
}

function compare(a, b) {
  return a < b ? -1 : Number(a > b);
}
