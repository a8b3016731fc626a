"""Measuring a run on one split with the thresholds chosen before.

Average precision and FROC use every box from score 0.001 up; the operating point uses the chosen thresholds. Intervals
come from a bootstrap by patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.intervals import RESAMPLES, patient_weights, percentile_interval
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.metrics import COCO_IOUS
from xray_chest_detection.core.model_card import Metric, Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split, require_boxes
from xray_chest_detection.detect.results import ClassRow, Evaluation, Evidence
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tune_nms import read_thresholds
from xray_chest_detection.inference.decode import FLOOR

LOW_IOU = 0.4  # the overlap of the VinBigData challenge; findings have soft borders
_IOUS = (LOW_IOU, *COCO_IOUS)
_AT_50 = _IOUS.index(0.5)


def evaluate(
    run: Run,
    split_name: str = "test",
    *,
    thresholds: Thresholds | None = None,
    resamples: int = RESAMPLES,
    device: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a run on a split.

    Args:
        run: A run with weights.
        split_name: `test`; `val` for a look at what thresholds were chosen on.
        thresholds: The operating point; that of `xray tune-nms` when not given.
        resamples: Resamples of the patients for the intervals; 0 leaves them out.
        device: Torch device of the forward pass, if one is needed.
        progress: Wraps the images of the forward pass.

    Raises:
        DataError: The split is missing, damaged or has no boxes.
        ModelError: There are no thresholds, or the weights do not fit the data.
    """
    chosen = thresholds or read_thresholds(run)
    split = read_labelled_split(run.config.data, split_name)
    require_boxes(split, purpose="an evaluation")
    candidates = predict_split(run, split, device=device, progress=progress)
    return measure(
        run.folder.name, split, candidates, chosen, weights_sha256=sha256_of(run.weights), resamples=resamples
    )


def measure(
    name: str,
    split: LabelledSplit,
    candidates: Candidates,
    thresholds: Thresholds,
    *,
    weights_sha256: str = "",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """All numbers from candidates and true boxes; pure arithmetic."""
    modes: dict[str, Any] = {"iou": thresholds.iou, "agnostic": thresholds.agnostic}
    all_boxes = candidates.table(conf=FLOOR, **modes)
    shown = show(candidates, thresholds, split.classes)
    records = _Records.make(split, all_boxes, BoxTable.from_detections(shown), candidates)
    weights = patient_weights(split.patient, resamples=resamples, seed=seed) if resamples else None
    return Evaluation(
        run=name,
        split=split.name,
        n_images=len(split.image_id),
        n_patients=len(set(split.patient)),
        n_boxes=len(split.truth),
        thresholds=thresholds,
        weights_sha256=weights_sha256,
        metrics=tuple(_all_metrics(records, split, weights)),
        per_class=tuple(_class_row(records, split, index, weights) for index in range(len(split.classes))),
        resamples=resamples,
        evidence=_evidence(records, split, shown),
    )


def show(candidates: Candidates, thresholds: Thresholds, classes: Sequence[str]) -> tuple[Detections, ...]:
    """What the deployed model shows on each image; the same steps as `DetectorSession.detect`."""
    per_class = np.array([thresholds.per_class.get(name, thresholds.conf) for name in classes], np.float32)
    kept = tuple(found.select(found.score >= per_class[found.class_id]) for found in candidates.per_image)
    return Candidates(candidates.image_id, kept).suppressed(conf=0.0, iou=thresholds.iou, agnostic=thresholds.agnostic)


@dataclass(frozen=True, eq=False)
class _Records:
    """The matchings all numbers come from."""

    per_class: tuple[Matches, ...]  # every box, at all overlaps
    shown: tuple[Matches, ...]  # the operating point, at IoU 0.5
    froc: Matches  # every box, classes pooled, at IoU 0.4
    froc_any: Matches  # every box, class ignored, at IoU 0.4
    confusion: NDArray[np.int64]

    @classmethod
    def make(cls, split: LabelledSplit, all_boxes: BoxTable, shown: BoxTable, candidates: Candidates) -> "_Records":
        n_classes = len(split.classes)
        per_class = matching.match_classes(split.truth, all_boxes, n_classes=n_classes, ious=_IOUS)
        any_class = candidates.table(conf=FLOOR, iou=0.5, agnostic=True) if n_classes > 1 else all_boxes
        return cls(
            per_class,
            matching.match_classes(split.truth, shown, n_classes=n_classes),
            matching.pool([_only(matches, 0) for matches in per_class]),
            matching.match(split.truth.as_one_class(), any_class.as_one_class(), ious=(LOW_IOU,)),
            matching.confusion(split.truth, shown, n_classes=n_classes),
        )


def _only(matches: Matches, overlap: int) -> Matches:
    rows = slice(overlap, overlap + 1)
    return Matches(matches.ious[rows], matches.score, matches.image, matches.hit[rows], matches.positives)


def _all_metrics(records: _Records, split: LabelledSplit, weights: NDArray[np.float64] | None) -> list[Metric]:
    """Every number with its interval; the first row of each array is the number, the others are resamples."""
    rows = _rows(split, weights)
    precision = np.stack([metrics.average_precision(matches, weights=rows) for matches in records.per_class])
    mean = _mean_over_classes(precision)
    size: dict[str, Any] = {"split": split.name, "n_images": len(split.image_id)}

    def metric(name: str, values: NDArray[np.float64], n_boxes: int) -> Metric:
        low, high = percentile_interval(values[1:])
        return Metric(
            name=name, value=_number(values[0]), low=_number(low), high=_number(high), n_boxes=n_boxes, **size
        )

    n_boxes = len(split.truth)
    result = [
        metric("mAP50", mean[:, _AT_50], n_boxes),
        metric("mAP40", mean[:, 0], n_boxes),
        metric("mAP50-95", mean[:, 1:].mean(axis=1), n_boxes),
    ]
    if len(split.classes) > 1:
        per_class = zip(split.classes, precision, split.boxes_per_class, strict=True)
        result += [metric(f"AP50 {name}", values[:, _AT_50], int(count)) for name, values, count in per_class]
    for label, record in _froc_records(records, split):
        values = metrics.sensitivity_at(record, weights=rows)
        for column, rate in enumerate(metrics.FROC_RATES):
            name = f"sensitivity at {rate:g} false positives per image, IoU {LOW_IOU:g}{label}"
            result.append(metric(name, values[:, column], n_boxes))
    totals = np.sum([metrics.counts_of(matches, weights=rows) for matches in records.shown], axis=0)
    for name, values in _rates(totals, rows.sum(axis=1)).items():
        result.append(metric(f"{name} at the operating point", values, n_boxes))
    return result


def _froc_records(records: _Records, split: LabelledSplit) -> list[tuple[str, Matches]]:
    several = [(", class ignored", records.froc_any)] if len(split.classes) > 1 else []
    return [("", records.froc), *several]


def _rows(split: LabelledSplit, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Image weights `(1 + R, I)`: every image once, then the resamples."""
    once = np.ones((1, len(split.image_id)))
    return once if weights is None else np.concatenate([once, weights])


def _mean_over_classes(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(C, R, T)` to `(R, T)`, classes without true boxes left out; NaN where no class has any."""
    defined = np.isfinite(precision)
    total, count = np.where(defined, precision, 0).sum(axis=0), defined.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def _rates(totals: NDArray[np.float64], images: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    found, false_alarms, missed = totals.T

    def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))

    return {
        "precision": ratio(found, found + false_alarms),
        "recall": ratio(found, found + missed),
        "F1": ratio(2 * found, 2 * found + false_alarms + missed),
        "false positives per image": ratio(false_alarms, images),
    }


def _class_row(records: _Records, split: LabelledSplit, index: int, weights: NDArray[np.float64] | None) -> ClassRow:
    precision = metrics.average_precision(records.per_class[index], weights=_rows(split, weights))
    low, high = percentile_interval(precision[1:, _AT_50])
    found = metrics.counts(records.shown[index])
    return ClassRow(
        name=split.classes[index],
        n_boxes=int(split.boxes_per_class[index]),
        ap50=_number(precision[0, _AT_50]),
        ap50_low=_number(low),
        ap50_high=_number(high),
        ap40=_number(precision[0, 0]),
        ap50_95=_number(precision[0, 1:].mean()),
        found=found.found,
        false_alarms=found.false_alarms,
        missed=found.missed,
        precision=_number(found.precision),
        recall=_number(found.recall),
        f1=_number(found.f1),
    )


def _evidence(records: _Records, split: LabelledSplit, shown: tuple[Detections, ...]) -> Evidence:
    curves = {
        name: metrics.precision_recall_curve(matches, overlap=_AT_50)
        for name, matches in zip(split.classes, records.per_class, strict=True)
        if matches.n_positives
    }
    froc = {
        name: metrics.froc_curve(matches)[:2]
        for name, matches in zip(split.classes, records.per_class, strict=True)
        if matches.n_positives
    }
    if len(split.classes) > 1:
        froc |= {"all classes": metrics.froc_curve(records.froc)[:2]}
        froc |= {"class ignored": metrics.froc_curve(records.froc_any)[:2]}
    return Evidence(split, shown, curves, froc, records.confusion)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
