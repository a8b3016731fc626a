"""What is measured, and who matched whom in it: the ground that `core.measures` stands on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.metrics import COCO_IOUS
from xray_chest_detection.core.numbers import BoolArray, FloatArray, Number

LOW_IOU = 0.4  # the overlap of the VinBigData challenge; findings have soft borders


@dataclass(frozen=True, eq=False)
class Scene:
    """What is measured. Boxes of classes that are unknown on their image are gone.

    Attributes:
        classes: Class names by class id.
        truth: True boxes.
        predictions: Every box.
        shown: The boxes of the operating point.
        class_free: Every box for numbers that ignore classes.
        known: `(I, C)` which classes are known on which image.
        present: `(I, C)` which classes are on which image, boxed or labelled.
        image_area_px: `(I,)`, or None where nobody knows.
        rows: `(1 + R, I)` image weights: every image once, then the resamples.
    """

    classes: tuple[str, ...]
    truth: BoxTable
    predictions: BoxTable
    shown: BoxTable
    class_free: BoxTable
    known: BoolArray
    present: BoolArray
    image_area_px: FloatArray | None
    rows: FloatArray

    @classmethod
    def make(
        cls,
        tables: tuple[BoxTable, BoxTable, BoxTable, BoxTable],
        *,
        classes: tuple[str, ...],
        unknown: BoolArray | None,
        labelled: BoolArray | None,
        image_area_px: FloatArray | None,
        rows: FloatArray,
    ) -> "Scene":
        """A scene from true boxes, all boxes, shown boxes and boxes for numbers that ignore classes."""
        truth, predictions, shown, class_free = (known_boxes(table, unknown) for table in tables)
        shape = truth.n_images, len(classes)
        known = np.ones(shape, np.bool_) if unknown is None else ~unknown
        present = np.zeros(shape, np.bool_) if labelled is None else labelled & known
        present[truth.image, truth.class_id] = True
        return cls(classes, truth, predictions, shown, class_free, known, present, image_area_px, rows)

    @property
    def measured_on(self) -> NDArray[np.int64]:
        """Number of images that each class was measured on, `(C,)`."""
        return np.asarray(self.known.sum(axis=0), np.int64)

    @property
    def several(self) -> bool:
        """Whether there is more than one class, so that numbers of one class differ from those of all."""
        return len(self.classes) > 1

    def number(self, name: str, values: FloatArray, *, n_boxes: int | None = None) -> Number:
        """A number over all images and, unless said otherwise, all true boxes."""
        return Number(name, values, len(self.truth) if n_boxes is None else n_boxes, self.truth.n_images)

    def class_number(self, name: str, values: FloatArray, index: int, *, n_boxes: int | None = None) -> Number:
        """A number of one class over the images it was measured on."""
        boxes = int((self.truth.class_id == index).sum()) if n_boxes is None else n_boxes
        return Number(name, values, boxes, int(self.measured_on[index]))

    def rows_of(self, index: int) -> FloatArray:
        """The image weights, 0 where the class is unknown."""
        return self.rows if self.known[:, index].all() else self.rows * self.known[:, index]


@dataclass(frozen=True, eq=False)
class Records:
    """The matchings most numbers come from.

    Attributes:
        ious: Overlaps of `per_class`, rising.
        per_class: Every box of each class.
        at_low_iou: The same at IoU 0.4 alone.
        shown: The operating point, each class at IoU 0.5.
        froc: Every box, classes pooled, at IoU 0.4.
        froc_any: Every box, class ignored, at IoU 0.4.
        confusion: `(C + 1, C + 1)` of the shown boxes.
    """

    ious: tuple[float, ...]
    per_class: tuple[Matches, ...]
    at_low_iou: tuple[Matches, ...]
    shown: tuple[Matches, ...]
    froc: Matches
    froc_any: Matches
    confusion: NDArray[np.int64]

    @classmethod
    def make(cls, scene: Scene, overlaps: Mapping[str, tuple[float, ...]]) -> "Records":
        """Match once at every overlap that is asked for."""
        ious = tuple(sorted({iou for several in (*overlaps.values(), (LOW_IOU, *COCO_IOUS)) for iou in several}))
        n_classes, truth = len(scene.classes), scene.truth
        per_class = matching.match_classes(truth, scene.predictions, n_classes=n_classes, ious=ious)
        low = tuple(matches.at(ious.index(LOW_IOU)) for matches in per_class)
        return cls(
            ious=ious,
            per_class=per_class,
            at_low_iou=low,
            shown=matching.match_classes(truth, scene.shown, n_classes=n_classes),
            froc=matching.pool(low),
            froc_any=matching.match(truth.as_one_class(), scene.class_free.as_one_class(), ious=(LOW_IOU,)),
            confusion=matching.confusion(truth, scene.shown, n_classes=n_classes),
        )

    def place(self, iou: float) -> int:
        """The row of an overlap in the records of the classes."""
        return self.ious.index(iou)

    def average_precision(self, scene: Scene) -> FloatArray:
        """`(C, 1 + R, T)` at all overlaps."""
        return np.stack([metrics.average_precision(matches, weights=scene.rows) for matches in self.per_class])


def known_boxes(table: BoxTable, unknown: BoolArray | None) -> BoxTable:
    """The boxes without those of classes that are unknown, `(I, C)`, on their image.

    >>> table = BoxTable(np.array([0, 1]), np.array([0, 0]), np.ones(2), np.zeros((2, 4)), 2)
    >>> known_boxes(table, np.array([[True], [False]])).image.tolist()
    [1]
    """
    return table if unknown is None else table.select(~unknown[table.image, table.class_id])
