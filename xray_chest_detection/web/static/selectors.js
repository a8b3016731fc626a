// What follows from the state, computed once for each change of what it depends on.

import { findingsOf, fused } from "./agreement.js";
import { marksShown } from "./marks.js";
import { memo } from "./store.js";

const shown = memo(marksShown);
const grouped = memo(({ marks }) => findingsOf(Object.values(marks).flat()));
const melted = memo(fused);
const owners = memo((findings) => new Map(findings.flatMap(({ id, members }) => members.map((mark) => [mark.id, id]))));
const everything = memo(({ marks }) => Object.values(marks).flat());

export const shownOf = ({ answer, cards, conf, off }) => shown(answer, cards, conf, off);
export const findings = (state) => grouped(shownOf(state));
export const fusedMarks = (state) => melted(findings(state));
export const allMarks = (state) => everything(shownOf(state));

// Which finding each mark belongs to.
export const findingOf = (state) => owners(findings(state));
