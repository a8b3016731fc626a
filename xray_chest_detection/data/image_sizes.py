"""The size that the boxes of an image refer to, when the file to train on may be a resized copy of the original.

Source of `train_meta.csv`: the resized copies of VinBigData on Kaggle, and `data_prep.dicom_to_png`. `dim0` is the
number of rows (height) of the DICOM file, `dim1` the number of columns (width).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.image_files import (
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    ImageHeader,
    check_aspects,
    index_images,
    is_squeezed,
    read_header,
    same_aspect,
)
from xray_chest_detection.data.raw_csv import pick_columns, read_raw_csv, require, to_numbers
from xray_chest_detection.errors import DataError

META_FILE = "train_meta.csv"
_META_COLUMNS = {"image_id": ("image id",), "height": ("dim0",), "width": ("dim1",)}

Size = tuple[float, float]


@dataclass(frozen=True)
class Meta:
    """Width and height in pixels of the originals by image name, and the file that says so."""

    path: Path
    sizes: dict[str, Size]


@dataclass(frozen=True)
class ImageFiles:
    """Where the images are.

    Attributes:
        chosen: Name to the file to train on: a copy if there is one, else the DICOM file.
        dicoms: Name to DICOM file, for those that are here.
    """

    chosen: dict[str, Path]
    dicoms: dict[str, Path]


def read_train_meta(path: Path) -> Meta:
    """Read `train_meta.csv`: the sizes of the originals.

    Raises:
        DataError: A column or a value is missing, or an image stands there twice with different sizes; names the line.
    """
    table = pick_columns(read_raw_csv(path), _META_COLUMNS, path=path)
    require(table["image_id"].ne(""), table, "the image name is missing", path=path)
    sizes = to_numbers(table[["width", "height"]])
    whole = (sizes > 0) & (sizes % 1 == 0)
    require(whole.all(axis=1), table, "dim0 and dim1 must be whole numbers of pixels, from 1", path=path)
    rows = pd.DataFrame({"image_id": table["image_id"], "width": sizes[:, 0], "height": sizes[:, 1]}).drop_duplicates()
    twice = table.index.isin(rows.index[rows["image_id"].duplicated()])
    require(~twice, table, "the image stands in the table twice with different sizes", path=path)
    return Meta(path, dict(zip(rows["image_id"], zip(rows["width"], rows["height"], strict=True), strict=True)))


def find_images(root: Path, wanted: Sequence[str], *, copies: Path) -> ImageFiles:
    """Find the DICOM files below `root` and the copies (PNG, JPEG, ...) below `copies`, which may be the same folder.

    Raises:
        DataError: Two files have the same name.
    """
    dicoms = index_images(root, wanted, suffixes=DICOM_SUFFIXES)
    return ImageFiles(dicoms | index_images(copies, wanted, suffixes=IMAGE_SUFFIXES - DICOM_SUFFIXES), dicoms)


def reference_sizes(
    names: Sequence[str], files: ImageFiles, meta: Meta | None, *, progress: Progress | None = None
) -> pd.DataFrame:
    """The size that the boxes refer to, from headers; no pixel is decoded.

    It comes from `train_meta.csv`, else from the DICOM file. Where neither is given, a copy is taken for an original,
    which `assumed` says.

    Returns:
        image_id, path, width, height, view (of a DICOM file that names it, else None), assumed, squeezed (the file is
        a square, the original is not); in the order of names.

    Raises:
        DataError: An image is not in `train_meta.csv`, its columns are swapped, it and the DICOM file disagree, or a
            copy that is no square has another aspect ratio than its original.
        ImageError: A file is damaged.
    """
    if meta is not None:
        without = [name for name in names if name not in meta.sizes]
        if without:
            raise DataError(
                f"{meta.path}: {len(without)} images have no line, first '{without[0]}'; use the table of the full set"
            )
    watched = progress(names, len(names), title="read headers") if progress else names
    found = [_Headers.of(name, files) for name in watched]
    if meta is not None:
        _require_unswapped(meta, found)
        _require_agreement(meta, found)
    sizes: list[Size] = [(one.dicom or one.chosen)[:2] if meta is None else meta.sizes[one.name] for one in found]
    paths = [files.chosen[name] for name in names]
    check_aspects((path, one.chosen[:2], size) for path, one, size in zip(paths, found, sizes, strict=True))
    return pd.DataFrame(
        {
            "image_id": list(names),
            "path": [str(path) for path in paths],
            "width": np.array([size[0] for size in sizes], np.float64),
            "height": np.array([size[1] for size in sizes], np.float64),
            "view": [None if one.dicom is None else one.dicom.view for one in found],
            "assumed": [meta is None and one.dicom is None for one in found],
            "squeezed": [is_squeezed(one.chosen[:2], size) for one, size in zip(found, sizes, strict=True)],
        }
    )


class _Headers(NamedTuple):
    """What the file to train on and the DICOM file of an image say."""

    name: str
    chosen: ImageHeader
    dicom: ImageHeader | None

    @classmethod
    def of(cls, name: str, files: ImageFiles) -> "_Headers":
        chosen, dicom = files.chosen[name], files.dicoms.get(name)
        original = None if dicom is None else read_header(dicom)
        return cls(name, original if original is not None and chosen == dicom else read_header(chosen), original)


def _require_unswapped(meta: Meta, found: Sequence[_Headers]) -> None:
    """A square shows nothing of this: boxes that leave their image will."""
    shown = [one for one in found if one.chosen.width_px != one.chosen.height_px]
    wrong = [one for one in shown if not same_aspect(one.chosen[:2], meta.sizes[one.name])]
    if wrong and all(same_aspect(one.chosen[:2], meta.sizes[one.name][::-1]) for one in wrong):
        (name, chosen, _), (width, height) = wrong[0], meta.sizes[wrong[0].name]
        raise DataError(
            f"{meta.path}: dim0 and dim1 look swapped: '{name}' has {height:g} rows and {width:g} columns here, "
            f"its file {chosen.height_px} and {chosen.width_px} ({len(wrong)} such images); "
            "dim0 must be the rows, dim1 the columns"
        )


def _require_agreement(meta: Meta, found: Sequence[_Headers]) -> None:
    pairs = [(one.name, one.dicom[:2], meta.sizes[one.name]) for one in found if one.dicom is not None]
    wrong = [pair for pair in pairs if pair[1] != pair[2]]
    if wrong:
        name, (width_px, height_px), (width, height) = wrong[0]
        raise DataError(
            f"{meta.path}: image '{name}' has {height:g} rows and {width:g} columns here, {height_px} and {width_px} "
            f"in its DICOM file ({len(wrong)} such images); use a table made from these files"
        )
