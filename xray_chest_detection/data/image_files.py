"""Finding image files by their names, and reading their sizes without decoding them."""

import os
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import pydicom
from PIL import Image, UnidentifiedImageError

from xray_chest_detection.errors import DataError, ImageError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom"})
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}) | DICOM_SUFFIXES
MAX_ASPECT_ERROR = 0.01
_EXIF_ORIENTATION, _FIRST_TURNED = 0x0112, 5  # orientations 5 to 8 swap width and height
_DICOM_HEADER = ["Rows", "Columns", "ViewPosition"]


class ImageHeader(NamedTuple):
    """What a file says about its image: width and height in pixels, and the view of a DICOM file that names it."""

    width_px: int
    height_px: int
    view: str | None = None


def index_images(root: Path, wanted: Collection[str], *, suffixes: Collection[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Map the stem of every wanted image file below `root` to its absolute path.

    Sub-folders do not matter, nor which of the suffixes a file has, symbolic links are followed, hidden files are
    passed over.

    Raises:
        DataError: Two files have the same wanted stem.
    """
    found: dict[str, Path] = {}
    known = frozenset(wanted)
    for folder, subfolders, names in os.walk(root.absolute(), followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a Path for each of 112,120 names takes a second
            if stem not in known or suffix.lower() not in suffixes:
                continue
            path = Path(folder, name)
            if stem in found:
                raise DataError(f"{path}: {found[stem]} has the same name; keep one of the two")
            found[stem] = path
    return found


def read_size_px(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is displayed (EXIF orientation applied), from its header.

    Raises:
        ImageError: The file is missing, empty, or its header is not that of an image.
    """
    return read_header(path)[:2]


def read_header(path: Path) -> ImageHeader:
    """Size, and view if it is known, of an image as it is displayed; no pixel is decoded.

    Raises:
        ImageError: The file is missing, empty, or its header is not that of an image.
    """
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty (0 bytes); download it again")
        return _dicom_header(path) if path.suffix.lower() in DICOM_SUFFIXES else ImageHeader(*_pillow_size(path))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error}); download it again") from None


def same_aspect(size_px: tuple[int, int], reference: tuple[float, float]) -> bool:
    """Whether an image may be a resized copy of a reference, both as width and height."""
    width_px, height_px = size_px
    expected = width_px * reference[1] / reference[0]
    return abs(height_px - expected) <= max(MAX_ASPECT_ERROR * expected, 0.5)


def is_squeezed(size_px: tuple[int, int], reference: tuple[float, float]) -> bool:
    """Whether an image is a square made of a reference that is not, both as width and height.

    The most used public copies of VinBigData are such squares. A square that was cut out or padded looks the same.
    """
    return size_px[0] == size_px[1] and not same_aspect(size_px, reference)


def check_aspect(sizes_px: Iterable[tuple[Path, tuple[int, int]]], *, width: float, height: float) -> None:
    """Make sure that files are resized copies of one reference; see `check_aspects`."""
    check_aspects((path, size, (width, height)) for path, size in sizes_px)


def check_aspects(files: Iterable[tuple[Path, tuple[int, int], tuple[float, float]]]) -> None:
    """Make sure that files are resized copies of their references: boxes are stored as shares of the whole image.

    A square passes for a copy of any reference; see `is_squeezed`.

    Args:
        files: Paths with their width and height, and the width and height their boxes refer to.

    Raises:
        DataError: An aspect ratio differs by more than 1 % (and by more than rounding to whole pixels explains).
    """
    wrong = [one for one in files if not (same_aspect(one[1], one[2]) or is_squeezed(one[1], one[2]))]
    if wrong:
        path, (found_width, found_height), (width, height) = wrong[0]
        more = f" ({len(wrong)} such images)" if len(wrong) > 1 else ""
        raise DataError(
            f"{path}: {found_width} x {found_height} pixels are not a resized copy of the {width:g} x {height:g} "
            f"pixels its boxes refer to{more}; use the original or a copy resized without cutting or padding"
        )


def _pillow_size(path: Path) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                exif = Image.Image.getexif(image) if _ends_with_pixels(image, path) else image.getexif()
                turned = exif.get(_EXIF_ORIENTATION, 1) >= _FIRST_TURNED and image.format != "TIFF"
                return (image.height, image.width) if turned else (image.width, image.height)
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that can be read; download it again") from None
    except OSError:
        raise
    except Exception as error:  # Pillow's plug-ins raise anything on a damaged header
        raise ImageError(f"{path}: damaged image ({type(error).__name__}); download it again") from None


def _ends_with_pixels(image: Image.Image, path: Path) -> bool:
    """Whether the file is a PNG in which nothing follows the pixels: only for what follows must they be decoded.

    Source: PNG specification, third edition, section 5.3: length, type, data and checksum of every chunk.
    """
    if image.format != "PNG":
        return False
    kinds = []
    with path.open("rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            kinds.append(head[4:])
            stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    if b"IEND" not in kinds:
        raise OSError("image file is truncated")
    return set(kinds[kinds.index(b"IDAT") :]) == {b"IDAT", b"IEND"}


def _dicom_header(path: Path) -> ImageHeader:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=_DICOM_HEADER)
        return ImageHeader(int(header.Columns), int(header.Rows), str(header.get("ViewPosition") or "") or None)
    except OSError:
        raise
    except Exception as error:  # pydicom raises anything on damaged data
        raise ImageError(f"{path}: damaged DICOM header ({type(error).__name__}); download it again") from None
