"""Finding image files by their names, and reading their sizes without decoding them."""

import os
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

import pydicom
from PIL import Image, UnidentifiedImageError

from xray_chest_detection.errors import DataError, ImageError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".dcm", ".dicom"})
MAX_ASPECT_ERROR = 0.01
_EXIF_ORIENTATION, _FIRST_TURNED = 0x0112, 5  # orientations 5 to 8 swap width and height
_DICOM_SIZE = ["Rows", "Columns"]


def index_images(root: Path, wanted: Collection[str]) -> dict[str, Path]:
    """Map the stem of every wanted image file below `root` to its absolute path.

    Sub-folders and extensions do not matter, symbolic links are followed, hidden files are passed over.

    Raises:
        DataError: Two files have the same wanted stem.
    """
    found: dict[str, Path] = {}
    known = frozenset(wanted)
    for folder, subfolders, names in os.walk(root.absolute(), followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a Path for each of 112,120 names takes a second
            if stem not in known or suffix.lower() not in IMAGE_SUFFIXES:
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
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty (0 bytes); download it again")
        return _dicom_size(path) if path.suffix.lower() in (".dcm", ".dicom") else _pillow_size(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error}); download it again") from None


def check_aspect(sizes_px: Iterable[tuple[Path, tuple[int, int]]], *, width: float, height: float) -> None:
    """Make sure that files are resized copies of a reference: boxes are stored as shares of the whole image.

    Args:
        sizes_px: Files with their width and height.
        width: Width of the reference the boxes refer to.
        height: Height of that reference.

    Raises:
        DataError: An aspect ratio differs by more than 1 % (and by more than rounding to whole pixels explains).
    """
    wrong = [(path, size) for path, size in sizes_px if not _same_aspect(size, (width, height))]
    if wrong:
        path, (found_width, found_height) = wrong[0]
        more = f" ({len(wrong)} such images)" if len(wrong) > 1 else ""
        raise DataError(
            f"{path}: {found_width} x {found_height} pixels are not a resized copy of the {width:g} x {height:g} "
            f"pixels its boxes refer to{more}; use the original or a copy resized without cutting or padding"
        )


def _same_aspect(size_px: tuple[int, int], reference: tuple[float, float]) -> bool:
    width_px, height_px = size_px
    expected = width_px * reference[1] / reference[0]
    return abs(height_px - expected) <= max(MAX_ASPECT_ERROR * expected, 0.5)


def _pillow_size(path: Path) -> tuple[int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= _FIRST_TURNED and image.format != "TIFF"
                return (image.height, image.width) if turned else (image.width, image.height)
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that can be read; download it again") from None
    except OSError:
        raise
    except Exception as error:  # Pillow's plug-ins raise anything on a damaged header
        raise ImageError(f"{path}: damaged image ({type(error).__name__}); download it again") from None


def _dicom_size(path: Path) -> tuple[int, int]:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=_DICOM_SIZE)
        return int(header.Columns), int(header.Rows)
    except OSError:
        raise
    except Exception as error:  # pydicom raises anything on damaged data
        raise ImageError(f"{path}: damaged DICOM header ({type(error).__name__}); download it again") from None
