"""Which boxes of several readers mean the same finding, for all images at once.

Boxes are compared within one image and one class only. Nothing here depends on the order of the rows or on what the
readers are called: ties in overlap are settled by where the boxes lie.
"""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.data.readings import BoolArray, Consensus, FloatArray, IntArray, Readings

# Overlaps closer than this are ties: the mean of several depends in its last digits on the order of the readers.
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class Clusters:
    """Boxes sorted into clusters, each of one image and one class.

    Attributes:
        label: `(N,)` int64, the cluster of each box of the readings.
        image: `(K,)` int64, the image of each cluster.
        class_id: `(K,)` int64, the class of each cluster.
        votes: `(K, R)` bool, which readers have a box in the cluster.
    """

    label: IntArray
    image: IntArray
    class_id: IntArray
    votes: BoolArray

    def __len__(self) -> int:
        return len(self.image)

    def mean(self, values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
        """Weighted mean per cluster, `(K, D)`, of values per box `(N, D)`; weights `(N,)`, all alike by default."""
        weight = np.ones(len(values)) if weights is None else weights
        return self.sum(values * weight[:, None]) / self.sum(weight[:, None])

    def sum(self, values: FloatArray) -> FloatArray:
        """Sum per cluster, `(K, D)`, of values per box `(N, D)`."""
        return np.stack([sums(self.label, column, len(self)) for column in values.T], axis=1)


def clusters_of(readings: Readings, label: IntArray) -> Clusters:
    """Clusters from any numbering of the boxes; they are renumbered in the order of their first box."""
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    votes = np.zeros((len(first), len(readings.readers)), np.bool_)
    votes[label, readings.reader] = True
    return Clusters(label, readings.image[first], readings.class_id[first], votes)


def cluster_by_reader(readings: Readings, iou: float) -> Clusters:
    """Clusters with at most one box of each reader, whose boxes overlap by at least `iou` on average.

    Agglomerative: of all pairs of clusters without a common reader, those that overlap each other most are joined
    first, where the overlap of two clusters is the mean IoU of their boxes.
    """
    votes = np.eye(len(readings.readers), dtype=np.bool_)[readings.reader]
    pairs = overlapping_pairs(readings, group_of(readings))
    label = _agglomerate(np.ones(len(readings)), readings.xyxy, votes, pairs, iou)
    return clusters_of(readings, label)


def join_classes(readings: Readings, clusters: Clusters, iou: float) -> IntArray:
    """The place of each cluster, `(K,)`, numbered from 0: clusters that may be one finding by different names.

    They overlap by at least `iou` on average and have neither a reader nor a class in common: a reader who drew two
    boxes there saw two findings. Readers often draw one box under two names. To which of them a third name belongs,
    overlap cannot tell, so the class listed first takes it: here the order of the classes counts.
    """
    first, second, overlap = overlapping_pairs(readings, readings.image)
    apart = readings.class_id[first] != readings.class_id[second]
    pairs = _joined_pairs(clusters.label[first[apart]], clusters.label[second[apart]], overlap[apart])
    # A class counts as one more reader, who may have one box only.
    taken = np.column_stack([clusters.votes, np.eye(len(readings.classes), dtype=np.bool_)[clusters.class_id]])
    size = np.bincount(clusters.label, minlength=len(clusters)).astype(np.float64)
    label = _agglomerate(size, clusters.mean(readings.xyxy), taken, pairs, iou)
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def cluster_connected(readings: Readings, iou: float) -> Clusters:
    """Clusters of boxes joined by a chain of overlaps of at least `iou` between different readers."""
    first, second, overlap = overlapping_pairs(readings, group_of(readings))
    first, second = first[overlap >= iou], second[overlap >= iou]
    label = np.arange(len(readings))
    while (label[first] != label[second]).any():
        lowest = np.minimum(label[first], label[second])
        np.minimum.at(label, first, lowest)
        np.minimum.at(label, second, lowest)
    return clusters_of(readings, label)


def overlapping_pairs(readings: Readings, group: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows `first < second` of boxes of one group by different readers that share any area, and their IoU, `(P,)`.

    Groups `(N,)` are numbers that never fall from row to row.
    """
    first, second = pairs_in_groups(group)
    other = readings.reader[first] != readings.reader[second]
    first, second = first[other], second[other]
    overlap = boxes.paired_iou(readings.xyxy[first], readings.xyxy[second]).astype(np.float64)
    return first[overlap > 0], second[overlap > 0], overlap[overlap > 0]


def group_of(readings: Readings) -> IntArray:
    """The number of each box's image and class, `(N,)`, rising from 0 without gaps."""
    code = readings.image * len(readings.classes) + readings.class_id
    return np.cumsum(np.diff(code, prepend=code[:1]) != 0)


def sums(number: IntArray, weight: FloatArray, count: int) -> FloatArray:
    """Sum of the weights of each number below `count`, `(count,)`; numpy alone makes whole numbers of no weights."""
    return np.bincount(number, weight, count).astype(np.float64)


def pairs_in_groups(group: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of rows `first < second` of the same group; rows of a group stand together."""
    row = np.arange(len(group))
    end = np.searchsorted(group, group, side="right")
    partners = end - row - 1
    first = np.repeat(row, partners)
    before = np.cumsum(partners) - partners
    return first, first + 1 + np.arange(len(first)) - before[first]


def mutually_best(first: IntArray, second: IntArray, score: FloatArray, xyxy: FloatArray) -> tuple[IntArray, IntArray]:
    """The pairs of rows `(P,)` of which each row is the other's best partner, by score and then by place.

    Args:
        first: Row of `xyxy`.
        second: Another row of it.
        score: The higher the better.
        xyxy: `(K, 4)`; which of several equal scores is best depends on the boxes alone, not on their order.
    """
    swapped = _later(xyxy[first], xyxy[second])
    low, high = np.where(swapped, second, first), np.where(swapped, first, second)
    order = np.lexsort((*xyxy[high].T[::-1], *xyxy[low].T[::-1], -np.round(score, _DIGITS)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    best = np.full(len(xyxy), len(order))
    np.minimum.at(best, first, rank)
    np.minimum.at(best, second, rank)
    mutual = (best[first] == rank) & (best[second] == rank)
    return first[mutual], second[mutual]


def consensus_of(
    readings: Readings,
    clusters: Clusters,
    xyxy: FloatArray,
    *,
    kept: BoolArray | None = None,
    probability: FloatArray | None = None,
) -> Consensus:
    """One box `(K, 4)` per cluster as a consensus, of all clusters or those in the mask `kept` `(K,)`.

    The spread is that of the cluster's boxes around the given one.
    """
    distance = ((readings.xyxy - xyxy[clusters.label]) ** 2).mean(axis=1, keepdims=True)
    spread = np.sqrt(clusters.mean(distance)[:, 0])
    order = np.lexsort((*xyxy.T[::-1], clusters.class_id, clusters.image))
    if kept is not None:
        order = order[kept[order]]
    return Consensus(
        image=clusters.image[order],
        class_id=clusters.class_id[order],
        xyxy=xyxy[order],
        votes=clusters.votes[order],
        n_readers=readings.n_readers[clusters.image[order]],
        probability=np.full(len(order), np.nan) if probability is None else probability[order],
        spread_px=np.where(clusters.votes.sum(axis=1) > 1, spread, np.nan)[order],
    )


def _agglomerate(
    size: FloatArray, xyxy: FloatArray, votes: BoolArray, pairs: tuple[IntArray, IntArray, FloatArray], iou: float
) -> IntArray:
    """The cluster that each of some clusters ends in, `(K,)`, when those without a common vote are joined.

    Args:
        size: `(K,)` number of boxes.
        xyxy: `(K, 4)` mean boxes; they only settle ties.
        votes: `(K, V)`; two clusters that share one stay apart.
        pairs: Overlapping clusters, and the sum of the IoUs of their boxes.
        iou: Least mean IoU.
    """
    size, xyxy, votes = size.copy(), xyxy.copy(), votes.copy()
    first, second, overlap = pairs
    label = np.arange(len(size))
    while True:
        link = np.round(overlap / (size[first] * size[second]), _DIGITS)
        # A pair out of reach stays in the list: it still counts in the mean overlap of greater clusters.
        allowed = (link >= iou) & ~(votes[first] & votes[second]).any(axis=1)
        if not allowed.any():
            return label
        # Joining all pairs that are each other's best gives the same as joining the best of all pairs again and again,
        # for a mean overlap never exceeds the greater of its parts (reciprocal nearest neighbours, Murtagh 1983).
        kept, gone = mutually_best(first[allowed], second[allowed], link[allowed], xyxy)
        share = (size[gone] / (size[kept] + size[gone]))[:, None]
        xyxy[kept] += share * (xyxy[gone] - xyxy[kept])
        votes[kept] |= votes[gone]
        size[kept] += size[gone]
        target = np.arange(len(size))
        target[gone] = kept
        label = target[label]
        first, second, overlap = _joined_pairs(target[first], target[second], overlap)


def _later(first: FloatArray, second: FloatArray) -> BoolArray:
    """Whether the first of two rows stands after the second one, column by column."""
    different = first != second
    column = different.argmax(axis=1)
    row = np.arange(len(first))
    return np.asarray(first[row, column] > second[row, column])


def _joined_pairs(first: IntArray, second: IntArray, overlap: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """The pairs of clusters after some were joined, overlaps added up; pairs inside one cluster are left out."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    apart = low != high
    code = low[apart] * (high.max(initial=0) + 1) + high[apart]
    unique, inverse = np.unique(code, return_inverse=True)
    joined = sums(inverse, overlap[apart], len(unique))
    return unique // (high.max(initial=0) + 1), unique % (high.max(initial=0) + 1), joined
