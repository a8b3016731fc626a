"""Measuring a run on one split with the thresholds chosen before.

Average precision and FROC use every box from score 0.001 up; the operating point uses the chosen thresholds. Intervals
come from a bootstrap by patient.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.intervals import RESAMPLES, patient_weights, percentile_interval
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.metrics import COCO_IOUS
from xray_chest_detection.core.model_card import Metric, Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split, require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tune_nms import read_thresholds
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.decode import FLOOR

LOW_IOU = 0.4  # the overlap of the VinBigData challenge; findings have soft borders
_IOUS = (LOW_IOU, *COCO_IOUS)
_AT_50 = _IOUS.index(0.5)


@dataclass(frozen=True)
class ClassRow:
    """One class: average precision over all boxes, and what the operating point finds at IoU 0.5."""

    name: str
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
class Evidence:
    """What figures are drawn from.

    Attributes:
        split: Images and true boxes.
        shown: What the operating point shows on each image.
        pr_curves: Class name to precision `(101,)` at IoU 0.5.
        froc: Name to false alarms per image and sensitivity, `(H,)` each, at IoU 0.4.
        confusion: `(classes + 1, classes + 1)` at the operating point, rows true, last row and column background.
    """

    split: LabelledSplit
    shown: tuple[Detections, ...]
    pr_curves: dict[str, NDArray[np.float64]]
    froc: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    confusion: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All numbers of a run on a split.

    Attributes:
        run: Name of the run.
        split: Name of the split.
        n_images: Images, box-free ones included.
        n_patients: Patients.
        n_boxes: True boxes.
        thresholds: The operating point.
        weights_sha256: Digest of the weights.
        metrics: Every number with its interval.
        per_class: One row per class.
        resamples: Number of resamples behind the intervals; 0 without intervals.
        evidence: What figures are drawn from.
    """

    run: str
    split: str
    n_images: int
    n_patients: int
    n_boxes: int
    thresholds: Thresholds
    weights_sha256: str
    metrics: tuple[Metric, ...]
    per_class: tuple[ClassRow, ...]
    resamples: int
    evidence: Evidence

    def value(self, name: str) -> float | None:
        """The value of a metric; None when it is undefined or not among them."""
        return next((metric.value for metric in self.metrics if metric.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the evidence as plain values."""
        return {
            "run": self.run,
            "split": self.split,
            "n_images": self.n_images,
            "n_patients": self.n_patients,
            "n_boxes": self.n_boxes,
            "thresholds": self.thresholds.model_dump(mode="json"),
            "weights_sha256": self.weights_sha256,
            "resamples": self.resamples,
            "metrics": [metric.model_dump(mode="json") for metric in self.metrics],
            "per_class": [vars(row) for row in self.per_class],
            "froc": {
                name: [[round(float(x), 4), round(float(y), 4)] for x, y in zip(*curve, strict=True)]
                for name, curve in self.evidence.froc.items()
            },
            "confusion": self.evidence.confusion.tolist(),
        }


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


def evaluation_path(run: Run, split: str, suffix: str = ".json") -> Path:
    """Where an evaluation is kept."""
    return run.folder / f"evaluation-{split}{suffix}"


def write_evaluation(run: Run, evaluation: Evaluation, markdown: str) -> list[Path]:
    """Write the evaluation as JSON, as CSV (one row a metric) and as Markdown."""
    paths = [evaluation_path(run, evaluation.split, suffix) for suffix in (".json", ".csv", ".md")]
    write_text(paths[0], json.dumps(evaluation.to_dict(), indent=1) + "\n")
    write_text(paths[1], _csv(evaluation.metrics))
    write_text(paths[2], markdown)
    return paths


def read_metrics(run: Run, split: str = "test") -> tuple[Metric, ...]:
    """The numbers of a kept evaluation of the run's present weights and thresholds; none when there is no such one.

    Raises:
        ModelError: The file is damaged.
    """
    path = evaluation_path(run, split)
    if not path.is_file():
        return ()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        thresholds = Thresholds.model_validate(content["thresholds"])
        found = tuple(Metric.model_validate(row) for row in content["metrics"])
        same = content["weights_sha256"] == sha256_of(run.weights) and thresholds == read_thresholds(run)
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: damaged; run `xray evaluate {run.folder} --split {split}` again") from None
    return found if same else ()


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


def _csv(rows: Sequence[Metric]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Metric.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue()
