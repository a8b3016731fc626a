"""Erasing parts of a film without hiding a finding: a detector must not depend on one spot of it.

The erasing of ultralytics is made for whole-image classes, and that of albumentations may cover a box completely; its
label would then teach the network to see what is not there.
"""

import random
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.data.augment import BaseTransform

MAX_COVERED = 0.2  # of a box: what is left fills it with IoU 0.8, far above the 0.5 at which a box counts as found
MAX_RECTANGLES = 4
SIDE_SHARE = (0.05, 0.25)  # of the image's width and height
ATTEMPTS = 12  # a heart and two lungs full of boxes leave little room


class BoxSafeErasing(BaseTransform):  # type: ignore[misc]
    """A step of ultralytics that erases; boxes, weights and unknown parts stay as they are."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def apply_image(self, labels: dict[str, Any], params: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Erase with the step's probability."""
        if random.random() >= self.probability:
            return labels
        height, width = labels["img"].shape[:2]
        instances = deepcopy(labels["instances"])
        instances.convert_bbox("xyxy")
        instances.denormalize(width, height)
        rng = np.random.default_rng(random.getrandbits(64))  # ultralytics seeds `random` in every worker
        return labels | {"img": erase(labels["img"], instances.bboxes, rng)}


def erase(pixels: NDArray[np.uint8], xyxy: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A film with one to four rectangles of one grey level each; fewer, or none, where boxes leave no room.

    Args:
        pixels: `(H, W, C)`.
        xyxy: `(N, 4)` boxes in pixels. Together the rectangles cover at most `MAX_COVERED` of each.
        rng: Source of the random choices.
    """
    height, width = pixels.shape[:2]
    erased, covered = pixels.copy(), np.zeros((height, width), np.bool_)
    wanted = int(rng.integers(1, MAX_RECTANGLES + 1))
    for _ in range(ATTEMPTS):
        sides = (rng.uniform(*SIDE_SHARE, 2) * (width, height)).round().astype(int).clip(1)
        left, top = rng.integers(0, np.array([width, height]) - sides + 1)
        rectangle = np.s_[top : top + sides[1], left : left + sides[0]]
        before = covered[rectangle].copy()
        covered[rectangle] = True
        if covered_share(covered, xyxy).max(initial=0) > MAX_COVERED:
            covered[rectangle] = before
            continue
        erased[rectangle] = rng.integers(0, 256)
        wanted -= 1
        if not wanted:
            break
    return erased


def covered_share(covered: NDArray[np.bool_], xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Which share of each box `(N,)` lies under the covered pixels; a pixel at the rim of a box counts in full.

    Args:
        covered: `(H, W)` True where something is hidden.
        xyxy: `(N, 4)` boxes in pixels; what sticks out of the image is cut off.
    """
    height, width = covered.shape
    inside = np.asarray(xyxy, np.float64).reshape(-1, 4).clip(0, [width, height, width, height])
    area = np.maximum((inside[:, 2] - inside[:, 0]) * (inside[:, 3] - inside[:, 1]), 1e-9)
    low, high = np.floor(inside[:, :2]).astype(int), np.ceil(inside[:, 2:]).astype(int)
    hidden = [int(covered[y0:y1, x0:x1].sum()) for (x0, y0), (x1, y1) in zip(low, high, strict=True)]
    return np.asarray(np.array(hidden) / area, np.float64)
