"""What a cross-validation says: means over folds, pooled numbers with intervals, and the files they are written to.

The two answer different questions. The mean over folds and its standard error say how a model of this recipe does, and
how much that changes with the patients it was trained and tested on. The pooled numbers score the marks of all folds as
if one model had made them, with bootstrap intervals by patient; the intervals know the patients, not the training.

Folds share most of their training patients, so their numbers are not independent, and the standard error is too small
rather than too large. Source: Bengio and Grandvalet 2004, No unbiased estimator of the variance of k-fold
cross-validation.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xray_chest_detection.core.evaluation import Scores, score_boxes
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.intervals import patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Metric, Thresholds
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.detect.out_of_fold import OutOfFold
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.thresholds import show
from xray_chest_detection.inference.decode import FLOOR

RESULTS_FILE = "cross_validation"
_FILES = tuple(f"{RESULTS_FILE}{suffix}" for suffix in (".json", ".csv", ".md"))


@dataclass(frozen=True)
class FoldMean:
    """One number over the folds in which it is defined.

    Attributes:
        name: As in `Metric`.
        mean: Mean; None when no fold defines it.
        sd: Standard deviation between folds (n - 1); None with less than two folds.
        standard_error: Of the mean: `sd` over the root of the number of folds.
        per_fold: The number in each fold; None where it is undefined.
    """

    name: str
    mean: float | None
    sd: float | None
    standard_error: float | None
    per_fold: tuple[float | None, ...]


@dataclass(frozen=True)
class FoldRow:
    """One fold: what was left out, and the operating point of the model that never saw it."""

    fold: int
    images: int
    patients: int
    boxes: int
    thresholds: Thresholds


@dataclass(frozen=True)
class CrossValidation:
    """The numbers of a cross-validation.

    Attributes:
        name: Name of the recipe.
        classes: Class names by class id.
        means: Mean over folds of every number.
        pooled: The same numbers from the marks of all folds together.
        folds: One row a fold.
        resamples: Number of resamples behind the pooled intervals.
    """

    name: str
    classes: tuple[str, ...]
    means: tuple[FoldMean, ...]
    pooled: tuple[Metric, ...]
    folds: tuple[FoldRow, ...]
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "resamples": self.resamples,
            "mean_over_folds": [vars(row) for row in self.means],
            "pooled_over_folds": [metric.model_dump(mode="json") for metric in self.pooled],
            "folds": [vars(row) | {"thresholds": row.thresholds.model_dump(mode="json")} for row in self.folds],
        }

    def rows(self) -> list[dict[str, object]]:
        """One row a number: the mean over folds, the pooled number, and every fold."""
        pooled = {metric.name: metric for metric in self.pooled}
        return [_row(mean, pooled[mean.name]) for mean in self.means]


def summarise(name: str, predictions: OutOfFold, *, resamples: int, seed: int = 0) -> CrossValidation:
    """All numbers of a cross-validation; pure arithmetic.

    Args:
        name: Name of the recipe.
        predictions: Out-of-fold predictions.
        resamples: Resamples of the patients; 0 leaves the intervals out.
        seed: Seed of the resamples.
    """
    folds = [predictions.of_fold(number) for number in range(len(predictions.thresholds))]
    pooled = _metrics(_score(predictions, resamples=resamples, seed=seed))
    by_fold = [{metric.name: metric.value for metric in _metrics(_score(fold))} for fold in folds]
    return CrossValidation(
        name=name,
        classes=predictions.split.classes,
        means=tuple(_mean(metric.name, by_fold) for metric in pooled),
        pooled=pooled,
        folds=tuple(_fold_row(number, fold) for number, fold in enumerate(folds)),
        resamples=resamples,
    )


def results_csv(result: CrossValidation) -> str:
    """`CrossValidation.rows` as CSV."""
    rows, text = result.rows(), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_results(folder: Path, result: CrossValidation, markdown: str) -> list[Path]:
    """Write the numbers as JSON, as CSV (one row a number) and as Markdown, each whole or not at all."""
    paths = [folder / name for name in _FILES]
    for path, text in zip(
        paths, (json.dumps(result.to_dict(), indent=1) + "\n", results_csv(result), markdown), strict=True
    ):
        write_text(path, text)
    return paths


def _score(predictions: OutOfFold, *, resamples: int = 0, seed: int = 0) -> Scores:
    """Marks of each image as its fold's model makes them: suppression and thresholds are those of the fold."""
    split = predictions.split
    table = partial(_table, predictions)
    return score_boxes(
        split.truth,
        table(lambda found, point: found.suppressed(conf=FLOOR, iou=point.iou, agnostic=point.agnostic)),
        table(lambda found, point: show(found, point, split.classes)),
        classes=split.classes,
        class_free=table(lambda found, _: found.suppressed(conf=FLOOR, iou=0.5, agnostic=True)),
        unknown=split.unknown,
        labelled=predictions.labelled,
        image_area_px=np.array(split.sizes_px, np.float64).prod(axis=1),
        weights=patient_weights(split.patient, resamples=resamples, seed=seed) if resamples else None,
        split=split.name,
    )


def _table(predictions: OutOfFold, how: Callable[[Candidates, Thresholds], Any]) -> BoxTable:
    return BoxTable.from_detections(predictions.shown(how))


def _metrics(scores: Scores) -> tuple[Metric, ...]:
    """Every number of an evaluation, and the sensitivity of each class, which stands only in its curve."""
    several = scores.per_class if len(scores.per_class) > 1 else ()
    more = [
        Metric(
            name=f"sensitivity {row.name} at 1 false positives per image, IoU {LOW_IOU:g}",
            value=_sensitivity(scores, row.name),
            split=scores.split,
            n_images=row.n_images,
            n_boxes=row.n_boxes,
        )
        for row in several
    ]
    return (*scores.metrics, *more)


def _sensitivity(scores: Scores, class_name: str) -> float | None:
    """Share of the boxes of a class found with at most one false mark of that class per image."""
    if class_name not in scores.froc:
        return None
    false_alarms, sensitivity = scores.froc[class_name]
    return round(float(sensitivity[false_alarms <= 1 + 1e-9].max(initial=0)), 5)


def _mean(name: str, by_fold: Sequence[Mapping[str, float | None]]) -> FoldMean:
    per_fold = tuple(values.get(name) for values in by_fold)
    defined = np.array([value for value in per_fold if value is not None])
    mean = round(float(defined.mean()), 5) if len(defined) else None
    if len(defined) < 2:
        return FoldMean(name, mean, None, None, per_fold)
    sd = float(defined.std(ddof=1))
    return FoldMean(name, mean, round(sd, 5), round(sd / len(defined) ** 0.5, 5), per_fold)


def _fold_row(number: int, fold: OutOfFold) -> FoldRow:
    split = fold.split
    return FoldRow(number, len(split.image_id), len(set(split.patient)), len(split.truth), fold.thresholds[number])


def _row(mean: FoldMean, pooled: Metric) -> dict[str, object]:
    row: dict[str, object] = {
        "name": mean.name,
        "mean": mean.mean,
        "sd": mean.sd,
        "standard_error": mean.standard_error,
        "pooled": pooled.value,
        "pooled_low": pooled.low,
        "pooled_high": pooled.high,
        "n_images": pooled.n_images,
        "n_boxes": pooled.n_boxes,
    }
    return row | {f"fold{number}": value for number, value in enumerate(mean.per_fold)}
