"""Changed copies of pictures for the chest gate: what hospitals, exports and screenshots do to a film, and more."""

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.inference.chest_gate import SIDE_PX

FloatArray = NDArray[np.float32]
GreyArray = NDArray[np.uint8]

TIGHT = (2.6, 5.0)  # how many times a part of a film fits into its side when it is no chest film any more
_BRIGHT_FRAME = 0.12


def changed(square: GreyArray, rng: np.random.Generator, *, quarters: int = 0, zoom: float | None = None) -> FloatArray:
    """A copy `(64, 64)` of a picture `(128, 128)`: moved, leaned, mirrored, with other contrast, frame and marks.

    Args:
        square: The picture.
        rng: Source of every choice.
        quarters: Quarter turns.
        zoom: Enlarged this many times, any part of it; None: the whole picture, a little larger or smaller.
    """
    picture = np.rot90(_moved(square, rng, zoom=zoom), quarters)
    return _developed(small(np.ascontiguousarray(picture)), rng)


def changed_negative(square: GreyArray, rng: np.random.Generator) -> FloatArray:
    """A changed copy of the picture with black and white swapped."""
    return changed(255 - square, rng)


def small(square: GreyArray) -> FloatArray:
    """A picture `(128, 128)` as `(64, 64)`, 0 .. 1."""
    reduced = cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.float32) / np.float32(255)


def _moved(square: GreyArray, rng: np.random.Generator, *, zoom: float | None) -> GreyArray:
    side = len(square)
    angle = np.deg2rad(np.clip(rng.normal(0, 6), -12, 12))
    scale = np.exp(np.clip(rng.normal(0, 0.15), -0.3, 0.3)) if zoom is None else zoom
    aspect = np.exp(np.clip(rng.normal(0, 0.1), -0.25, 0.25))
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (aspect, 1 / aspect)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    reach = 0.08 if zoom is None else 0.45 * (zoom - 1)
    middle = np.full(2, side / 2)
    shift = middle - matrix @ middle + side * rng.uniform(-reach, reach, 2)
    fill = 255 if rng.random() < _BRIGHT_FRAME else 0
    moved = cv2.warpAffine(square, np.column_stack([matrix, shift]), (side, side), borderValue=fill)
    return np.asarray(moved, np.uint8)


def _developed(picture: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Local contrast, blur, curve, contrast, noise, borders and burnt-in marks, each with its chance."""
    if rng.random() < 0.3:
        picture = picture + rng.uniform(0, 1.2) * (picture - cv2.blur(picture, (9, 9)))
    if rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.5))
    picture = np.clip(picture, 1e-4, 1) ** np.exp(rng.normal(0, 0.35))
    picture = (picture - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.1)
    if rng.random() < 0.4:
        picture = np.asarray(picture + rng.normal(0, rng.uniform(0, 0.06), picture.shape), np.float32)
    picture = np.array(picture, np.float32)
    border = rng.choice((0.0, 1.0, rng.random()), p=(0.65, 0.1, 0.25))
    for edge in range(4):
        if rng.random() < 0.2:
            np.rot90(picture, edge)[: int(rng.integers(10))] = border
    for _ in range(3):
        if rng.random() < 0.25:
            top, left = rng.integers(SIDE_PX, size=2)
            mark = picture[top : top + int(rng.integers(1, 8)), left : left + int(rng.integers(1, 20))]
            mark[rng.random(mark.shape) < 0.5] = float(rng.random() < 0.8)
    return np.clip(picture, 0, 1)
