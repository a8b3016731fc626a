"""Non-maximum suppression, one for training reports, threshold tuning and the demo."""

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections

MAX_DETECTIONS = 300
MAX_CANDIDATES = 3000


def nms(
    detections: Detections,
    *,
    conf: float,
    iou: float,
    agnostic: bool = False,
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Keep the best box of every group of overlapping boxes.

    Boxes are visited by falling score; ties are broken by class, then by x_min, y_min, x_max, y_max, so that the result
    does not depend on the order of the input. A box is dropped when its IoU with a kept box is above `iou`.

    Args:
        detections: Candidates, in any order.
        conf: Boxes with a score below this are dropped first, in [0, 1].
        iou: Overlap above which the weaker box is dropped, in [0, 1].
        agnostic: Compare boxes across classes. Otherwise only boxes of one class suppress each other.
        max_detections: At most this many boxes are returned.

    Returns:
        The kept boxes by falling score; empty input gives empty output.
    """
    candidates = detections.select(detections.score >= conf)
    candidates = candidates.select(_visiting_order(candidates)[:MAX_CANDIDATES])
    if len(candidates) == 0:
        return candidates
    xyxy = candidates.xyxy.astype(np.float64)
    alive = np.ones(len(candidates), np.bool_)
    kept: list[int] = []
    for row in range(len(candidates)):
        if not alive[row]:
            continue
        kept.append(row)
        if len(kept) == max_detections:
            break
        rivals = row + 1 + np.flatnonzero(alive[row + 1 :])
        if not agnostic:
            rivals = rivals[candidates.class_id[rivals] == candidates.class_id[row]]
        alive[rivals[boxes.iou(xyxy[row : row + 1], xyxy[rivals])[0] > iou]] = False
    return candidates.select(np.array(kept, np.int64))


def _visiting_order(detections: Detections) -> NDArray[np.int64]:
    x_min, y_min, x_max, y_max = detections.xyxy.T
    return np.lexsort((y_max, x_max, y_min, x_min, detections.class_id, -detections.score))
