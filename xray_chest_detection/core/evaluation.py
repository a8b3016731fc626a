"""Scoring boxes against true boxes: the one evaluator of models and of human readers.

Average precision, FROC, AUROC and calibration use every box; the operating point and the localisation table use the
boxes that are shown. Every number can have an interval from image weights of resamples
(`core.intervals.patient_weights`).

A class may be unknown on an image: nobody looked for it there. Boxes of that class on that image are dropped before
anything is matched, so they are neither right nor wrong, and the image does not count among those that the class was
measured on. In numbers over all classes such an image still counts once, for its known classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import matching, measures, metrics
from xray_chest_detection.core.calibration import Calibration
from xray_chest_detection.core.intervals import percentile_interval
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.measures import ALL_CLASSES
from xray_chest_detection.core.model_card import Metric
from xray_chest_detection.core.numbers import BoolArray, FloatArray, Number, image_rows, rounded, with_interval
from xray_chest_detection.core.scene import LOW_IOU, Records, Scene

DEFAULT_IOUS = ("0.3", "0.4", "0.5", "0.5:0.95")


@dataclass(frozen=True)
class ClassRow:
    """One class: average precision over all boxes, and what the operating point finds at IoU 0.5.

    `n_images` are the images that the class was measured on: those where it is not unknown. Intervals of the other
    numbers stand among the metrics.
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


@dataclass(frozen=True)
class ReliabilityBin:
    """Boxes of one range of scores: their mean score, and the share of them that is right, with its interval."""

    n_boxes: int
    mean_score: float | None
    share_right: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Scores:
    """All numbers of boxes on a list of images.

    Attributes:
        split: Name of the split.
        numbers: Every number with its resamples.
        per_class: One row per class.
        pr_curves: Class name to precision `(101,)` at IoU 0.5.
        score_curves: Class name, or `ALL_CLASSES`, to precision, recall and F1 `(3, 1000)` over `metrics.SCORES` at IoU
            0.5; NaN where they are undefined.
        froc: Name to false alarms per image and sensitivity, `(H,)` each, at IoU 0.4.
        reliability: IoU to class name (`ALL_CLASSES` for the pooled boxes) to the bins of `core.calibration`.
        confusion: `(classes + 1, classes + 1)` of the shown boxes, rows true, last row and column background.
        pooled: Every box, classes pooled, at IoU 0.4.
    """

    split: str
    numbers: tuple[Number, ...]
    per_class: tuple[ClassRow, ...]
    pr_curves: dict[str, FloatArray]
    score_curves: dict[str, FloatArray]
    froc: dict[str, tuple[FloatArray, FloatArray]]
    reliability: dict[float, dict[str, tuple[ReliabilityBin, ...]]]
    confusion: NDArray[np.int64]
    pooled: Matches

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Every number with its interval."""
        found = []
        for number in self.numbers:
            value, low, high = with_interval(number.values)
            counts = {"n_images": number.n_images, "n_boxes": number.n_boxes}
            found.append(Metric(name=number.name, value=value, low=low, high=high, split=self.split, **counts))
        return tuple(found)


def score_boxes(
    truth: BoxTable,
    predictions: BoxTable,
    shown: BoxTable,
    *,
    classes: Sequence[str],
    class_free: BoxTable | None = None,
    unknown: BoolArray | None = None,
    labelled: BoolArray | None = None,
    image_area_px: FloatArray | None = None,
    weights: FloatArray | None = None,
    ious: Mapping[str, tuple[float, ...]] | None = None,
    reader_rates: Mapping[str, float] | None = None,
    split: str = "test",
) -> Scores:
    """All numbers from boxes and true boxes on the same images.

    Args:
        truth: True boxes.
        predictions: Every box, for average precision, FROC, AUROC and calibration.
        shown: The boxes of the operating point.
        classes: Class names by class id.
        class_free: Every box for the FROC that ignores classes; `predictions` when not given. With one class there is
            no such FROC.
        unknown: `(I, C)` which classes are unknown on which image; None where all are known.
        labelled: `(I, C)` which classes an image is labelled with although it has no box of them; for AUROC.
        image_area_px: `(I,)` areas of the images; None leaves the numbers of small findings out.
        weights: `(R, I)` how often each image counts in each resample; None leaves the intervals out.
        ious: Overlaps of average precision by name, as `core.measures.parse_ious` gives them; None for
            `DEFAULT_IOUS`.
        reader_rates: False positives per image of human readers, by class name or `ALL_CLASSES`: sensitivity is read
            off there as well.
        split: Name of the split, for the metrics.
    """
    scene = Scene.make(
        (truth, predictions, shown, predictions if class_free is None else class_free),
        classes=tuple(classes),
        unknown=unknown,
        labelled=labelled,
        image_area_px=image_area_px,
        rows=image_rows(truth.n_images, weights),
    )
    overlaps = measures.parse_ious(DEFAULT_IOUS) if ious is None else ious
    records = Records.make(scene, overlaps)
    precision = records.average_precision(scene)
    calibrations = measures.calibrations(records, scene)
    numbers = [
        *measures.precision_numbers(precision, records, scene, overlaps),
        *measures.froc_numbers(records, scene),
        *measures.reader_rate_numbers(records, scene, reader_rates or {}),
        *measures.point_numbers(records, scene),
        *measures.image_numbers(scene),
        *measures.centre_numbers(scene),
        *measures.calibration_numbers(calibrations, scene),
        *measures.localisation_numbers(scene),
    ]
    return Scores(
        split=split,
        numbers=tuple(numbers),
        per_class=tuple(_class_row(records, precision[index], scene, index) for index in range(len(classes))),
        pr_curves=_pr_curves(records, scene),
        score_curves=_score_curves(records, scene),
        froc=_froc_curves(records, scene),
        reliability={iou: {name: _bins(one) for name, one in several.items()} for iou, several in calibrations.items()},
        confusion=records.confusion,
        pooled=records.froc,
    )


def _class_row(records: Records, precision: FloatArray, scene: Scene, index: int) -> ClassRow:
    ap50, low, high = with_interval(precision[:, records.place(0.5)])
    found = metrics.counts(records.shown[index])
    return ClassRow(
        name=scene.classes[index],
        n_images=int(scene.measured_on[index]),
        n_boxes=records.per_class[index].n_positives,
        ap50=ap50,
        ap50_low=low,
        ap50_high=high,
        ap40=rounded(precision[0, records.place(LOW_IOU)]),
        ap50_95=rounded(precision[0, [records.place(iou) for iou in metrics.COCO_IOUS]].mean()),
        found=found.found,
        false_alarms=found.false_alarms,
        missed=found.missed,
        precision=rounded(found.precision),
        recall=rounded(found.recall),
        f1=rounded(found.f1),
    )


def _pr_curves(records: Records, scene: Scene) -> dict[str, FloatArray]:
    return {
        name: metrics.precision_recall_curve(matches, overlap=records.place(0.5))
        for name, matches in zip(scene.classes, records.per_class, strict=True)
        if matches.n_positives
    }


def _score_curves(records: Records, scene: Scene) -> dict[str, FloatArray]:
    place = records.place(0.5)
    curves = {
        name: np.stack(metrics.score_curves(matches, overlap=place))
        for name, matches in zip(scene.classes, records.per_class, strict=True)
        if matches.n_positives
    }
    if scene.several:
        curves[ALL_CLASSES] = np.stack(metrics.score_curves(matching.pool(records.per_class), overlap=place))
    return curves


def _froc_curves(records: Records, scene: Scene) -> dict[str, tuple[FloatArray, FloatArray]]:
    curves = {}
    for name, matches, images in zip(scene.classes, records.at_low_iou, scene.measured_on, strict=True):
        if matches.n_positives:
            false_alarms, sensitivity, _ = metrics.froc_curve(matches)
            curves[name] = false_alarms * (len(matches.positives) / images), sensitivity
    if len(scene.classes) > 1:
        curves |= {ALL_CLASSES: metrics.froc_curve(records.froc)[:2]}
        curves |= {"class ignored": metrics.froc_curve(records.froc_any)[:2]}
    return curves


def _bins(found: Calibration) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(int(count), rounded(score), rounded(share[0]), *map(rounded, percentile_interval(share[1:])))
        for count, score, share in zip(found.boxes[0], found.mean_score[0], found.share_right.T, strict=True)
    )
