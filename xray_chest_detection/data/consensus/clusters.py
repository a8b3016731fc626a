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
        columns = [np.bincount(self.label, column, len(self)) for column in values.T]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0))


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
    label = np.arange(len(readings))
    first, second, overlap = overlapping_pairs(readings)
    votes = np.eye(len(readings.readers), dtype=np.bool_)[readings.reader]
    size, xyxy = np.ones(len(readings)), readings.xyxy.copy()
    while True:
        link = np.round(overlap / (size[first] * size[second]), _DIGITS)
        allowed = (link >= iou) & ~(votes[first] & votes[second]).any(axis=1)
        if not allowed.any():
            return clusters_of(readings, label)
        # A pair that may not be joined now never may: votes only grow, and a mean never exceeds its greatest part.
        # It still counts in the mean overlap of bigger clusters, so it stays in the list.
        kept, gone = _mutually_best(first[allowed], second[allowed], link[allowed], xyxy, size)
        votes[kept] |= votes[gone]
        xyxy[kept] = (xyxy[kept] * size[kept, None] + xyxy[gone] * size[gone, None]) / (size[kept] + size[gone])[
            :, None
        ]
        size[kept] += size[gone]
        target = np.arange(len(readings))
        target[gone] = kept
        label = target[label]
        first, second, overlap = _joined_pairs(target[first], target[second], overlap)


def cluster_connected(readings: Readings, iou: float) -> Clusters:
    """Clusters of boxes joined by a chain of overlaps of at least `iou` between different readers."""
    first, second, overlap = overlapping_pairs(readings)
    first, second = first[overlap >= iou], second[overlap >= iou]
    label = np.arange(len(readings))
    while (label[first] != label[second]).any():
        lowest = np.minimum(label[first], label[second])
        np.minimum.at(label, first, lowest)
        np.minimum.at(label, second, lowest)
    return clusters_of(readings, label)


def overlapping_pairs(readings: Readings) -> tuple[IntArray, IntArray, FloatArray]:
    """Rows `first < second` of boxes by different readers that share any area, and their IoU, each `(P,)`."""
    first, second = _pairs_in_groups(group_of(readings))
    other = readings.reader[first] != readings.reader[second]
    first, second = first[other], second[other]
    overlap = boxes.paired_iou(readings.xyxy[first], readings.xyxy[second])
    return first[overlap > 0], second[overlap > 0], overlap[overlap > 0]


def group_of(readings: Readings) -> IntArray:
    """The number of each box's image and class, `(N,)`, rising from 0 without gaps."""
    code = readings.image * len(readings.classes) + readings.class_id
    return np.cumsum(np.diff(code, prepend=code[:1]) != 0)


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


def _pairs_in_groups(group: IntArray) -> tuple[IntArray, IntArray]:
    """All pairs of rows `first < second` of the same group; rows of a group stand together."""
    row = np.arange(len(group))
    end = np.searchsorted(group, group, side="right")
    partners = end - row - 1
    first = np.repeat(row, partners)
    before = np.cumsum(partners) - partners
    return first, first + 1 + np.arange(len(first)) - before[first]


def _mutually_best(
    first: IntArray, second: IntArray, link: FloatArray, xyxy: FloatArray, size: FloatArray
) -> tuple[IntArray, IntArray]:
    """Pairs of clusters that are each other's best partner, as (kept, gone).

    Joining all of them at once gives the same as joining the best pair of all again and again, because a joined
    cluster never overlaps a third one more than both of its parts did (Murtagh 1983: reciprocal nearest neighbours).
    """
    box = np.column_stack([xyxy, size])
    swapped = _later(box[first], box[second])
    low, high = np.where(swapped, second, first), np.where(swapped, first, second)
    order = np.lexsort((*box[high].T[::-1], *box[low].T[::-1], -link))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    best = np.full(len(xyxy), len(order))
    np.minimum.at(best, first, rank)
    np.minimum.at(best, second, rank)
    mutual = (best[first] == rank) & (best[second] == rank)
    return first[mutual], second[mutual]


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
    joined = np.bincount(inverse, overlap[apart], len(unique))
    return unique // (high.max(initial=0) + 1), unique % (high.max(initial=0) + 1), joined
