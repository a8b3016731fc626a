"""Between a network and detections: what goes in, and what its raw output means. Shared by ONNX Runtime and torch."""

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.letterbox import Letterbox
from xray_chest_detection.core.nms import MAX_CANDIDATES

FLOOR = 0.001


def to_unit(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey values of a network input in [0, 1], same shape."""
    return np.asarray(square / np.float32(255), np.float32)


def decode_head(head: NDArray[np.float32], frame: Letterbox, *, floor: float = FLOOR) -> Detections:
    """Candidates from the output of a detector for one image.

    Args:
        head: `(4 + classes, places)`: centre x, centre y, width, height in input pixels, then a score per class.
        frame: Where the image lies in the input.
        floor: Lowest score that is returned, in [0, 1].

    Returns:
        One row per place and class with a score of at least `floor`, best first, at most `MAX_CANDIDATES`; boxes in
        pixels of the image, clipped to it. Boxes without area or with a value that is not a number are left out.
    """
    class_id, place = np.nonzero(head[4:] >= floor)
    score = head[4:][class_id, place]
    best = np.argsort(-score, kind="stable")[:MAX_CANDIDATES]
    class_id, place, score = class_id[best], place[best], score[best]
    cx, cy, width, height = head[:4, place].astype(np.float64)
    in_input = np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], axis=1)
    xyxy = boxes.clip(frame.to_image(in_input), frame.width_px, frame.height_px).astype(np.float32)
    found = Detections(xyxy, score.astype(np.float32), class_id.astype(np.int64), frame.width_px, frame.height_px)
    return found.select(np.isfinite(xyxy).all(axis=1) & (boxes.area(xyxy) > 0))
