"""The localisation table of ChestX-ray8: how many findings are located, by IoU and by IoBB, and how many marks fail.

IoBB is the intersection over the area of the detected box: 1 for any box inside the finding, so that it forgives boxes
that are too small, and a box that is much too large scores low. A true box is located when a shown box of its class on
the image has an overlap above T; one shown box may locate several and several one. A shown box that locates no true box
of its class is a false positive; a second box on a located finding is none. Accuracy is the share of true boxes that
are located, false positives are counted per image, those without a finding included.

The paper does not say which images its average false positives are over; its boxes were on images with a finding only.

Source: Wang et al. 2017, ChestX-ray8 (CVPR), section 4.2, "T(IoBB)" and "T(IoU)", Acc. and AFP.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.numbers import FloatArray, ratio

THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
PAPER_THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
Measure = Literal["IoBB", "IoU"]
MEASURES: tuple[Measure, ...] = ("IoBB", "IoU")


@dataclass(frozen=True, eq=False)
class Located:
    """Counts per image of one class, for `T` thresholds.

    Attributes:
        boxes: `(I,)` true boxes.
        located: `(T, I)` true boxes that are located.
        false_positives: `(T, I)` shown boxes that locate nothing.
    """

    boxes: FloatArray
    located: FloatArray
    false_positives: FloatArray

    def accuracy(self, weights: FloatArray) -> FloatArray:
        """Share of the true boxes that are located, `(T, R)` under weights `(R, I)`; NaN without true boxes."""
        located = self.located @ weights.T
        return ratio(located, np.broadcast_to(weights @ self.boxes, located.shape))

    def false_positives_per_image(self, weights: FloatArray) -> FloatArray:
        """`(T, R)` under weights `(R, I)`, 0 for images the class is unknown on; NaN without images."""
        false_positives = self.false_positives @ weights.T
        return ratio(false_positives, np.broadcast_to(weights.sum(axis=1), false_positives.shape))


def locate(truth: BoxTable, shown: BoxTable, *, measure: Measure) -> Located:
    """Count what the shown boxes of one class locate of its true boxes, at all `THRESHOLDS`."""
    levels = np.array(THRESHOLDS)[:, None, None]
    located = np.zeros((len(THRESHOLDS), truth.n_images))
    false_positives = np.tile(np.bincount(shown.image, minlength=truth.n_images).astype(np.float64), (len(levels), 1))
    for image in np.unique(truth.image):
        real, drawn = truth.xyxy[truth.image == image], shown.xyxy[shown.image == image]
        above = (iobb(drawn, real) if measure == "IoBB" else boxes.iou(drawn, real)) > levels
        located[:, image] = above.any(axis=1).sum(axis=1)
        false_positives[:, image] = (~above.any(axis=2)).sum(axis=1)
    count = np.bincount(truth.image, minlength=truth.n_images).astype(np.float64)
    return Located(count, located, false_positives)


def iobb(detected: FloatArray, real: FloatArray) -> FloatArray:
    """Intersection over the area of the detected box for every pair of `(N, 4)` and `(M, 4)`, as `(N, M)` in [0, 1].

    Detected boxes without area have 0.

    >>> iobb(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 9.0, 9.0]])).tolist()
    [[0.5]]
    """
    shared, area = boxes.intersection(detected, real), boxes.area(detected)[:, None]
    return np.asarray(np.divide(shared, area, out=np.zeros_like(shared), where=area > 0))
