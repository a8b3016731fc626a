"""Whether a score means what it says: is a box of score s right in a share s of the cases?

A box is right when it took a true box of its class in the greedy matching, so that a second box on one finding is
wrong. Boxes below `MIN_SCORE` are left out: nearly all boxes lie there, nearly all of them are wrong, nobody is shown
them, and counting them makes every detector look calibrated.

Source: expected calibration error of Naeini, Cooper and Hauskrecht 2015 (AAAI); for boxes with a lowest score: Kueppers
et al. 2020, Multivariate Confidence Calibration for Object Detection (CVPR workshops).
"""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.numbers import FloatArray, ratio

MIN_SCORE = 0.05
BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Boxes by score, in bins of equal width from 0 to 1, under every image weighting.

    Attributes:
        boxes: `(R, BINS)` number of boxes.
        score: `(R, BINS)` sum of their scores.
        right: `(R, BINS)` number of boxes that are right.
    """

    boxes: FloatArray
    score: FloatArray
    right: FloatArray

    @property
    def mean_score(self) -> FloatArray:
        """`(R, BINS)`; NaN for bins without a box."""
        return ratio(self.score, self.boxes)

    @property
    def share_right(self) -> FloatArray:
        """`(R, BINS)`; NaN for bins without a box."""
        return ratio(self.right, self.boxes)

    @property
    def error(self) -> FloatArray:
        """Expected calibration error `(R,)`: mean distance of score and share, each bin by its boxes; NaN without any.

        Chance alone keeps it above 0: with few boxes it is too high, and higher still under resampling.
        """
        return ratio(np.abs(self.right - self.score).sum(axis=1), self.boxes.sum(axis=1))


def calibration(matches: Matches, *, overlap: int, weights: FloatArray) -> Calibration:
    """Scores against finds.

    Args:
        matches: The record of one class, or a pooled one.
        overlap: Index into `matches.ious`.
        weights: `(R, I)` how often each image counts.

    Returns:
        Bins without boxes where there are no predictions.
    """
    kept = matches.score >= MIN_SCORE
    place = np.minimum((matches.score[kept] * BINS).astype(np.int64), BINS - 1)
    sums = np.zeros((3, len(matches.positives), BINS))
    columns = (np.ones(int(kept.sum())), matches.score[kept], matches.hit[overlap, kept])
    for target, values in zip(sums, columns, strict=True):
        np.add.at(target, (matches.image[kept], place), values)
    return Calibration(*(weights @ target for target in sums))
