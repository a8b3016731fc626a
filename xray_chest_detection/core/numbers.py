"""A measured number and its resamples, and the arithmetic that all measures share."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.intervals import percentile_interval

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Number(NamedTuple):
    """One number under every image weighting.

    Attributes:
        name: For example `mAP50` or `AP50 Cardiomegaly`.
        values: `(1 + R,)` the number, then its resamples; NaN where it is not defined.
        n_boxes: True boxes behind it.
        n_images: Images behind it.
    """

    name: str
    values: FloatArray
    n_boxes: int
    n_images: int


def image_rows(n_images: int, weights: FloatArray | None) -> FloatArray:
    """Image weights `(1 + R, I)`: every image once, then the resamples."""
    once = np.ones((1, n_images))
    return once if weights is None else np.concatenate([once, weights])


def mean_over_classes(values: FloatArray) -> FloatArray:
    """`(C, ...)` to `(...)`, classes without the number (NaN) left out; NaN where no class has any."""
    defined = np.isfinite(values)
    total, count = np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def rates_of(totals: FloatArray, images: FloatArray) -> dict[str, FloatArray]:
    """Precision, recall, F1 and false positives per image, `(R,)` each, of an operating point.

    Args:
        totals: `(R, 3)` finds, false alarms and misses, as `metrics.counts_of` counts them.
        images: `(R,)` number of images.

    Returns:
        By name; NaN where a rate has no denominator.
    """
    found, false_alarms, missed = totals.T
    return {
        "precision": ratio(found, found + false_alarms),
        "recall": ratio(found, found + missed),
        "F1": ratio(2 * found, 2 * found + false_alarms + missed),
        "false positives per image": ratio(false_alarms, images),
    }


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
    """`part / whole` of arrays of one shape; NaN where `whole` is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def with_interval(values: FloatArray) -> tuple[float | None, float | None, float | None]:
    """A number, its low and its high from values `(1 + R,)`: the first is the number, the others are resamples."""
    low, high = percentile_interval(values[1:])
    return rounded(values[0]), rounded(low), rounded(high)


def rounded(value: float | None) -> float | None:
    """A number as it is written: five digits, None where it is not defined."""
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
