"""Small findings: a mark is right when its centre lies in the true box, however large it is drawn.

The overlap of small boxes falls steeply with an error of a few pixels that no reader would mind. The centre of the
mark must lie in the true box; the reverse, a true centre in the mark, is not asked for, because a mark around the whole
film would find everything.

Source: a mark counts by its place, not its extent, as in the nodule challenge LUNA16 (Setio et al. 2017, Medical Image
Analysis 42).
"""

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.core.matching import BoxTable, Matches, match
from xray_chest_detection.core.numbers import BoolArray, FloatArray

SMALL_SHARE = 0.02  # of the film's area: three quarters of NIH's boxed masses and nodules, half of its atelectases


def is_small(truth: BoxTable, image_area_px: FloatArray) -> BoolArray:
    """Which boxes `(N,)` cover less than `SMALL_SHARE` of their image, whose areas are `(I,)`."""
    return np.asarray(boxes.area(truth.xyxy) < SMALL_SHARE * image_area_px[truth.image], np.bool_)


def match_centres(truth: BoxTable, predictions: BoxTable, small: BoolArray) -> Matches:
    """Match the marks of one class with its small true boxes by centre; of several a mark takes the one it fits best.

    Marks with their centre in larger true boxes only are left out: they are neither finds of a small box nor false
    alarms. All other marks that find nothing are false alarms, whatever their size.

    Args:
        truth: True boxes of the class, `(N,)`.
        predictions: Marks of the class.
        small: `(N,)` which true boxes are small.
    """
    finding_small, finding_large = (_hits_any(truth.select(chosen), predictions) for chosen in (small, ~small))
    kept = predictions.select(finding_small | ~finding_large)
    return match(truth.select(small), kept, ious=(0.5,), overlap=centre_overlap)


def centre_overlap(detected: FloatArray, real: FloatArray) -> FloatArray:
    """`(N, M)` of boxes `(N, 4)` and `(M, 4)`: from 0.5 up, by their IoU, where the detected centre is in the real box.

    0 elsewhere. Borders belong to the box.

    >>> real = np.array([[1.0, 1.0, 3.0, 3.0], [3.0, 3.0, 9.0, 9.0]])
    >>> centre_overlap(np.array([[0.0, 0.0, 4.0, 4.0]]), real).tolist()
    [[0.625, 0.0]]
    """
    centre = (detected[:, None, :2] + detected[:, None, 2:]) / 2
    inside = ((real[None, :, :2] <= centre) & (centre <= real[None, :, 2:])).all(axis=2)
    return np.where(inside, 0.5 + boxes.iou(detected, real) / 2, 0.0)


def _hits_any(truth: BoxTable, predictions: BoxTable) -> BoolArray:
    hit = np.zeros(len(predictions), np.bool_)
    for image in np.unique(truth.image):
        rows = predictions.image == image
        hit[rows] = (centre_overlap(predictions.xyxy[rows], truth.xyxy[truth.image == image]) > 0).any(axis=1)
    return hit
