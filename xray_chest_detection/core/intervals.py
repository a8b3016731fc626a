"""How much a number would change with other patients: bootstrap by patient."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
EVALUATION_RESAMPLES = 2000  # of models; each reader of the human ceiling gets `RESAMPLES`
LEVEL = 0.95


def patient_weights(patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """How often each image counts in each resample, when as many patients as there are are drawn with replacement.

    All images of a patient are drawn together: they are alike, and counting them as independent makes intervals too
    narrow.

    Args:
        patients: Patient of each image, `(I,)`.
        resamples: Number of resamples.
        seed: Seed of the draw.

    Returns:
        `(resamples, I)`; no images give `(resamples, 0)`.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 8 (clusters).
    """
    names, index = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if not len(names):
        return np.zeros((resamples, 0))
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), share, size=resamples)
    return np.asarray(drawn[:, index], np.float64)


def percentile_interval(
    values: NDArray[np.float64], *, level: float = LEVEL
) -> tuple[float, float] | tuple[None, None]:
    """The middle `level` of resampled values `(R,)`; undefined (NaN) ones are left out.

    Returns:
        Low and high; None, None when fewer than half of the values are defined.

    >>> percentile_interval(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    """
    defined = values[np.isfinite(values)]
    if not len(values) or len(defined) * 2 < len(values):
        return None, None
    low, high = np.percentile(defined, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
