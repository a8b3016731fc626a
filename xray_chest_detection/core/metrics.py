"""How good detections are: average precision, operating points and FROC, from one record of who matched whom.

`core.matching.match` is done once; everything here is arithmetic on its arrays. Every number takes optional image
weights `(R, I)`, one row per resample of the images, so that a bootstrap by patient costs a matrix product and no
second matching.

Source: average precision as in COCO (Lin et al. 2014, https://github.com/cocodataset/cocoapi, `cocoeval.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.numbers import ratio

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
RECALLS = np.linspace(0, 1, 101)
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SCORES = np.linspace(0, 1, 1000)
_EPS = np.spacing(1)

Weights = NDArray[np.float64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Finds, false alarms and misses at an operating point, and the rates that follow from them."""

    found: int
    false_alarms: int
    missed: int

    @property
    def recall(self) -> float | None:
        """Share of the true boxes that were found; None without true boxes."""
        return _ratio(self.found, self.found + self.missed)

    @property
    def precision(self) -> float | None:
        """Share of the predictions that were right; None without predictions."""
        return _ratio(self.found, self.found + self.false_alarms)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without true boxes."""
        if self.found + self.missed == 0:
            return None
        return 2 * self.found / (2 * self.found + self.false_alarms + self.missed)

    def to_dict(self) -> dict[str, float | int | None]:
        """Counts and rates as plain values."""
        return {
            "found": self.found,
            "false_alarms": self.false_alarms,
            "missed": self.missed,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def average_precision(matches: Matches, *, weights: Weights | None = None) -> FloatArray:
    """Area under the precision-recall curve, 101-point interpolated as in COCO.

    Args:
        matches: The record of one class.
        weights: `(R, I)` how often each image counts; None counts every image once.

    Returns:
        `(R, T)` in [0, 1], with R = 1 without weights; NaN where there is no true box.

    >>> from xray_chest_detection.core.matching import BoxTable, match
    >>> table = BoxTable(np.array([0]), np.array([0]), np.array([0.9]), np.array([[0.0, 0.0, 4.0, 4.0]]), 1)
    >>> average_precision(match(table, table)).round(6).tolist()
    [[1.0]]
    """
    weights = _weights(matches, weights)
    positives = weights @ matches.positives
    result = np.zeros((len(weights), len(matches.ious)))
    for column, hits in enumerate(matches.hits):
        if len(hits.image):
            found = np.cumsum(weights[:, hits.image], axis=1)
            precision = found / (weights @ hits.shown[:-1].T + _EPS)
            recall = found / np.maximum(positives, _EPS)[:, None]
            result[:, column] = _interpolated(recall, precision)
    result[positives == 0] = np.nan
    return result


def sensitivity_at(
    matches: Matches, rates: Sequence[float] = FROC_RATES, *, weights: Weights | None = None
) -> FloatArray:
    """FROC: share of the true boxes found while false alarms per image stay at or below a rate.

    All images count in the rate, those without a box included. Only the first overlap of the record is used.

    Args:
        matches: The record of one class, or a pooled one.
        rates: False alarms per image.
        weights: `(R, I)` how often each image counts; None counts every image once.

    Returns:
        `(R, len(rates))` in [0, 1]; NaN where there is no true box.

    Source: Bunch et al. 1978; free-response receiver operating characteristic.
    """
    weights = _weights(matches, weights)
    hits, positives, images = matches.hits[0], weights @ matches.positives, weights.sum(axis=1)
    found = np.cumsum(weights[:, hits.image], axis=1)
    false_alarms = weights @ hits.shown[:-1].T - found
    result = np.zeros((len(weights), len(rates)))
    for column, rate in enumerate(rates):
        allowed = false_alarms <= rate * images[:, None] + 1e-9
        result[:, column] = np.where(allowed, found, 0).max(axis=1, initial=0)
    return np.divide(result, positives[:, None], out=np.full_like(result, np.nan), where=positives[:, None] > 0)


def froc_curve(matches: Matches) -> tuple[FloatArray, FloatArray, FloatArray]:
    """False alarms per image, sensitivity and score at each find, `(H,)` each, for the first overlap."""
    hits = matches.hits[0]
    found = np.arange(1, len(hits.image) + 1)
    false_alarms = hits.shown[:-1].sum(axis=1) - found
    score = matches.score[matches.hit[0]]
    return false_alarms / max(len(matches.positives), 1), found / max(matches.n_positives, 1), score


def precision_recall_curve(matches: Matches, *, overlap: int = 0) -> FloatArray:
    """Interpolated precision `(101,)` at the recalls 0, 0.01, ..., 1."""
    hits = matches.hits[overlap]
    if not len(hits.image) or not matches.n_positives:
        return np.zeros(len(RECALLS))
    found = np.arange(1, len(hits.image) + 1, dtype=np.float64)
    recall, precision = found / matches.n_positives, found / hits.shown[:-1].sum(axis=1)
    return np.asarray(_at_recalls(recall[None], precision[None])[0])


def score_curves(matches: Matches, *, overlap: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 `(1000,)` when all boxes of at least each of the `SCORES` are shown.

    Precision is NaN where no box is shown, recall and F1 where there is no true box.
    """
    shown = np.searchsorted(-matches.score, -SCORES, side="right")
    found = np.concatenate([[0], np.cumsum(matches.hit[overlap])])[shown]
    positives = np.full(shown.shape, matches.n_positives)
    recall, f1 = ratio(found, positives), ratio(2 * found, shown + positives)
    return ratio(found, shown), recall, np.where(positives > 0, f1, np.nan)


def counts(matches: Matches, *, overlap: int = 0) -> Counts:
    """Finds, false alarms and misses when every prediction of the record is shown."""
    found = int(matches.hit[overlap].sum())
    return Counts(found, len(matches.score) - found, matches.n_positives - found)


def counts_of(matches: Matches, *, weights: Weights, overlap: int = 0) -> FloatArray:
    """`(R, 3)`: finds, false alarms and misses under image weights `(R, I)`."""
    hits = matches.hits[overlap]
    found = weights[:, hits.image].sum(axis=1)
    return np.stack([found, weights @ hits.shown[-1] - found, weights @ matches.positives - found], axis=1)


def best_f1_point(per_class: Sequence[Matches]) -> tuple[float, float, float]:
    """Score, mean precision and mean recall where the mean F1 of the classes is highest.

    Classes without true boxes are left out. Curves over the score are interpolated at 1,000 places and smoothed with a
    box a tenth as long, which is what `recall` means in a training report of ultralytics.

    Returns:
        Score, precision, recall; zeros when no class has true boxes.

    Source: `ap_per_class` in ultralytics/utils/metrics.py.
    """
    present = [matches for matches in per_class if matches.n_positives]
    if not present:
        return 0.0, 0.0, 0.0
    curves = np.array([_smooth_curves(matches) for matches in present])
    precision, recall = curves[:, 0], curves[:, 1]
    f1 = 2 * precision * recall / (precision + recall + 1e-16)
    best = int(_smooth(f1.mean(axis=0), share=0.1).argmax())
    return float(SCORES[best]), float(precision[:, best].mean()), float(recall[:, best].mean())


def _weights(matches: Matches, weights: Weights | None) -> Weights:
    return np.ones((1, len(matches.positives))) if weights is None else weights


def _interpolated(recall: FloatArray, precision: FloatArray) -> FloatArray:
    """`(R,)` mean interpolated precision of curves `(R, H)`."""
    return np.asarray(_at_recalls(recall, precision).mean(axis=1))


def _at_recalls(recall: FloatArray, precision: FloatArray) -> FloatArray:
    """`(R, 101)` the best precision of curves `(R, H)` from each recall on; 0 beyond their highest recall."""
    envelope = np.zeros((len(precision), precision.shape[1] + 1))
    envelope[:, -2::-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)
    place = np.array([np.searchsorted(row, RECALLS, side="left") for row in recall])
    return np.take_along_axis(envelope, place, axis=1)


def _smooth_curves(matches: Matches) -> tuple[FloatArray, FloatArray]:
    """Precision and recall `(1000,)` interpolated between the scores of the boxes, for the first overlap."""
    if not len(matches.score):
        return np.zeros(len(SCORES)), np.zeros(len(SCORES))
    found = np.cumsum(matches.hit[0])
    precision = found / np.arange(1, len(found) + 1)
    recall = found / matches.n_positives
    return (
        np.interp(-SCORES, -matches.score, precision, left=1),
        np.interp(-SCORES, -matches.score, recall, left=0),
    )


def _smooth(values: FloatArray, *, share: float) -> FloatArray:
    width = round(len(values) * share * 2) // 2 + 1
    ends = np.ones(width // 2)
    padded = np.concatenate((ends * values[0], values, ends * values[-1]))
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
