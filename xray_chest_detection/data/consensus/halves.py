"""Two boxes of one reader where the others drew one."""

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.data.consensus.clusters import group_of, mutually_best, pairs_in_groups
from xray_chest_detection.data.readings import FloatArray, IntArray, Readings

# Share of a part's area that must lie in the other reader's box.
INSIDE = 0.5


def rejoin_halves(readings: Readings, iou: float) -> Readings:
    """Readings in which two boxes of a reader become their hull where the others saw one finding.

    That is so when both lie mostly inside a box of another reader, the hull overlaps that box by at least `iou`, and
    the other readers' boxes, taken together, fit the hull better than they fit the two parts.
    """
    one, two = pairs_in_groups(group_of(readings))
    same = readings.reader[one] == readings.reader[two]
    one, two = one[same], two[same]
    best, gain = _support(readings, one, two)
    good = (best >= iou) & (gain > 0)
    one, two = mutually_best(one[good], two[good], gain[good], readings.xyxy)
    xyxy = readings.xyxy.copy()
    xyxy[one] = _hull(readings.xyxy[one], readings.xyxy[two])
    kept = np.ones(len(readings), np.bool_)
    kept[two] = False
    order = np.lexsort((*xyxy.T[::-1], readings.reader, readings.class_id, readings.image))
    order = order[kept[order]]
    columns = readings.image[order], readings.class_id[order], readings.reader[order], xyxy[order]
    return Readings(readings.images, readings.classes, readings.readers, *columns, readings.read)


def _support(readings: Readings, one: IntArray, two: IntArray) -> tuple[FloatArray, FloatArray]:
    """For each pair of boxes the best overlap of its hull with a box around both, and the gain of joining them.

    The gain is the sum, over the other readers, of the overlap of the hull with their nearest box less that of the
    two parts with theirs, which count both if they are two.
    """
    group = group_of(readings)
    start, stop = np.searchsorted(group, group[one]), np.searchsorted(group, group[one], side="right")
    pair = np.repeat(np.arange(len(one)), stop - start)
    other = np.arange(len(pair)) - np.repeat(np.cumsum(stop - start) - stop, stop - start)
    foreign = readings.reader[other] != readings.reader[one][pair]
    pair, other = pair[foreign], other[foreign]
    box, parts = readings.xyxy[other], (readings.xyxy[one[pair]], readings.xyxy[two[pair]])
    around = np.logical_and(*(_share_inside(part, box) >= INSIDE for part in parts))
    overlaps = [boxes.paired_iou(part, box) for part in (_hull(*parts), *parts)]
    best = np.zeros(len(one))
    np.maximum.at(best, pair, np.where(around, overlaps[0], 0))
    cell = pair * len(readings.readers) + readings.reader[other]
    nearest = np.zeros((3, len(one) * len(readings.readers)))
    for by_cell, overlap in zip(nearest, overlaps, strict=True):
        np.maximum.at(by_cell, cell, overlap)
    whole, first, second = nearest
    shared = np.zeros(len(whole), np.bool_)
    shared[cell[(overlaps[1] == first[cell]) & (overlaps[2] == second[cell])]] = True
    gain = whole - np.where(shared, np.maximum(first, second), first + second)
    return best, gain.reshape(len(one), len(readings.readers)).sum(axis=1)


def _hull(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.concatenate([np.minimum(first[:, :2], second[:, :2]), np.maximum(first[:, 2:], second[:, 2:])], axis=1)


def _share_inside(part: FloatArray, box: FloatArray) -> FloatArray:
    """Share of the area of each box `(P, 4)` that lies in the box of the same row, `(P,)`."""
    sides = np.minimum(part[:, 2:], box[:, 2:]) - np.maximum(part[:, :2], box[:, :2])
    return np.asarray(np.clip(sides, 0, None).prod(axis=1) / boxes.area(part), np.float64)
