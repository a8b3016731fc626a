"""How good detections are: average precision, operating points and FROC, from one record of who matched whom.

`match` is done once; everything else is arithmetic on its arrays. Every number takes optional image weights `(R, I)`,
one row per resample of the images, so that a bootstrap by patient costs a matrix product and no second matching.

Source: average precision as in COCO (Lin et al. 2014, https://github.com/cocodataset/cocoapi, `cocoeval.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections

COCO_IOUS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_F1_GRID = np.linspace(0, 1, 1000)
_EPS = np.spacing(1)

Weights = NDArray[np.float64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoxTable:
    """Boxes of a list of images as columns, one row a box; true boxes have score 1.

    Attributes:
        image: `(N,)` int64, index into the list of images.
        class_id: `(N,)` int64.
        score: `(N,)` float64.
        xyxy: `(N, 4)` float64, pixels of the image.
        n_images: Length of the list, images without a box included.

    Raises:
        ValueError: The columns differ in length.
    """

    image: NDArray[np.int64]
    class_id: NDArray[np.int64]
    score: FloatArray
    xyxy: FloatArray
    n_images: int

    def __post_init__(self) -> None:
        count = len(self.image)
        if self.class_id.shape != (count,) or self.score.shape != (count,) or self.xyxy.shape != (count, 4):
            raise ValueError(
                f"expected image (N,), class_id (N,), score (N,), xyxy (N, 4); "
                f"got {self.image.shape}, {self.class_id.shape}, {self.score.shape}, {self.xyxy.shape}"
            )

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def from_detections(cls, per_image: Sequence[Detections]) -> "BoxTable":
        """One table from the detections of each image, in the order of the images."""
        image = np.repeat(np.arange(len(per_image)), [len(found) for found in per_image])
        if not per_image:
            return cls(image.astype(np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), 0)
        return cls(
            image.astype(np.int64),
            np.concatenate([found.class_id for found in per_image]).astype(np.int64),
            np.concatenate([found.score for found in per_image]).astype(np.float64),
            np.concatenate([found.xyxy for found in per_image]).astype(np.float64),
            len(per_image),
        )

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "BoxTable":
        """The rows picked by a mask or by indices; the list of images stays."""
        return BoxTable(self.image[rows], self.class_id[rows], self.score[rows], self.xyxy[rows], self.n_images)

    def of_class(self, class_id: int) -> "BoxTable":
        """The boxes of one class."""
        return self.select(self.class_id == class_id)

    def as_one_class(self) -> "BoxTable":
        """The same boxes, all of class 0."""
        return BoxTable(self.image, np.zeros_like(self.class_id), self.score, self.xyxy, self.n_images)


@dataclass(frozen=True, eq=False)
class Matches:
    """Which predictions found a true box, best score first.

    Attributes:
        ious: `(T,)` overlaps from which a prediction counts as a find.
        score: `(M,)` scores, falling.
        image: `(M,)` index of the image of each prediction.
        hit: `(T, M)` whether the prediction found a true box that no better prediction had found.
        positives: `(I,)` number of true boxes per image.
    """

    ious: FloatArray
    score: FloatArray
    image: NDArray[np.int64]
    hit: NDArray[np.bool_]
    positives: NDArray[np.int64]

    @property
    def n_positives(self) -> int:
        """Number of true boxes."""
        return int(self.positives.sum())

    def above(self, conf: float) -> "Matches":
        """The record restricted to scores of at least `conf`. Greedy matching makes this the same as matching again."""
        count = int(np.searchsorted(-self.score, -conf, side="right"))
        return Matches(self.ious, self.score[:count], self.image[:count], self.hit[:, :count], self.positives)

    @cached_property
    def hits(self) -> tuple["Hits", ...]:
        """Per overlap, what the curves need."""
        return tuple(_hits(self, row) for row in range(len(self.ious)))


@dataclass(frozen=True, eq=False)
class Hits:
    """The finds at one overlap, best score first, and what was shown up to each of them.

    Precision has its maxima and recall its steps at finds, so curves need no other points.

    Attributes:
        image: `(H,)` image of each find.
        shown: `(H + 1, I)` predictions per image up to and including each find, and in the last row all of them.
    """

    image: NDArray[np.int64]
    shown: FloatArray


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


def match(
    truth: BoxTable,
    predictions: BoxTable,
    *,
    ious: Sequence[float] = (0.5,),
    max_detections: int = MAX_DETECTIONS,
) -> Matches:
    """Match predictions with true boxes, whatever their class; pass the boxes of one class for a class's numbers.

    As in COCO: per image the `max_detections` best predictions, by falling score, each take the free true box they
    overlap most, if the overlap is at least the threshold. Ties in score are ordered by image and then by box, so that
    the result does not depend on the order of the rows.

    Args:
        truth: True boxes.
        predictions: Predictions on the same list of images.
        ious: Overlaps from which a prediction counts, each in (0, 1].
        max_detections: At most this many predictions per image.

    Raises:
        ValueError: The two tables are not about the same list of images.
    """
    if truth.n_images != predictions.n_images:
        raise ValueError(f"truth has {truth.n_images} images, predictions have {predictions.n_images}")
    ordered = _capped(predictions.select(_order(predictions)), max_detections)
    levels = np.asarray(ious, np.float64)
    hit = np.zeros((len(levels), len(ordered)), np.bool_)
    for image in np.unique(truth.image):
        rows = np.flatnonzero(ordered.image == image)
        if len(rows):
            overlaps = boxes.iou(ordered.xyxy[rows], truth.xyxy[truth.image == image])
            hit[:, rows] = _greedy(overlaps.astype(np.float64), levels)
    positives = np.bincount(truth.image, minlength=truth.n_images).astype(np.int64)
    return Matches(levels, ordered.score, ordered.image, hit, positives)


def match_classes(
    truth: BoxTable,
    predictions: BoxTable,
    *,
    n_classes: int,
    ious: Sequence[float] = (0.5,),
    max_detections: int = MAX_DETECTIONS,
) -> tuple[Matches, ...]:
    """`match` for each class by itself."""
    return tuple(
        match(truth.of_class(i), predictions.of_class(i), ious=ious, max_detections=max_detections)
        for i in range(n_classes)
    )


def pool(parts: Sequence[Matches]) -> Matches:
    """One record from several over the same images: every class counts by its boxes.

    Raises:
        ValueError: There is no part.
    """
    if not parts:
        raise ValueError("nothing to pool")
    score = np.concatenate([part.score for part in parts])
    image = np.concatenate([part.image for part in parts])
    order = np.lexsort((image, -score))
    hit = np.concatenate([part.hit for part in parts], axis=1)[:, order]
    positives = np.sum([part.positives for part in parts], axis=0)
    return Matches(parts[0].ious, score[order], image[order], hit, positives)


def average_precision(matches: Matches, *, weights: Weights | None = None) -> FloatArray:
    """Area under the precision-recall curve, 101-point interpolated as in COCO.

    Args:
        matches: The record of one class.
        weights: `(R, I)` how often each image counts; None counts every image once.

    Returns:
        `(R, T)` in [0, 1], with R = 1 without weights; NaN where there is no true box.

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
    return _sampled(found / matches.n_positives, found / hits.shown[:-1].sum(axis=1))


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
    curves = np.array([_score_curves(matches) for matches in present])
    precision, recall = curves[:, 0], curves[:, 1]
    f1 = 2 * precision * recall / (precision + recall + 1e-16)
    best = int(_smooth(f1.mean(axis=0), share=0.1).argmax())
    return float(_F1_GRID[best]), float(precision[:, best].mean()), float(recall[:, best].mean())


def confusion(truth: BoxTable, predictions: BoxTable, *, n_classes: int, iou: float = 0.5) -> NDArray[np.int64]:
    """Confusion matrix `(n_classes + 1, n_classes + 1)`: rows are true classes, columns predicted ones.

    Boxes are paired whatever their class, by falling score. The last row counts predictions on no true box, the last
    column true boxes that nothing was predicted for; the last cell is 0.
    """
    matrix = np.zeros((n_classes + 1, n_classes + 1), np.int64)
    ordered = predictions.select(_order(predictions))
    for image in range(truth.n_images):
        true_rows, rows = np.flatnonzero(truth.image == image), np.flatnonzero(ordered.image == image)
        free = np.ones(len(true_rows), np.bool_)
        overlaps = boxes.iou(ordered.xyxy[rows], truth.xyxy[true_rows])
        for row, overlap in zip(rows, overlaps, strict=True):
            open_overlap = np.where(free & (overlap >= iou), overlap, -1.0)
            partner = int(open_overlap.argmax()) if len(open_overlap) else -1
            if partner < 0 or open_overlap[partner] < 0:
                matrix[n_classes, ordered.class_id[row]] += 1
                continue
            free[partner] = False
            matrix[truth.class_id[true_rows[partner]], ordered.class_id[row]] += 1
        matrix[:n_classes, n_classes] += np.bincount(truth.class_id[true_rows[free]], minlength=n_classes)
    return matrix


def _order(table: BoxTable) -> NDArray[np.int64]:
    x_min, y_min, x_max, y_max = table.xyxy.T
    return np.lexsort((y_max, x_max, y_min, x_min, table.image, -table.score))


def _capped(ordered: BoxTable, max_detections: int) -> BoxTable:
    """The best `max_detections` rows of each image of a table that is ordered by score."""
    by_image = np.argsort(ordered.image, kind="stable")
    first = np.searchsorted(ordered.image[by_image], ordered.image[by_image], side="left")
    rank = np.empty(len(ordered), np.int64)
    rank[by_image] = np.arange(len(ordered)) - first
    return ordered.select(rank < max_detections)


def _greedy(overlaps: FloatArray, levels: FloatArray) -> NDArray[np.bool_]:
    """Which of the predictions, best first, take a true box: `(T, M)` from overlaps `(M, G)`."""
    hit = np.zeros((len(levels), len(overlaps)), np.bool_)
    free = np.ones((len(levels), overlaps.shape[1]), np.bool_)
    reach = np.minimum(levels, 1 - 1e-10)
    levels_range = np.arange(len(levels))
    for row in np.flatnonzero(overlaps.max(axis=1) >= reach.min()):
        candidates = np.where(free, overlaps[row], -1.0)
        last_best = candidates.shape[1] - 1 - candidates[:, ::-1].argmax(axis=1)  # COCO: of equal overlaps the last
        hit[:, row] = candidates[levels_range, last_best] >= reach
        free[levels_range[hit[:, row]], last_best[hit[:, row]]] = False
    return hit


def _hits(matches: Matches, overlap: int) -> Hits:
    rows = np.flatnonzero(matches.hit[overlap])
    step = np.searchsorted(rows, np.arange(len(matches.score)), side="left")
    shown = np.zeros((len(rows) + 1, len(matches.positives)))
    np.add.at(shown, (step, matches.image), 1)
    return Hits(matches.image[rows], np.cumsum(shown, axis=0))


def _weights(matches: Matches, weights: Weights | None) -> Weights:
    return np.ones((1, len(matches.positives))) if weights is None else weights


def _interpolated(recall: FloatArray, precision: FloatArray) -> FloatArray:
    """`(R,)` mean interpolated precision of curves `(R, H)`."""
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.array([_at_recalls(row, top).mean() for row, top in zip(recall, envelope, strict=True)])


def _sampled(recall: FloatArray, precision: FloatArray) -> FloatArray:
    return _at_recalls(recall, np.maximum.accumulate(precision[::-1])[::-1])


def _at_recalls(recall: FloatArray, envelope: FloatArray) -> FloatArray:
    place = np.searchsorted(recall, RECALLS, side="left")
    return np.append(envelope, 0.0)[place]


def _score_curves(matches: Matches) -> tuple[FloatArray, FloatArray]:
    """Precision and recall `(1000,)` as functions of the score, for the first overlap."""
    if not len(matches.score):
        return np.zeros(len(_F1_GRID)), np.zeros(len(_F1_GRID))
    found = np.cumsum(matches.hit[0])
    precision = found / np.arange(1, len(found) + 1)
    recall = found / matches.n_positives
    return (
        np.interp(-_F1_GRID, -matches.score, precision, left=1),
        np.interp(-_F1_GRID, -matches.score, recall, left=0),
    )


def _smooth(values: FloatArray, *, share: float) -> FloatArray:
    width = round(len(values) * share * 2) // 2 + 1
    ends = np.ones(width // 2)
    padded = np.concatenate((ends * values[0], values, ends * values[-1]))
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
