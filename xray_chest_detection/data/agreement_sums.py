"""Sums over images that every number of agreement is a ratio of; tables end with a column for all classes together."""

import numpy as np

from xray_chest_detection.core.intervals import percentile_interval
from xray_chest_detection.data.agreement_results import Estimate
from xray_chest_detection.data.box_pairs import BoxPairs
from xray_chest_detection.data.readings import FloatArray, IntArray, Readings

LOW_IOU, HIGH_IOU = 0.4, 0.5


def drawn_boxes(readings: Readings) -> FloatArray:
    """Boxes of every image, reader and class, `(I, R, C)`."""
    shape = (len(readings.images), len(readings.readers), len(readings.classes))
    flat = np.ravel_multi_index((readings.image, readings.reader, readings.class_id), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def match_sums(matches: BoxPairs, readings: Readings, place: IntArray, n_places: int) -> list[FloatArray]:
    """Matches at the low and at the high IoU, and overlap at the low one, at each place, `(n, C + 1)` each."""
    tables = []
    for values in (np.ones(len(matches.iou)), (matches.iou >= HIGH_IOU).astype(np.float64), matches.iou):
        table = np.zeros((n_places, len(readings.classes)))
        np.add.at(table, (place, readings.class_id[matches.first]), values)
        tables.append(with_total(table))
    return tables


def with_total(table: FloatArray) -> FloatArray:
    """A table `(..., C)` with a last column for all classes together."""
    return np.concatenate([table, table.sum(axis=-1, keepdims=True)], axis=-1)


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Element-wise quotient; NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0), np.float64)


def estimate(values: FloatArray) -> Estimate:
    """The number, which is the first value `(1 + R,)`, and the interval of the resampled others."""
    if not np.isfinite(values[0]):
        return Estimate(None)
    return Estimate(float(values[0]), *percentile_interval(values[1:]))
