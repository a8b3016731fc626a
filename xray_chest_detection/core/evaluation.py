"""Scoring boxes against true boxes: the one evaluator of models and of human readers.

Average precision and FROC use every box; the operating point uses the boxes that are shown. Every number can have an
interval from image weights of resamples (`core.intervals.patient_weights`).

A class may be unknown on an image: nobody looked for it there. Boxes of that class on that image are dropped before
anything is matched, so they are neither right nor wrong, and the image does not count among those that the class was
measured on. In numbers over all classes such an image still counts once, for its known classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.intervals import percentile_interval
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.metrics import COCO_IOUS
from xray_chest_detection.core.model_card import Metric

LOW_IOU = 0.4  # the overlap of the VinBigData challenge; findings have soft borders
IOUS = (LOW_IOU, *COCO_IOUS)
_AT_50 = IOUS.index(0.5)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassRow:
    """One class: average precision over all boxes, and what the operating point finds at IoU 0.5.

    `n_images` are the images that the class was measured on: those where it is not unknown.
    """

    name: str
    n_images: int
    n_boxes: int
    ap50: float | None
    ap50_low: float | None
    ap50_high: float | None
    ap40: float | None
    ap50_95: float | None
    found: int
    false_alarms: int
    missed: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Scores:
    """All numbers of boxes on a list of images.

    Attributes:
        metrics: Every number with its interval.
        per_class: One row per class.
        pr_curves: Class name to precision `(101,)` at IoU 0.5.
        froc: Name to false alarms per image and sensitivity, `(H,)` each, at IoU 0.4.
        confusion: `(classes + 1, classes + 1)` of the shown boxes, rows true, last row and column background.
    """

    metrics: tuple[Metric, ...]
    per_class: tuple[ClassRow, ...]
    pr_curves: dict[str, FloatArray]
    froc: dict[str, tuple[FloatArray, FloatArray]]
    confusion: NDArray[np.int64]


def score_boxes(
    truth: BoxTable,
    predictions: BoxTable,
    shown: BoxTable,
    *,
    classes: Sequence[str],
    class_free: BoxTable | None = None,
    unknown: BoolArray | None = None,
    weights: FloatArray | None = None,
    split: str = "test",
) -> Scores:
    """All numbers from boxes and true boxes on the same images.

    Args:
        truth: True boxes.
        predictions: Every box, for average precision and FROC.
        shown: The boxes of the operating point.
        classes: Class names by class id.
        class_free: Every box for the FROC that ignores classes; `predictions` when not given. With one class there is
            no such FROC.
        unknown: `(I, C)` which classes are unknown on which image; None where all are known.
        weights: `(R, I)` how often each image counts in each resample; None leaves the intervals out.
        split: Name of the split, for the metrics.
    """
    n_images, n_classes = truth.n_images, len(classes)
    measured_on = np.full(n_classes, n_images) if unknown is None else (~unknown).sum(axis=0)
    tables = (truth, predictions, shown, predictions if class_free is None else class_free)
    records = _Records.make(*(known_boxes(table, unknown) for table in tables), n_classes=n_classes)
    scene = _Scene(tuple(classes), measured_on, image_rows(n_images, weights), split)
    precision = np.stack([metrics.average_precision(matches, weights=scene.rows) for matches in records.per_class])
    return Scores(
        metrics=tuple(_all_metrics(records, precision, scene)),
        per_class=tuple(_class_row(records, precision[index], scene, index) for index in range(n_classes)),
        pr_curves=_pr_curves(records, scene),
        froc=_froc_curves(records, scene),
        confusion=records.confusion,
    )


def known_boxes(table: BoxTable, unknown: BoolArray | None) -> BoxTable:
    """The boxes without those of classes that are unknown, `(I, C)`, on their image.

    >>> table = BoxTable(np.array([0, 1]), np.array([0, 0]), np.ones(2), np.zeros((2, 4)), 2)
    >>> known_boxes(table, np.array([[True], [False]])).image.tolist()
    [1]
    """
    return table if unknown is None else table.select(~unknown[table.image, table.class_id])


def image_rows(n_images: int, weights: FloatArray | None) -> FloatArray:
    """Image weights `(1 + R, I)`: every image once, then the resamples."""
    once = np.ones((1, n_images))
    return once if weights is None else np.concatenate([once, weights])


def mean_over_classes(precision: FloatArray) -> FloatArray:
    """`(C, R, T)` to `(R, T)`, classes without true boxes (NaN) left out; NaN where no class has any."""
    defined = np.isfinite(precision)
    total, count = np.where(defined, precision, 0).sum(axis=0), defined.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def rates_of(totals: FloatArray, images: FloatArray) -> dict[str, FloatArray]:
    """Precision, recall, F1 and false positives per image, `(R,)` each, of an operating point.

    Args:
        totals: `(R, 3)` finds, false alarms and misses, as `metrics.counts_of` counts them.
        images: `(R,)` number of images.

    Returns:
        By name; NaN where a rate has no denominator.
    """
    found, false_alarms, missed = totals.T
    return {
        "precision": _ratio(found, found + false_alarms),
        "recall": _ratio(found, found + missed),
        "F1": _ratio(2 * found, 2 * found + false_alarms + missed),
        "false positives per image": _ratio(false_alarms, images),
    }


def with_interval(values: FloatArray) -> tuple[float | None, float | None, float | None]:
    """A number, its low and its high from values `(1 + R,)`: the first is the number, the others are resamples."""
    low, high = percentile_interval(values[1:])
    return _number(values[0]), _number(low), _number(high)


@dataclass(frozen=True, eq=False)
class _Records:
    """The matchings all numbers come from."""

    per_class: tuple[Matches, ...]  # every box, at all overlaps
    shown: tuple[Matches, ...]  # the operating point, at IoU 0.5
    froc: Matches  # every box, classes pooled, at IoU 0.4
    froc_any: Matches  # every box, class ignored, at IoU 0.4
    confusion: NDArray[np.int64]

    @classmethod
    def make(
        cls, truth: BoxTable, predictions: BoxTable, shown: BoxTable, class_free: BoxTable, *, n_classes: int
    ) -> "_Records":
        per_class = matching.match_classes(truth, predictions, n_classes=n_classes, ious=IOUS)
        return cls(
            per_class,
            matching.match_classes(truth, shown, n_classes=n_classes),
            matching.pool([_only(matches, 0) for matches in per_class]),
            matching.match(truth.as_one_class(), class_free.as_one_class(), ious=(LOW_IOU,)),
            matching.confusion(truth, shown, n_classes=n_classes),
        )


@dataclass(frozen=True, eq=False)
class _Scene:
    """What the numbers are about: classes, the images each was measured on `(C,)`, image weights `(1 + R, I)`."""

    classes: tuple[str, ...]
    measured_on: NDArray[np.int64]
    rows: FloatArray
    split: str

    def metric(self, name: str, values: FloatArray, n_boxes: int, *, n_images: int | None = None) -> Metric:
        value, low, high = with_interval(values)
        images = self.rows.shape[1] if n_images is None else n_images
        return Metric(name=name, value=value, low=low, high=high, split=self.split, n_images=images, n_boxes=n_boxes)


def _only(matches: Matches, overlap: int) -> Matches:
    rows = slice(overlap, overlap + 1)
    return Matches(matches.ious[rows], matches.score, matches.image, matches.hit[rows], matches.positives)


def _all_metrics(records: _Records, precision: FloatArray, scene: _Scene) -> list[Metric]:
    mean = mean_over_classes(precision)
    n_boxes = records.froc.n_positives
    result = [
        scene.metric("mAP50", mean[:, _AT_50], n_boxes),
        scene.metric("mAP40", mean[:, 0], n_boxes),
        scene.metric("mAP50-95", mean[:, 1:].mean(axis=1), n_boxes),
    ]
    if len(scene.classes) > 1:
        per_class = zip(scene.classes, precision, records.per_class, scene.measured_on, strict=True)
        result += [
            scene.metric(f"AP50 {name}", values[:, _AT_50], matches.n_positives, n_images=int(images))
            for name, values, matches, images in per_class
        ]
    for label, record in _froc_records(records, scene):
        values = metrics.sensitivity_at(record, weights=scene.rows)
        for column, rate in enumerate(metrics.FROC_RATES):
            name = f"sensitivity at {rate:g} false positives per image, IoU {LOW_IOU:g}{label}"
            result.append(scene.metric(name, values[:, column], n_boxes))
    totals = np.sum([metrics.counts_of(matches, weights=scene.rows) for matches in records.shown], axis=0)
    for name, values in rates_of(totals, scene.rows.sum(axis=1)).items():
        result.append(scene.metric(f"{name} at the operating point", values, n_boxes))
    return result


def _froc_records(records: _Records, scene: _Scene) -> list[tuple[str, Matches]]:
    several = [(", class ignored", records.froc_any)] if len(scene.classes) > 1 else []
    return [("", records.froc), *several]


def _class_row(records: _Records, precision: FloatArray, scene: _Scene, index: int) -> ClassRow:
    ap50, low, high = with_interval(precision[:, _AT_50])
    found = metrics.counts(records.shown[index])
    return ClassRow(
        name=scene.classes[index],
        n_images=int(scene.measured_on[index]),
        n_boxes=records.per_class[index].n_positives,
        ap50=ap50,
        ap50_low=low,
        ap50_high=high,
        ap40=_number(precision[0, 0]),
        ap50_95=_number(precision[0, 1:].mean()),
        found=found.found,
        false_alarms=found.false_alarms,
        missed=found.missed,
        precision=_number(found.precision),
        recall=_number(found.recall),
        f1=_number(found.f1),
    )


def _pr_curves(records: _Records, scene: _Scene) -> dict[str, FloatArray]:
    return {
        name: metrics.precision_recall_curve(matches, overlap=_AT_50)
        for name, matches in zip(scene.classes, records.per_class, strict=True)
        if matches.n_positives
    }


def _froc_curves(records: _Records, scene: _Scene) -> dict[str, tuple[FloatArray, FloatArray]]:
    curves = {}
    for name, matches, images in zip(scene.classes, records.per_class, scene.measured_on, strict=True):
        if matches.n_positives:
            false_alarms, sensitivity, _ = metrics.froc_curve(matches)
            curves[name] = false_alarms * (len(matches.positives) / images), sensitivity
    if len(scene.classes) > 1:
        curves |= {"all classes": metrics.froc_curve(records.froc)[:2]}
        curves |= {"class ignored": metrics.froc_curve(records.froc_any)[:2]}
    return curves


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
