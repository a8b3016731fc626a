"""Krippendorff's alpha for nominal values: agreement of several readers beyond chance, whoever read what.

Every unit (an image, a finding) adds to two sums, so that a bootstrap costs a matrix product.

Source: Krippendorff 2018, Content Analysis, 4th edition, chapter 12 (coincidences, missing values).
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def unit_sums(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What each unit adds to alpha, from how many of its readers gave each value.

    Args:
        counts: `(U, V)`: n_uv, readers of unit u who gave value v. Who did not read the unit is not counted.

    Returns:
        Agreeing values `(U,)`: sum over v of n_uv (n_uv - 1) / (m_u - 1) with m_u readers of the unit, and pairable
        values `(U, V)`: n_uv. A unit with a single reader adds nothing to either.
    """
    readers = counts.sum(axis=1)
    pairable = np.where(readers[:, None] >= 2, counts, 0.0)
    agreeing = (pairable * (pairable - 1)).sum(axis=1) / np.maximum(readers - 1, 1)
    return agreeing, pairable


def alpha(agreeing: FloatArray, pairable: FloatArray) -> FloatArray:
    """Alpha from the summed agreeing values `(R,)` and pairable values `(R, V)`, as `(R,)`.

    With n_v values of kind v, n values in all and A agreeing ones, the observed disagreement is 1 - A / n, the one
    expected by chance 1 - sum of n_v (n_v - 1) / (n (n - 1)), and alpha = 1 - observed / expected: 1 for readers who
    always agree, 0 for readers who might as well have drawn lots, below 0 for systematic disagreement.

    Returns:
        NaN where it is undefined: no pairable values, or only one kind of value.

    >>> agreeing, pairable = unit_sums(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    >>> alpha(agreeing.sum(keepdims=True), pairable.sum(axis=0, keepdims=True)).round(4).tolist()
    [0.4444]
    """
    total = pairable.sum(axis=1)
    unlike = total**2 - (pairable**2).sum(axis=1)
    observed = (total - agreeing) * (total - 1)
    # Resampled sums carry rounding errors, which must not turn "one kind of value" into a huge quotient.
    defined = unlike > 1e-9 * np.maximum(total**2, 1)
    return np.asarray(1 - np.divide(observed, unlike, out=np.full_like(total, np.nan), where=defined), np.float64)
