"""Choosing a run's operating point on its validation split, from one forward pass.

A prediction's fate in greedy suppression and in greedy matching depends on better predictions only. One suppression and
one matching per overlap and mode therefore serve every score threshold: the grid costs seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.evaluation import known_boxes
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.nms import MAX_DETECTIONS
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split, require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import TunedThresholds, write_tuned

GRID_FILE = "nms_grid.csv"
CONFS = (0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
IOUS = (0.1, 0.3, 0.5, 0.6, 0.8)
MATCH_IOU = 0.5

Objective = Literal["recall_map", "f1", "map_then_f1"]
OBJECTIVES: dict[str, str] = {
    "recall_map": "mean of recall at the best F1 and mAP50",
    "f1": "F1 of all boxes at this operating point",
    "map_then_f1": "suppression by mAP50 over all boxes, then score threshold by F1",
}


@dataclass(frozen=True)
class GridPoint:
    """One operating point and how it does.

    Attributes:
        conf: Score from which a box is shown.
        iou: Overlap above which the weaker box is dropped.
        agnostic: Whether classes suppress each other.
        map50: Mean AP at IoU 0.5 of the boxes that are shown.
        best_recall: Mean recall of the classes at the score where their mean F1 is highest, as training reports it.
        precision: Share of the shown boxes that are right, all classes together.
        recall: Share of the true boxes that are shown, all classes together.
        f1: Harmonic mean of the two.
        false_alarms_per_image: Wrong boxes per image.
        score: The objective.
    """

    conf: float
    iou: float
    agnostic: bool
    map50: float
    best_recall: float
    precision: float
    recall: float
    f1: float
    false_alarms_per_image: float
    score: float


def tune_nms(
    run: Run,
    *,
    objective: Objective = "recall_map",
    device: str | None = None,
    progress: Progress | None = None,
) -> tuple[TunedThresholds, tuple[GridPoint, ...]]:
    """Choose the thresholds of a run on val and write `thresholds.yaml` and `nms_grid.csv` into its folder.

    Returns:
        What was chosen, and all points, the chosen one first, then by falling score.

    Raises:
        DataError: The validation split is missing or has no boxes.
        ModelError: The weights do not fit the data.
    """
    split = read_labelled_split(run.config.data, "val")
    require_boxes(split, purpose="the choice of thresholds")
    points = grid(predict_split(run, split, device=device, progress=progress), split, objective=objective)
    best = choose(points, objective=objective)
    points = (best, *sorted((point for point in points if point is not best), key=lambda point: -point.score))
    tuned = TunedThresholds(
        thresholds=Thresholds(
            conf=best.conf, iou=best.iou, agnostic=best.agnostic, chosen_on="val", objective=OBJECTIVES[objective]
        ),
        score=round(best.score, 6),
        weights_sha256=sha256_of(run.weights),
        n_images=len(split.image_id),
        n_boxes=len(split.truth),
    )
    write_text(run.folder / GRID_FILE, grid_csv(points))
    write_tuned(run, tuned)
    return tuned, points


def grid(
    candidates: Candidates,
    split: LabelledSplit,
    *,
    confs: Sequence[float] = CONFS,
    ious: Sequence[float] = IOUS,
    objective: Objective = "recall_map",
) -> tuple[GridPoint, ...]:
    """Every combination of score threshold, overlap and, with more than one class, suppression across classes.

    Boxes of classes that are unknown on their image are neither right nor wrong, as in the evaluation.
    """
    points = []
    for agnostic in (False, True) if len(split.classes) > 1 else (False,):
        for iou in ious:
            found = known_boxes(candidates.table(conf=min(confs), iou=iou, agnostic=agnostic), split.unknown)
            per_class = matching.match_classes(
                split.truth, found, n_classes=len(split.classes), ious=(MATCH_IOU,), max_detections=MAX_DETECTIONS
            )
            points += [_point(per_class, conf, iou, agnostic, objective) for conf in sorted(confs)]
    return tuple(points)


def choose(points: Sequence[GridPoint], *, objective: Objective = "recall_map") -> GridPoint:
    """The best point; of equal ones the one that shows fewer boxes: higher score, lower overlap, across classes.

    With `map_then_f1` the suppression that ranks all boxes best is taken first: suppression across classes can raise F1
    at a high threshold and cost average precision, which counts the boxes below it too.
    """
    if objective == "map_then_f1":
        lowest = min(point.conf for point in points)
        ranked = max((p for p in points if p.conf == lowest), key=lambda point: (round(point.map50, 9), -point.iou))
        points = [p for p in points if (p.iou, p.agnostic) == (ranked.iou, ranked.agnostic)]
    return max(points, key=lambda point: (round(point.score, 9), point.conf, -point.iou, point.agnostic))


def grid_csv(points: Sequence[GridPoint]) -> str:
    """The grid as CSV text, one row a point."""
    names = list(GridPoint.__dataclass_fields__)
    lines = [",".join(_cell(getattr(point, name)) for name in names) for point in points]
    return "\n".join([",".join(names), *lines]) + "\n"


def _point(per_class: Sequence[Matches], conf: float, iou: float, agnostic: bool, objective: Objective) -> GridPoint:
    shown = [matches.above(conf) for matches in per_class]
    precisions = np.concatenate([metrics.average_precision(matches)[0] for matches in shown])
    map50 = float(np.nanmean(precisions))
    _, _, best_recall = metrics.best_f1_point(shown)
    total = metrics.counts(matching.pool(shown))
    f1 = total.f1 or 0.0
    return GridPoint(
        conf=conf,
        iou=iou,
        agnostic=agnostic,
        map50=map50,
        best_recall=best_recall,
        precision=total.precision or 0.0,
        recall=total.recall or 0.0,
        f1=f1,
        false_alarms_per_image=total.false_alarms / len(shown[0].positives),
        score=(best_recall + map50) / 2 if objective == "recall_map" else f1,
    )


def _cell(value: object) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value).lower()
