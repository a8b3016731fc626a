"""The one way a radiograph becomes a square network input, and how boxes travel between the two frames."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILL = 114


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies inside its square input.

    Attributes:
        gain_x: Input pixels per image pixel along a row. Whole pixels make it differ from `gain_y` in the last digits.
        gain_y: Input pixels per image pixel along a column.
        pad_left: Filled columns left of the image, in input pixels.
        pad_top: Filled rows above the image, in input pixels.
        width_px: Width of the image.
        height_px: Height of the image.
        size_px: Side of the square input.
    """

    gain_x: float
    gain_y: float
    pad_left: int
    pad_top: int
    width_px: int
    height_px: int
    size_px: int

    @classmethod
    def fit(cls, width_px: int, height_px: int, size_px: int) -> Self:
        """The largest centred copy of an image of this size, aspect kept, inside a square of `size_px`.

        >>> Letterbox.fit(200, 100, 50)
        Letterbox(gain_x=0.25, gain_y=0.25, pad_left=0, pad_top=12, width_px=200, height_px=100, size_px=50)
        """
        gain = size_px / max(width_px, height_px)
        new_width = min(size_px, max(1, round(width_px * gain)))
        new_height = min(size_px, max(1, round(height_px * gain)))
        left, top = (size_px - new_width) // 2, (size_px - new_height) // 2
        return cls(new_width / width_px, new_height / height_px, left, top, width_px, height_px, size_px)

    @property
    def gain(self) -> float:
        """Input pixels per image pixel, before rounding to whole pixels."""
        return self.size_px / max(self.width_px, self.height_px)

    def to_input(self, xyxy: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes `(N, 4)` from pixels of the image to pixels of the input; the inverse of `to_image`."""
        return np.asarray(xyxy, np.float64) * self._scale + self._shift

    def to_image(self, xyxy: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes `(N, 4)` from pixels of the input to pixels of the image, not clipped."""
        return (np.asarray(xyxy, np.float64) - self._shift) / self._scale

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.gain_x, self.gain_y, self.gain_x, self.gain_y])

    @property
    def _shift(self) -> NDArray[np.float64]:
        return np.array([self.pad_left, self.pad_top, self.pad_left, self.pad_top], np.float64)


def letterbox(pixels: NDArray[np.uint8], size_px: int, *, fill: int = FILL) -> tuple[NDArray[np.uint8], Letterbox]:
    """Scale an image to a square, aspect kept, centred on a grey ground.

    Args:
        pixels: `(H, W)` uint8.
        size_px: Side of the square.
        fill: Grey value around the image.

    Returns:
        The square `(size_px, size_px)` uint8 and where the image lies in it. Scaling is Pillow's bilinear filter,
        which averages when it shrinks, so that small findings do not fall between samples.
    """
    height, width = pixels.shape
    frame = Letterbox.fit(width, height, size_px)
    scaled = _scaled(pixels, frame)
    square = np.full((size_px, size_px), fill, np.uint8)
    square[frame.pad_top : frame.pad_top + scaled.shape[0], frame.pad_left : frame.pad_left + scaled.shape[1]] = scaled
    return square, frame


def scale_to_fit(
    pixels: NDArray[np.uint8], size_px: int, *, aspect: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """An image `(H, W)` scaled so that its longer side is `size_px`, as `letterbox` does it.

    Args:
        pixels: `(H, W)` uint8.
        size_px: The longer side of the result.
        aspect: Width and height of the image whose aspect ratio the result gets; not given: of `pixels`.
    """
    width, height = aspect or pixels.shape[::-1]
    return _scaled(pixels, Letterbox.fit(width, height, size_px))


def _scaled(pixels: NDArray[np.uint8], frame: Letterbox) -> NDArray[np.uint8]:
    new_size = (round(frame.gain_x * frame.width_px), round(frame.gain_y * frame.height_px))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(new_size, Image.Resampling.BILINEAR))
