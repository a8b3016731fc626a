"""The rules that only count: the busiest reader's boxes, all readers' boxes, and a quorum.

Votes are counted alike in all of them: a reader has voted for a box when the cluster it stands for holds a box of his.
"""

import numpy as np

from xray_chest_detection.data.consensus.clusters import (
    Clusters,
    cluster_by_reader,
    cluster_connected,
    consensus_of,
    group_of,
)
from xray_chest_detection.data.readings import BoolArray, Consensus, FloatArray, Readings


def most_frequent_reader(readings: Readings, iou: float) -> Consensus:
    """Per image and class the boxes of the reader who drew most of that class, exactly as he drew them.

    Of several such readers it is the first in the order of `Readings.readers`. Other readers have voted for a box when
    theirs is in the same cluster (`cluster_by_reader`); the spread is that of their boxes around the kept one.

    Source: the rule of the original recipe for VinBigData.
    """
    clusters = cluster_by_reader(readings, iou)
    chosen = _by_busiest(readings)
    xyxy = np.zeros((len(clusters), 4))
    xyxy[clusters.label[chosen]] = readings.xyxy[chosen]  # a cluster has at most one box of a reader
    kept = np.zeros(len(clusters), np.bool_)
    kept[clusters.label[chosen]] = True
    return consensus_of(readings, clusters, xyxy, kept=kept)


def union(readings: Readings, iou: float) -> Consensus:
    """Everything anybody drew; boxes of different readers joined by a chain of overlaps become one box.

    Where a reader has several boxes in such a chain, having split what others drew in one piece, their hull stands for
    him. The box is the mean of the readers' hulls.
    """
    clusters = cluster_connected(readings, iou)
    return consensus_of(readings, clusters, _mean_of_hulls(readings, clusters))


def quorum(readings: Readings, iou: float, least: int) -> Consensus:
    """The mean boxes of clusters that at least `least` readers drew, or all readers where an image has fewer."""
    clusters = cluster_by_reader(readings, iou)
    needed = np.minimum(least, readings.n_readers[clusters.image])
    enough = clusters.votes.sum(axis=1) >= needed
    return consensus_of(readings, clusters, clusters.mean(readings.xyxy), kept=enough)


def _by_busiest(readings: Readings) -> BoolArray:
    """Which boxes are by the reader who drew most of their class on their image."""
    group = group_of(readings)
    count = np.zeros((group[-1] + 1 if len(group) else 0, len(readings.readers)), np.int64)
    np.add.at(count, (group, readings.reader), 1)
    return np.asarray(readings.reader == count.argmax(axis=1)[group]) if len(group) else np.zeros(0, np.bool_)


def _mean_of_hulls(readings: Readings, clusters: Clusters) -> FloatArray:
    code = clusters.label * len(readings.readers) + readings.reader
    parts, part = np.unique(code, return_inverse=True)
    low, high = np.full((len(parts), 2), np.inf), np.full((len(parts), 2), -np.inf)
    np.minimum.at(low, part, readings.xyxy[:, :2])
    np.maximum.at(high, part, readings.xyxy[:, 2:])
    label = parts // max(len(readings.readers), 1)
    hulls = Clusters(label, clusters.image, clusters.class_id, clusters.votes)
    return hulls.mean(np.concatenate([low, high], axis=1))
