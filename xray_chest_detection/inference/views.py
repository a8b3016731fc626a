"""How a film is looked at: as a whole or with tiles, as it is or mirrored. Shared by the runtimes and torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.fusion import fuse_views
from xray_chest_detection.core.letterbox import Letterbox, letterbox
from xray_chest_detection.core.score_maps import ScoreMap, map_scores
from xray_chest_detection.core.tiling import Tiles, Window, merge_views
from xray_chest_detection.inference.decode import FLOOR, decode_head


@dataclass(frozen=True, eq=False)
class Prepared:
    """A film as network inputs: the whole, then its tiles.

    Attributes:
        squares: `(S, S)` uint8 each.
        frames: Where the whole film, or the tile, lies in each.
        windows: Where each tile lies in the film; none without tiles.
        tiles: The grid of the tiles; None without.
    """

    squares: tuple[NDArray[np.uint8], ...]
    frames: tuple[Letterbox, ...]
    windows: tuple[Window, ...] = ()
    tiles: Tiles | None = None


def prepare(pixels: NDArray[np.uint8], size_px: int, *, tiles: Tiles | None = None) -> Prepared:
    """Scale a film, and its tiles where there are any, to network inputs.

    Args:
        pixels: `(H, W)` uint8 grey, bone bright.
        size_px: Side of the network input.
        tiles: Parts of the film that are looked at beside the whole.
    """
    windows = () if tiles is None else tiles.windows(pixels.shape[1], pixels.shape[0])
    scaled = [letterbox(part, size_px) for part in (pixels, *(window.of(pixels) for window in windows))]
    squares, frames = zip(*scaled, strict=True)
    return Prepared(squares, frames, windows, tiles)


def mirrored(squares: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Network inputs with left and right exchanged."""
    return [np.ascontiguousarray(square[:, ::-1]) for square in squares]


def decode_view(
    heads: Sequence[NDArray[np.float32]], prepared: Prepared, *, mirror: bool = False, floor: float = FLOOR
) -> Detections:
    """Candidates of one view of a film, before suppression.

    Args:
        heads: What the network says about each square, `(4 + classes, places)`.
        prepared: The film.
        mirror: The network was given the squares `mirrored`; boxes come out in the frame of the film itself, to the
            pixel, wherever the film lies in the square.
        floor: Lowest score that is returned, in [0, 1].

    Returns:
        As `decode_head`; with tiles those of all parts together.
    """
    size = prepared.squares[0].shape[1]
    unmirrored = [_turned(head, size) for head in heads] if mirror else heads
    whole, *parts = (
        decode_head(head, frame, floor=floor) for head, frame in zip(unmirrored, prepared.frames, strict=True)
    )
    if prepared.tiles is None:
        return whole
    return merge_views(whole, zip(prepared.windows, parts, strict=True), prepared.tiles)


def combine(views: Sequence[Detections], *, score_maps: Mapping[str, ScoreMap], classes: Sequence[str]) -> Detections:
    """Candidates of one or two views as the deployed model has them before suppression: fused, scores mapped."""
    return map_scores(views[0] if len(views) == 1 else fuse_views(*views), score_maps, classes)


def _turned(head: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    turned = head.copy()
    turned[0] = size_px - head[0]
    return turned
