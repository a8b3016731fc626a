"""What a network says about a film and about its mirror image, as one list of boxes.

A network never says the same twice about a film and its mirror image. What it sees both times is more likely there, so
a box that only one of the two views shows keeps half of its score.

Source: weighted boxes fusion of Solovyev, Wang and Gabruseva 2021, Image and Vision Computing 107, for two views.
"""

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.nms import nms

VIEW_IOU = 0.5  # overlap of the suppression within a view, before the two are fused
SAME_IOU = 0.55  # overlap from which boxes of the two views are one finding


def fuse_views(first: Detections, second: Detections) -> Detections:
    """Boxes of two views of one film, fused per class.

    Each view is suppressed by itself. Then boxes of one class that overlap by an IoU of at least 0.55 are matched one
    to one, the pair with the highest mean score first; of equal pairs the one that overlaps more. A pair becomes one
    box, the mean of the two weighted by their scores, with their mean score. A box without a partner keeps half of its
    score.

    Args:
        first: Candidates of one view.
        second: Candidates of the other view, in the frame of the first.

    Returns:
        Boxes of the film, best first. The order of the views makes no difference but for ties. Two empty views give no
        box.
    """
    one, other = (nms(view, conf=0.0, iou=VIEW_IOU) for view in (first, second))
    rows, partners = _pairs(one, other)
    weight, partner_weight = (score.astype(np.float64)[:, None] for score in (one.score[rows], other.score[partners]))
    together = (one.xyxy[rows] * weight + other.xyxy[partners] * partner_weight) / (weight + partner_weight)
    alone = [_without(one, rows), _without(other, partners)]
    xyxy = np.concatenate([together, *(view.xyxy for view in alone)])
    score = np.concatenate([(one.score[rows] + other.score[partners]) / 2, *(view.score / 2 for view in alone)])
    class_id = np.concatenate([one.class_id[rows], *(view.class_id for view in alone)])
    best = np.argsort(-score, kind="stable")
    return Detections(
        xyxy[best].astype(np.float32),
        score[best].astype(np.float32),
        class_id[best],
        first.width_px,
        first.height_px,
    )


def _pairs(one: Detections, other: Detections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of boxes that are one finding, and the rows of their partners."""
    overlaps = boxes.iou(one.xyxy.astype(np.float64), other.xyxy.astype(np.float64))
    rows, partners = np.nonzero((overlaps >= SAME_IOU) & (one.class_id[:, None] == other.class_id))
    order = np.lexsort((-overlaps[rows, partners], -(one.score[rows] + other.score[partners])))
    free, partner_free = np.ones(len(one), np.bool_), np.ones(len(other), np.bool_)
    chosen = []
    for place in order:
        row, partner = rows[place], partners[place]
        if free[row] and partner_free[partner]:
            free[row] = partner_free[partner] = False
            chosen.append(place)
    return rows[chosen].astype(np.int64), partners[chosen].astype(np.int64)


def _without(view: Detections, rows: NDArray[np.int64]) -> Detections:
    left = np.ones(len(view), np.bool_)
    left[rows] = False
    return view.select(left)
