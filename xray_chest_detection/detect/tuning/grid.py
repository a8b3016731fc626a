"""The grid of operating points, from one suppression and one matching per overlap and mode.

A prediction's fate in greedy suppression and in greedy matching depends on better predictions only. The record of the
lowest score threshold therefore serves every higher one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.config.detect import GridName
from xray_chest_detection.core import matching
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.nms import MAX_DETECTIONS
from xray_chest_detection.core.scene import known_boxes
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.tuning.objectives import MATCH_IOUS, Measures, Objective, measure
from xray_chest_detection.errors import ConfigError
from xray_chest_detection.inference.decode import FLOOR


@dataclass(frozen=True)
class Axes:
    """The score thresholds and overlaps of a grid, rising.

    Raises:
        ConfigError: One of them is empty, or a value is outside its range.
    """

    confs: tuple[float, ...]
    ious: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values, low in (("score thresholds", self.confs, FLOOR), ("overlaps", self.ious, 0.0)):
            wrong = [value for value in values if not low <= value <= 1]
            if wrong or not values:
                got = f"{wrong[0]:g}" if wrong else "none"
                raise ConfigError(f"{name} of the grid: expected numbers from {low:g} to 1, got {got}")


GRIDS: dict[GridName, Axes] = {
    "original": Axes((0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.1, 0.3, 0.5, 0.6, 0.8)),
    "fine": Axes(tuple(step / 50 for step in range(1, 41)), tuple(step / 10 for step in range(1, 10))),
}


@dataclass(frozen=True)
class GridPoint(Measures):
    """One operating point and how it does.

    Attributes:
        conf: Score from which a box is shown.
        iou: Overlap above which the weaker box is dropped.
        agnostic: Whether classes suppress each other.
        score: The objective.
        allowed: Whether it keeps the limit of the objective, if that has one.
    """

    conf: float
    iou: float
    agnostic: bool
    score: float
    allowed: bool

    def row(self) -> dict[str, object]:
        """The point as one row of a table: where it is, how it does, the objective."""
        place = ("conf", "iou", "agnostic")
        values = asdict(self)
        return {name: values[name] for name in (*place, *(name for name in values if name not in place))}


@dataclass(frozen=True, eq=False)
class Record:
    """What one way of suppressing leaves, matched with the true boxes.

    Attributes:
        iou: Overlap above which the weaker box is dropped.
        agnostic: Whether classes suppress each other.
        per_class: The record of each class at the overlaps `MATCH_IOUS`.
    """

    iou: float
    agnostic: bool
    per_class: tuple[Matches, ...]

    def on_images(self, images: NDArray[np.bool_]) -> "Record":
        """The same for some of the images, picked by a mask `(I,)`."""
        return Record(self.iou, self.agnostic, tuple(_on_images(matches, images) for matches in self.per_class))


def make_records(candidates: Candidates, split: LabelledSplit, axes: Axes) -> tuple[Record, ...]:
    """A record for every overlap and, with more than one class, for suppression within and across classes."""
    modes = (False, True) if len(split.classes) > 1 else (False,)
    lowest = min(axes.confs)
    return tuple(
        Record(iou, agnostic, match_marks(candidates.table(conf=lowest, iou=iou, agnostic=agnostic), split))
        for agnostic in modes
        for iou in sorted(axes.ious)
    )


def match_marks(marks: BoxTable, split: LabelledSplit) -> tuple[Matches, ...]:
    """Marks on a split against its true boxes, class by class, at the overlaps `MATCH_IOUS`.

    Boxes of classes that are unknown on their image are neither right nor wrong, as in the evaluation.
    """
    truth, found = known_boxes(split.truth, split.unknown), known_boxes(marks, split.unknown)
    n_classes = len(split.classes)
    return matching.match_classes(truth, found, n_classes=n_classes, ious=MATCH_IOUS, max_detections=MAX_DETECTIONS)


def grid_points(records: Sequence[Record], confs: Sequence[float], objective: Objective) -> tuple[GridPoint, ...]:
    """Every score threshold with every record."""
    return tuple(_point(record, conf, objective) for record in records for conf in sorted(confs))


def choose(points: Sequence[GridPoint], objective: Objective) -> GridPoint:
    """The best point; of equal ones the one that shows fewer boxes: higher score, lower overlap, across classes.

    With `map_then_f1` the suppression that ranks all boxes best is taken first: suppression across classes can raise F1
    at a high threshold and cost average precision, which counts the boxes below it too. With `sensitivity`, when no
    point is quiet enough, the quietest one is taken.
    """
    if objective.name == "map_then_f1":
        lowest = min(point.conf for point in points)
        ranked = max((p for p in points if p.conf == lowest), key=lambda point: (round(point.map50, 9), -point.iou))
        points = [p for p in points if (p.iou, p.agnostic) == (ranked.iou, ranked.agnostic)]
    return max(points, key=lambda point: (objective.rank(point), point.conf, -point.iou, point.agnostic))


def grid_csv(points: Sequence[GridPoint]) -> str:
    """The grid as CSV text, one row a point."""
    rows = [point.row() for point in points]
    lines = [",".join(_cell(value) for value in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *lines]) + "\n"


def _point(record: Record, conf: float, objective: Objective) -> GridPoint:
    at = measure([matches.above(conf) for matches in record.per_class])
    score, allowed = objective.score(at), objective.allows(at)
    return GridPoint(**vars(at), conf=conf, iou=record.iou, agnostic=record.agnostic, score=score, allowed=allowed)


def _on_images(matches: Matches, images: NDArray[np.bool_]) -> Matches:
    rows, number = images[matches.image], np.cumsum(images) - 1
    image = number[matches.image[rows]]
    return Matches(matches.ious, matches.score[rows], image, matches.hit[:, rows], matches.positives[images])


def _cell(value: object) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value).lower()
