"""From the bytes of a file to one radiograph, whatever its format. The content decides, never the file's name."""

import io
import math
import re
import threading
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

from xray_chest_detection.core.image_bounds import check_structure, check_tags
from xray_chest_detection.core.radiograph import MAX_PIXELS, Radiograph, check_size, reason, stretch
from xray_chest_detection.errors import ImageError

__all__ = ["MAX_PIXELS", "Radiograph", "decode_image", "read_image", "starts_like_an_image"]

ALLOWED = "PNG, JPEG, TIFF, WebP, BMP or DICOM"
# Pillow knows many more formats. The ones left out start other programs (EPS), can be made to read for hours (GIF) or
# hardly ever hold a radiograph, and every decoder is one more that a stranger's bytes reach.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
_REFUSED = {b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000"}
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8", b"\0\0\0\x0cjP  ")
_GREY_SPREAD = 16  # lossy compression tints grey by a few levels
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_WHITE_IS_ZERO, _TIFF_PHOTOMETRIC, _TIFF_TILE_SIDES, _EXIF_ORIENTATION = 0, 262, (322, 323), 0x0112
# Left out: fax, whose decoder writes a line to the log for every damaged row, and packings nobody uses for films.
_TIFF_PACKINGS = {"raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg", "zstd", "lzma"}
# Peak memory of decoding one pixel, in pixels of 8-bit grey (4 bytes); measured by tests/core/test_image_bounds.py.
_COSTS, _OTHER_COST, _WEBP_COST = {"1": 1, "L": 1, "I;16": 2, "I;16B": 2, "P": 2, "RGB": 2}, 3, 4
# One image is decoded at a time: it bounds the memory peak of a threaded server, and warning filters are global.
_ONE_AT_A_TIME = threading.Lock()


def read_image(path: Path, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """Read and decode an image file; unless a name is given, the radiograph is named after the file without its folder.

    Raises:
        ImageError: The file is missing, unreadable or not an image; see `decode_image`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); give the path of an image file") from None
    return decode_image(content, name=name or path.name, max_pixels=max_pixels)


def decode_image(content: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> Radiograph:
    """Decode an image to upright 8-bit grey with bone bright.

    Colour becomes luminance, transparency black. Deeper images (16-bit PNG and TIFF) whose values exceed 255 are
    scaled from their 0.5th to their 99.5th percentile, because exports fill 10, 12 or 16 bits and do not say which;
    DICOM says it, and `core.dicom` follows it. Of several pictures in one file the first is taken, and a note says so.

    Args:
        content: The whole file.
        name: File name for messages; nothing is derived from it.
        max_pixels: Larger images are refused before they are decoded.

    Raises:
        ImageError: Empty, damaged, truncated, too large, too small, or not an image; one line with the cure.
    """
    if not content:
        raise ImageError(f"{name}: the file is empty (0 bytes); choose a {ALLOWED} image")
    check_structure(content, name=name, max_pixels=max_pixels)
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if content[128:132] == b"DICM":
            return _decode_dicom(content, name=name, max_pixels=max_pixels)
        try:
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
        except (UnidentifiedImageError, Image.DecompressionBombError, ModuleNotFoundError) as error:
            # ultralytics replaces Image.open: what it cannot identify ends in the import of a plug-in
            return _decode_unidentified(content, error, name=name, max_pixels=max_pixels)
        except Exception as error:  # Pillow's plug-ins raise anything on a damaged header
            raise _damaged(name, error) from None
        with image:
            return _decode_pillow(image, name=name, max_pixels=max_pixels)


def starts_like_an_image(head: bytes) -> bool:
    """Whether a file whose first 132 bytes are `head` is an image by its magic number, DICOM included.

    >>> starts_like_an_image(b"GIF89a"), starts_like_an_image(b"Dear Sir")
    (True, False)
    """
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_MAGIC) or webp or head[128:132] == b"DICM"


def _decode_unidentified(content: bytes, error: Exception, *, name: str, max_pixels: int) -> Radiograph:
    """Bytes that Pillow does not take: too many pixels, a DICOM file without its preamble, or no image."""
    if isinstance(error, Image.DecompressionBombError):
        count = re.search(r"\d+", str(error))
        size = f"{int(count[0]) / 1e6:.0f} million" if count else "too many"
        raise ImageError(
            f"{name}: {size} pixels are more than the {max_pixels / 1e6:g} million allowed; "
            "make the image smaller first (2,000 pixels a side are plenty)"
        ) from None
    # Without the preamble the first element is (0002,xxxx) or (0008,xxxx), little or big endian.
    if content[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return _decode_dicom(content, name=name, max_pixels=max_pixels)
    refused = next((kind for start, kind in _REFUSED.items() if content.startswith(start)), None)
    if refused is not None:
        raise ImageError(f"{name}: {refused} images are not read; save it as PNG") from None
    if starts_like_an_image(content[:132]):
        raise ImageError(f"{name}: damaged or truncated image; copy or export the file again") from None
    raise ImageError(f"{name}: not an image that can be read; choose a {ALLOWED} file") from None


def _decode_dicom(content: bytes, *, name: str, max_pixels: int) -> Radiograph:
    from xray_chest_detection.core.dicom import decode_dicom  # pydicom costs 0.2 s; most images need none of it

    return decode_dicom(content, name=name, max_pixels=max_pixels)


def _decode_pillow(image: Image.Image, *, name: str, max_pixels: int) -> Radiograph:
    cost = _WEBP_COST if image.format == "WEBP" else _COSTS.get(image.mode, _OTHER_COST)
    check_size(*image.size, name=name, max_pixels=max_pixels, cost=cost, mode=f"{image.format} {image.mode}")
    try:
        several = bool(getattr(image, "is_animated", False))
        white_is_zero = _check_plugin(image, name=name, max_pixels=max_pixels)
        image.load()
        pixels, notes = _to_grey(image, white_is_zero=white_is_zero)
        orientation = _orientation(image, name=name)
    except ImageError:
        raise
    except Exception as error:  # Pillow's plug-ins raise anything on damaged data
        raise _damaged(name, error) from None
    if several:
        notes = (*notes, "first of several pictures used")
    if orientation != 1:
        pixels = _upright(pixels, orientation)
        notes = (*notes, "turned upright as its EXIF orientation says")
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    return Radiograph(np.ascontiguousarray(pixels), name, kind, notes=notes)


def _check_plugin(image: Image.Image, *, name: str, max_pixels: int) -> bool:
    """What only some formats have: whether white is zero; refuses tiles and packings that cost too much.

    Raises:
        ImageError: A tile is larger than any image may be, or the packing is one of those that are not read.
    """
    if image.format == "BMP" and any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ())):
        raise ImageError(f"{name}: run-length BMP images are not read; save it as PNG")
    if image.format != "TIFF":
        return False
    packing = image.info.get("compression", "raw")
    if packing not in _TIFF_PACKINGS:
        raise ImageError(f"{name}: TIFF images packed as {packing} are not read; save it as PNG")
    tags = image.tag_v2  # type: ignore[attr-defined]  # of TIFF images
    width, height = (int(tags.get(tag, 0)) for tag in _TIFF_TILE_SIDES)
    if width * height > max_pixels:
        raise ImageError(f"{name}: TIFF tiles of {width} x {height} pixels are too large; save it as PNG")
    return bool(tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _to_grey(image: Image.Image, *, white_is_zero: bool) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Grey values `(H, W)` of a loaded image and what was done to get them."""
    if image.mode in _DEEP_MODES:
        return _deep_to_grey(np.asarray(image), white_is_zero=white_is_zero)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")), ()
    notes: tuple[str, ...] = ()
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        alpha = opaque.getchannel("A")
        # Luminance is linear: a grey value over black is the value times its opacity.
        grey = ImageChops.multiply(opaque.convert("L"), alpha)
        notes = ("transparent parts set to black",) if alpha.getextrema()[0] != 255 else ()
    else:
        opaque = image if image.mode == "RGB" else image.convert("RGB")
        grey = opaque.convert("L")
    return np.asarray(grey), (*notes, "colour converted to grey") if _is_coloured(opaque) else notes


def _is_coloured(image: Image.Image) -> bool:
    """Whether an RGB or RGBA image is more than tinted; looks at a million pixels at most."""
    step = math.isqrt(image.width * image.height // 1_000_000) + 1
    small = image.resize((-(-image.width // step), -(-image.height // step)), Image.Resampling.NEAREST)
    red, green, blue = small.split()[:3]
    pairs = ((red, green), (green, blue), (red, blue))
    return any(ImageChops.difference(*pair).getextrema()[1] > _GREY_SPREAD for pair in pairs)  # type: ignore[operator]


def _deep_to_grey(values: NDArray[np.generic], *, white_is_zero: bool) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Grey values from integers or floats of more than 8 bits."""
    if values.dtype.kind == "f":
        grey, note = stretch(values), "floating-point grey scaled to 8 bits"
    elif values.min() >= 0 and values.max() <= 255:
        grey, note = values.astype(np.uint8), "8-bit values stored in a deeper file"
    else:
        grey, note = stretch(values), "16-bit grey scaled to 8 bits"
    # Pillow inverts such 8-bit files itself, deeper ones not.
    return (255 - grey, (note, "white-is-zero inverted")) if white_is_zero else (grey, (note,))


def _orientation(image: Image.Image, *, name: str) -> int:
    """EXIF orientation 1 to 8; 1 where there is none. Pillow has already turned TIFF files."""
    check_tags(image.info.get("exif") or b"", name=name)
    image.info.pop("Raw profile type exif", None)  # an old habit of PNG writers, which Pillow would unpack unchecked
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF data says nothing about the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation. Source: EXIF 2.32, tag 0x0112."""
    if orientation >= 5:
        pixels = pixels.T
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _damaged(name: str, error: Exception) -> ImageError:
    return ImageError(f"{name}: damaged or truncated image ({reason(error)}); copy or export the file again")
