"""One radiograph as 8-bit grey, and the rules every file format shares: size limits and contrast."""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.errors import ImageError

MAX_PIXELS = 64_000_000
MIN_SIDE_PX = 32
PERCENTILES = (0.5, 99.5)
_BLOCK = 1_000_000


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A decoded image in the sense of MONOCHROME2: bone bright, air dark, upright.

    Attributes:
        pixels: `(H, W)` uint8.
        name: File name as the caller gave it.
        format: What the content is, for example `PNG` or `DICOM`; the file's suffix plays no part.
        view: DICOM view position, for example `PA`; None for other formats.
        laterality: DICOM laterality, `L` or `R`; None where it does not apply.
        notes: What was changed on the way to 8-bit grey, one short phrase each.
    """

    pixels: NDArray[np.uint8]
    name: str
    format: str
    view: str | None = None
    laterality: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def width_px(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])

    @property
    def height_px(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])


def check_size(width_px: int, height_px: int, *, name: str, max_pixels: int, cost: int = 1, mode: str = "grey") -> None:
    """Refuse images that are too large to decode safely or too small to show anything. Call it before decoding.

    Args:
        width_px: Number of columns.
        height_px: Number of rows.
        name: File name for messages.
        max_pixels: Largest image of 8-bit grey.
        cost: How many such pixels take as much memory as one of this image while it is decoded.
        mode: What makes a pixel cost that, for messages.

    Raises:
        ImageError: Names the size and the limit.
    """
    if width_px * height_px * cost > max_pixels:
        kind = "" if cost == 1 else f" in {mode}"
        raise ImageError(
            f"{name}: {width_px} x {height_px} pixels{kind} are more than the {max_pixels / cost / 1e6:g} million "
            "allowed; make the image smaller first (2,000 pixels a side are plenty)"
        )
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise ImageError(
            f"{name}: {width_px} x {height_px} pixels are too few; "
            f"a radiograph needs at least {MIN_SIDE_PX} pixels a side"
        )


def reason(error: Exception) -> str:
    """What a decoder says, in one short line; it may quote bytes of the file."""
    text = "".join(character if character.isprintable() else " " for character in str(error))
    return textwrap.shorten(text.strip() or type(error).__name__, 110, placeholder="...").rstrip(":. ")


def to_8_bit(unit: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Grey values from numbers of any shape, 0 black and 1 white; values outside are clipped.

    >>> to_8_bit(np.array([-1.0, 0.0, 0.5, 1.0]))
    array([  0,   0, 128, 255], dtype=uint8)
    """
    return np.asarray(np.clip(unit, 0, 1) * 255 + 0.5).astype(np.uint8)


def stretch(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey values `(H, W)` from numbers of unknown range: the 0.5th percentile becomes black, the 99.5th white.

    Percentiles instead of the extremes, because one burnt-in marker or one dead pixel would darken the whole image.
    They are taken from every n-th pixel of large images. Not-a-number counts as black; a constant image is black.
    Rows are scaled a few at a time: floats of a whole image would take ten times its memory.
    """
    flat = values.reshape(-1)
    sample = flat[:: max(1, flat.size // 1_000_000)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    grey = np.zeros(values.shape, np.uint8)
    if sample.size == 0:
        return grey
    low, high = np.percentile(sample, PERCENTILES)
    if high <= low:
        low, high = sample.min(), sample.max()
    if high <= low:
        return grey
    for rows in row_blocks(values.shape):
        unit = (values[rows].astype(np.float32) - np.float32(low)) / np.float32(high - low)
        grey[rows] = to_8_bit(np.nan_to_num(unit, nan=0.0))
    return grey


def row_blocks(shape: tuple[int, ...]) -> list[slice]:
    """Slices of rows that together are an image `(H, W)`, each of about a million pixels.

    >>> row_blocks((5, 400_000))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    height, width = shape
    step = max(1, _BLOCK // max(1, width))
    return [slice(start, start + step) for start in range(0, height, step)]
