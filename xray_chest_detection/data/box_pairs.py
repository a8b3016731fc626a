"""Which boxes of several readers stand for one finding: matches of two readers, and findings of all of them.

Both go through the overlapping pairs of boxes by falling overlap, so that neither the order of the rows nor that of the
readers decides anything.
"""

from typing import NamedTuple

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.data.readings import BoolArray, FloatArray, IntArray, Readings


class BoxPairs(NamedTuple):
    """Pairs of boxes of one image by two readers, rows of the readings `(P,)`, `first` by the reader listed earlier."""

    first: IntArray
    second: IntArray
    iou: FloatArray

    def select(self, rows: BoolArray | IntArray) -> "BoxPairs":
        """The pairs picked by a mask or by indices."""
        return BoxPairs(self.first[rows], self.second[rows], self.iou[rows])


def overlapping_pairs(readings: Readings, *, iou: float) -> BoxPairs:
    """Every pair of boxes by two readers on one image that overlap by `iou` or more, whatever their classes.

    Pairs of one class come first, then falling overlap; of equal ones the earlier rows come first.
    """
    count = len(readings)
    last = np.searchsorted(readings.image, readings.image, side="right")
    partners = last - np.arange(count) - 1
    first = np.repeat(np.arange(count), partners)
    start = np.repeat(np.cumsum(partners) - partners, partners)
    second = first + 1 + np.arange(len(first)) - start
    overlap = boxes.paired_iou(readings.xyxy[first], readings.xyxy[second])
    kept = (overlap >= iou) & (readings.reader[first] != readings.reader[second])
    first, second, overlap = first[kept], second[kept], overlap[kept]
    swap = readings.reader[first] > readings.reader[second]
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    other_class = readings.class_id[first] != readings.class_id[second]
    order = np.lexsort((second, first, -overlap, other_class))
    return BoxPairs(first[order], second[order], overlap[order])


def matched_pairs(readings: Readings, *, iou: float) -> BoxPairs:
    """Boxes of one class on which two readers agree: each box has at most one partner per other reader.

    Pairs are taken by falling overlap, each if both boxes are still free for the other's reader. Matches at a higher
    `iou` are therefore a part of those at a lower one.
    """
    pairs = overlapping_pairs(readings, iou=iou)
    pairs = pairs.select(readings.class_id[pairs.first] == readings.class_id[pairs.second])
    taken = np.zeros((len(readings), len(readings.readers)), np.bool_)
    reader = readings.reader.tolist()
    kept = []
    for number, (one, other) in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)):
        if not (taken[one, reader[other]] or taken[other, reader[one]]):
            taken[one, reader[other]] = taken[other, reader[one]] = True
            kept.append(number)
    return pairs.select(np.array(kept, np.int64))


def findings_of(readings: Readings, *, iou: float) -> IntArray:
    """The finding that each box stands for, `(N,)`, numbered from 0; a finding has at most one box of each reader.

    Place decides first: boxes of different classes may be one finding that the readers named differently. Overlapping
    pairs, those of one class first, join their findings when these have no reader in common.
    """
    parent = list(range(len(readings)))
    readers_of = [1 << reader for reader in readings.reader.tolist()]

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    pairs = overlapping_pairs(readings, iou=iou)
    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        one, other = sorted((root(first), root(second)))
        if one != other and not readers_of[one] & readers_of[other]:
            parent[other] = one
            readers_of[one] |= readers_of[other]
    roots = np.array([root(row) for row in range(len(readings))], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
