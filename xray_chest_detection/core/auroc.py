"""How well scores of boxes tell images with a finding from those without: area under the ROC curve."""

import numpy as np

from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.numbers import BoolArray, FloatArray, ratio


def image_scores(predictions: BoxTable, *, n_classes: int) -> FloatArray:
    """The best score of each class on each image, `(I, C)`; 0 where the class has no box.

    >>> table = BoxTable(np.array([0, 0]), np.array([1, 1]), np.array([0.2, 0.7]), np.zeros((2, 4)), 2)
    >>> image_scores(table, n_classes=2).tolist()
    [[0.0, 0.7], [0.0, 0.0]]
    """
    scores = np.zeros((predictions.n_images, n_classes))
    np.maximum.at(scores, (predictions.image, predictions.class_id), predictions.score)
    return scores


def auroc(scores: FloatArray, positive: BoolArray, *, weights: FloatArray) -> FloatArray:
    """Chance that an image with the finding scores above one without; equal scores count one half.

    Args:
        scores: `(I,)`.
        positive: `(I,)` whether the image has the finding.
        weights: `(R, I)` how often each image counts; 0 leaves it out.

    Returns:
        `(R,)` in [0, 1]; NaN where images with or without the finding are missing.

    Source: Hanley and McNeil 1982, The meaning and use of the area under a ROC curve, Radiology 143.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]), weights=np.ones((1, 4))).tolist()
    [0.875]
    """
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    with_it, without = (
        np.add.reduceat(weights[:, order] * chosen[order], starts, axis=1) for chosen in (positive, ~positive)
    )
    below = np.cumsum(without, axis=1) - without
    won = (with_it * (below + without / 2)).sum(axis=1)
    return ratio(won, with_it.sum(axis=1) * without.sum(axis=1))
