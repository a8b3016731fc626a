"""Axis-aligned boxes as arrays. `xyxy` is x_min, y_min, x_max, y_max in pixels, origin top left, max exclusive."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


def area(xyxy: FloatArray) -> FloatArray:
    """Areas in square pixels, `(N,)`, of boxes `(N, 4)`; inverted boxes count as 0.

    >>> area(np.array([[0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 4.0, 9.0]])).tolist()
    [6.0, 0.0]
    """
    return np.clip(xyxy[:, 2] - xyxy[:, 0], 0, None) * np.clip(xyxy[:, 3] - xyxy[:, 1], 0, None)


def intersection(first: FloatArray, second: FloatArray) -> FloatArray:
    """Areas shared by every pair of boxes `(N, 4)` and `(M, 4)`, as `(N, M)`."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Intersection over union of every pair of boxes `(N, 4)` and `(M, 4)`, as `(N, M)` in [0, 1].

    Two boxes without area have an IoU of 0. Empty input gives an array with a side of length 0.

    >>> iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]])).round(3).tolist()
    [[0.333]]
    """
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def paired_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Intersection over union of each box of `(N, 4)` with the box in the same row of the other, `(N,)` in [0, 1].

    >>> boxes = np.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
    >>> paired_iou(boxes, np.array([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])).round(3).tolist()
    [0.333, 0.0]
    """
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = area(first) + area(second) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def clip(xyxy: FloatArray, width_px: float, height_px: float) -> FloatArray:
    """Boxes `(N, 4)` cut at the border of an image.

    >>> clip(np.array([[-5.0, 2.0, 30.0, 9.0]]), 20, 10).tolist()
    [[0.0, 2.0, 20.0, 9.0]]
    """
    return np.clip(xyxy, 0, np.array([width_px, height_px, width_px, height_px]))


def to_cxcywhn(xyxy: FloatArray, width_px: float | FloatArray, height_px: float | FloatArray) -> FloatArray:
    """Boxes `(N, 4)` as centre x, centre y, width, height, each a share of the image (the YOLO label format).

    The size is that of all boxes' image, or `(N,)` of the image of each.

    >>> to_cxcywhn(np.array([[10.0, 0.0, 30.0, 10.0]]), 40, 10).tolist()
    [[0.5, 0.5, 0.5, 1.0]]
    """
    size = np.array([width_px, height_px]).T
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2 / size
    sides = (xyxy[:, 2:] - xyxy[:, :2]) / size
    return np.concatenate([centre, sides], axis=1)


def from_cxcywhn(cxcywhn: FloatArray, width_px: float, height_px: float) -> FloatArray:
    """The inverse of `to_cxcywhn`: boxes `(N, 4)` in pixels.

    >>> from_cxcywhn(np.array([[0.5, 0.5, 0.5, 1.0]]), 40, 10).tolist()
    [[10.0, 0.0, 30.0, 10.0]]
    """
    size = np.array([width_px, height_px])
    centre = cxcywhn[:, :2] * size
    half = cxcywhn[:, 2:] * size / 2
    return np.concatenate([centre - half, centre + half], axis=1)
