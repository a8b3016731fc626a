"""Films as bytes for the screen."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_chest_detection.inference.render import fit

SCREEN_PX = 1600
_BROWSER_FORMATS = {"PNG", "JPEG"}
_BROWSER_MODES = {"L", "RGB"}


def as_png(pixels: NDArray[np.uint8], *, max_side_px: int = SCREEN_PX) -> bytes:
    """A film `(H, W)` as a grey PNG whose longest side is at most `max_side_px`."""
    return picture_png(fit(pixels, max_side_px=max_side_px))


def as_jpeg(pixels: NDArray[np.uint8], *, max_side_px: int) -> bytes:
    """A film `(H, W)` as a grey JPEG whose longest side is at most `max_side_px`."""
    stream = BytesIO()
    fit(pixels, max_side_px=max_side_px).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def picture_png(picture: Image.Image) -> bytes:
    """A picture as PNG, compressed for speed rather than for size."""
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def data_url(png: bytes) -> str:
    """A PNG as the source of an image element."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def browser_shows_it(content: bytes) -> bool:
    """Whether a browser shows these bytes as the models see them: 8-bit grey or RGB, PNG or JPEG.

    DICOM cannot be shown at all; 16-bit, CMYK and transparent images look different in a browser, animated ones move,
    and not all browsers turn a PNG that is stored turned.
    """
    try:
        with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as image:
            still = not getattr(image, "is_animated", False)
            upright = image.format == "JPEG" or not {"exif", "Raw profile type exif"} & image.info.keys()
            return still and upright and image.format in _BROWSER_FORMATS and image.mode in _BROWSER_MODES
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
