"""Who matched whom: boxes of many images as one table, and one record of finds that every metric is computed from.

Source: matching as in COCO (Lin et al. 2014, https://github.com/cocodataset/cocoapi, `cocoeval.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections

MAX_DETECTIONS = 100

FloatArray = NDArray[np.float64]
Overlap = Callable[[FloatArray, FloatArray], NDArray[np.floating]]


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

    def at(self, overlap: int) -> "Matches":
        """The record at one of its overlaps alone."""
        rows = slice(overlap, overlap + 1)
        return Matches(self.ious[rows], self.score, self.image, self.hit[rows], self.positives)

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


def match(
    truth: BoxTable,
    predictions: BoxTable,
    *,
    ious: Sequence[float] = (0.5,),
    max_detections: int = MAX_DETECTIONS,
    overlap: Overlap = boxes.iou,
) -> Matches:
    """Match predictions with true boxes, whatever their class; pass the boxes of one class for a class's numbers.

    As in COCO: per image the `max_detections` best predictions, by falling score, each take the free true box they
    overlap most, if the overlap is at least the threshold. Ties in score are ordered by image, box and class, so that
    the result does not depend on the order of the rows.

    Args:
        truth: True boxes.
        predictions: Predictions on the same list of images.
        ious: Overlaps from which a prediction counts, each in (0, 1].
        max_detections: At most this many predictions per image.
        overlap: How much predictions `(N, 4)` and true boxes `(M, 4)` overlap, `(N, M)`.

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
            overlaps = overlap(ordered.xyxy[rows], truth.xyxy[truth.image == image])
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
    return np.lexsort((table.class_id, y_max, x_max, y_min, x_min, table.image, -table.score))


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
