"""From records to thresholds: the point of the grid, and score thresholds of single classes where boxes allow it.

A class gets a threshold of its own only with enough validation boxes, and then only as far from the shared one as their
number warrants: a dozen boxes say next to nothing about where the best threshold lies.
"""

from collections.abc import Sequence

from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.tuning.grid import GridPoint, Record, choose
from xray_chest_detection.detect.tuning.objectives import Objective, measure

MIN_CLASS_BOXES = 20
SHRINKAGE_BOXES = 20
_SWEEPS = 2


def boxes_of(record: Record, classes: Sequence[str]) -> dict[str, int]:
    """Number of true boxes of each class."""
    return {name: matches.n_positives for name, matches in zip(classes, record.per_class, strict=True)}


def choose_thresholds(
    records: Sequence[Record],
    points: Sequence[GridPoint],
    *,
    classes: Sequence[str],
    confs: Sequence[float],
    objective: Objective,
    per_class: bool,
) -> Thresholds:
    """The best point of a grid as thresholds.

    Args:
        records: What each way of suppressing leaves.
        points: The grid of these records.
        classes: Class names by class id.
        confs: Score thresholds to try for single classes.
        objective: What is maximised.
        per_class: Whether classes with at least `MIN_CLASS_BOXES` true boxes may get thresholds of their own.
    """
    best = choose(points, objective)
    record = next(record for record in records if (record.iou, record.agnostic) == (best.iou, best.agnostic))
    own = _class_confs(record, best.conf, classes=classes, confs=confs, objective=objective) if per_class else {}
    return Thresholds(
        conf=best.conf,
        iou=best.iou,
        agnostic=best.agnostic,
        per_class=own,
        chosen_on="val",
        objective=objective.text,
        n_boxes=boxes_of(record, classes),
    )


def shrunk(own: float, shared: float, n_boxes: int) -> float:
    """A class's threshold drawn towards the shared one, half-way with `SHRINKAGE_BOXES` boxes.

    >>> shrunk(0.6, 0.2, 20)
    0.4
    """
    return round(shared + (own - shared) * n_boxes / (n_boxes + SHRINKAGE_BOXES), 4)


def _class_confs(
    record: Record, shared: float, *, classes: Sequence[str], confs: Sequence[float], objective: Objective
) -> dict[str, float]:
    """Own thresholds of classes, found one class after the other; none where they do not raise the objective.

    What a class hides is left to suppress other classes here, unlike in the deployed model; with suppression across
    classes the search is therefore approximate. What is reported is measured as deployed.
    """
    boxes = boxes_of(record, classes)
    found = dict.fromkeys(classes, shared)
    able = [name for name in sorted(classes, key=lambda name: -boxes[name]) if boxes[name] >= MIN_CLASS_BOXES]
    if len(classes) < 2 or not able:
        return {}
    for name in able * _SWEEPS:
        tried = (found[name], *confs)  # of equal ones the first, so that nothing moves without a gain
        ranks = [_rank(record, found | {name: conf}, objective) for conf in tried]
        found[name] = tried[ranks.index(max(ranks))]
    own = {name: shrunk(found[name], shared, boxes[name]) for name in able if found[name] != shared}
    better = _rank(record, found | own, objective) > _rank(record, dict.fromkeys(classes, shared), objective)
    return own if better else {}


def _rank(record: Record, confs: dict[str, float], objective: Objective) -> tuple[bool, float]:
    pairs = zip(record.per_class, confs.values(), strict=True)
    return objective.rank(measure([matches.above(conf) for matches, conf in pairs]))
