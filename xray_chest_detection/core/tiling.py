"""Overlapping tiles of an image, looked at beside the whole: a small finding is larger there, a large one is cut.

A box that a border inside the image cuts is no finding but a part of one, so it is left out; the whole image, or the
next tile, has it complete. What a tile shows larger than the overlap may lie complete in no tile at all, and a part of
it can look like a smaller finding: such boxes are the whole image's business.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.nms import MAX_CANDIDATES

SIDES = (0.2, 1.0)  # what the side of a tile may be, as a share of the longer side of the image
BORDER = 0.01  # a box whose edge is this near to a border inside the image, as a share of the tile, is cut by it


class Window(NamedTuple):
    """A part of an image in its pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The window's pixels, a view into those of the image `(H, W)`."""
        return pixels[self.top : self.bottom, self.left : self.right]


class Tiles(BaseModel):
    """A grid of equal, overlapping square tiles; along a shorter side of the image they are cut to it.

    Attributes:
        side: Side of a tile as a share of the longer side of the image.
        overlap: What two neighbours share at least, as a share of the tile.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: float = Field(0.5, ge=SIDES[0], le=SIDES[1])
    overlap: float = Field(0.25, ge=0.1, le=0.75)

    def windows(self, width_px: int, height_px: int) -> tuple[Window, ...]:
        """The tiles of an image of this size, row by row; none when one tile would be the whole image.

        They cover every pixel, and nothing outside.

        >>> [window.left for window in Tiles(side=0.5, overlap=0.25).windows(200, 100)]
        [0, 50, 100]
        """
        side = self.side_px(width_px, height_px)
        columns, rows = (self._starts(length, side) for length in (width_px, height_px))
        if len(columns) == len(rows) == 1:
            return ()
        return tuple(
            Window(left, top, min(left + side, width_px), min(top + side, height_px))
            for top in rows
            for left in columns
        )

    def side_px(self, width_px: int, height_px: int) -> int:
        """Side of a tile of an image of this size in pixels."""
        return max(1, round(self.side * max(width_px, height_px)))

    def _starts(self, length: int, side: int) -> list[int]:
        if side >= length:
            return [0]
        stride = max(1, int(side * (1 - self.overlap)))
        steps = -(-(length - side) // stride)
        return [number * (length - side) // steps for number in range(steps + 1)]


def merge_views(whole: Detections, tiles: Iterable[tuple[Window, Detections]], grid: Tiles) -> Detections:
    """Candidates of the whole image and of its tiles as one list, before suppression.

    Args:
        whole: Candidates on the whole image.
        tiles: Where each tile lies, and its candidates in pixels of the tile.
        grid: The tiles.

    Returns:
        Candidates in pixels of the image, best first, at most `MAX_CANDIDATES`; without tiles what `whole` is. A
        finding that several views show stands there several times, as in overlapping places of one view.
    """
    found = [whole, *(_on_image(boxes_of_tile, window, whole, grid) for window, boxes_of_tile in tiles)]
    if len(found) == 1:
        return whole
    score = np.concatenate([one.score for one in found])
    best = np.argsort(-score, kind="stable")[:MAX_CANDIDATES]
    return Detections(
        np.concatenate([one.xyxy for one in found])[best],
        score[best],
        np.concatenate([one.class_id for one in found])[best],
        whole.width_px,
        whole.height_px,
    )


def _on_image(found: Detections, window: Window, image: Detections, grid: Tiles) -> Detections:
    """A tile's candidates in pixels of the image, without parts of findings."""
    side = grid.side_px(image.width_px, image.height_px)
    near = BORDER * side
    left, top, right, bottom = found.xyxy.T
    cut = (left < near) & (window.left > 0)
    cut |= (top < near) & (window.top > 0)
    cut |= (right > found.width_px - near) & (window.right < image.width_px)
    cut |= (bottom > found.height_px - near) & (window.bottom < image.height_px)
    large = (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1) > grid.overlap * side
    shift = np.array([window.left, window.top, window.left, window.top], np.float32)
    kept = found.select(~cut & ~large)
    return Detections(kept.xyxy + shift, kept.score, kept.class_id, image.width_px, image.height_px)
