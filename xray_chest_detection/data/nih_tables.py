"""The two original tables of NIH ChestX-ray14, read and checked.

Source: `BBox_List_2017.csv` and `Data_Entry_2017*.csv` of the NIH Clinical Center's download; Wang et al. 2017,
"ChestX-ray8". Boxes are x, y, width, height in pixels of the 1024x1024 PNG.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from xray_chest_detection.core import boxes
from xray_chest_detection.data.raw_csv import pick_columns, read_raw_csv, require, to_numbers
from xray_chest_detection.data.readings import EDGES
from xray_chest_detection.errors import DataError

REFERENCE_PX = 1024
NO_FINDING = "No Finding"
BOX_LABELS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltrate", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
)  # fmt: skip
ENTRY_LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax", NO_FINDING,
)  # fmt: skip
# The two tables spell one finding differently.
IN_BOX_LIST = {"Infiltration": "Infiltrate"}
_IN_LABEL_TABLE = {"Infiltrate": "Infiltration"}
_ENTRY_COLUMNS = {
    "file": ("image index", "image id", "image"),
    "labels": ("finding labels", "finding label"),
    "patient_id": ("patient id", "patientid"),
    "view": ("view position", "view"),
}
_BOX_HEADER = (("image index", "image id", "image"), ("finding label", "finding labels"))
_IMAGE_FILE = re.compile(r"\d{8}_\d{3}(\.png)?")


def table_files(root: Path) -> tuple[Path, Path]:
    """The paths of the box list and of the label table under a data root; of two label tables the `_v2020` one.

    Raises:
        DataError: One of them is missing.
    """
    return _find_table(root, "BBox_List_2017*.csv"), _find_table(root, "Data_Entry_2017*.csv")


def read_box_list(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read `BBox_List_2017.csv` as an annotation table.

    The numbers are found by position, since the header names the four together: image, label, x, y, w, h.

    Returns:
        Boxes in pixels of the 1024x1024 original, cut at its border, and the counts of lines, duplicates (left out),
        boxes cut at the border, and boxes without area inside the image (left out).

    Raises:
        DataError: A column is missing, a value is not a number, or a label is unknown; names the line.
    """
    table = read_raw_csv(path)
    header = [str(name) for name in table.columns[:2]]
    known = len(header) == 2 and all(name in allowed for name, allowed in zip(header, _BOX_HEADER, strict=True))
    if not known or table.shape[1] < 6:
        found = ",".join(str(name) for name in table.columns)
        raise DataError(
            f"{path}: expected the columns 'Image Index,Finding Label,Bbox [x,y,w,h]', got '{found}'; "
            "download the original table"
        )
    table = table.iloc[:, :6].set_axis(["file", "class_name", "x", "y", "w", "h"], axis=1)
    require(table["file"].ne(""), table, "the image name is missing", path=path)
    xywh = to_numbers(table[["x", "y", "w", "h"]])
    require(np.isfinite(xywh).all(axis=1), table, "x, y, w and h must be numbers; is the file truncated?", path=path)
    spelled = {text: _canonical(text, BOX_LABELS, IN_BOX_LIST) for text in table["class_name"].unique()}
    labels = table["class_name"].map(spelled)
    require(labels.notna(), table, f"unknown label (known: {', '.join(BOX_LABELS)})", path=path)
    annotations = pd.DataFrame({"image_id": table["file"].map(_stem), "class_name": labels})
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return _clip_and_clean(annotations, xyxy)


def read_entries(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read `Data_Entry_2017*.csv`.

    Returns:
        Columns image_id, patient_id, view, labels (canonical spelling, joined by `|`), healthy; and the counts of
        lines and of repeated lines (left out).

    Raises:
        DataError: A column or a value is missing, a label or view is unknown, or two lines contradict each other about
            one image; names the line.
    """
    table = pick_columns(read_raw_csv(path), _ENTRY_COLUMNS, path=path)
    require((table != "").all(axis=1), table, "a value is missing; is the file truncated?", path=path)
    spelled = {text: _canonical_list(text) for text in table["labels"].unique()}
    labels = table["labels"].map(spelled)
    require(labels.notna(), table, f"unknown label (known: {', '.join(ENTRY_LABELS)})", path=path)
    healthy = labels == NO_FINDING
    mixed = labels.str.contains(NO_FINDING, regex=False) & ~healthy
    require(~mixed, table, f"'{NO_FINDING}' stands beside a finding", path=path)
    require(table["view"].isin(["PA", "AP"]), table, "the view must be PA or AP; is the file truncated?", path=path)
    entries = pd.DataFrame(
        {
            "image_id": table["file"].map(_stem),
            "patient_id": _patient_ids(table["patient_id"]),
            "view": table["view"],
            "labels": labels,
            "healthy": healthy,
        }
    )
    repeated = entries.duplicated()
    contradicted = entries["image_id"].duplicated() & ~repeated
    require(~contradicted, table, "the image stands in the table twice with different values", path=path)
    counts = {"entries_read": len(entries), "repeated_entries_left_out": int(repeated.sum())}
    return entries[~repeated].reset_index(drop=True), counts


def read_official_list(path: Path) -> frozenset[str]:
    """The names on NIH's `test_list.txt`, without suffix.

    Raises:
        DataError: It cannot be read, is empty, or a line is no name of an NIH image.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give NIH's test_list.txt") from None
    names = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    for number, name in names.items():
        if not _IMAGE_FILE.fullmatch(name):
            raise DataError(f"{path}: line {number}: '{name[:60]}' is no NIH image; give NIH's test_list.txt")
    if not names:
        raise DataError(f"{path}: the list is empty; give NIH's test_list.txt")
    return frozenset(name.removesuffix(".png") for name in names.values())


def _clip_and_clean(annotations: pd.DataFrame, xyxy: boxes.FloatArray) -> tuple[pd.DataFrame, dict[str, int]]:
    """Cut boxes `(N, 4)` at the border; leave out the ones without area and repeated ones; count all of it."""
    clipped = boxes.clip(xyxy, REFERENCE_PX, REFERENCE_PX)
    result = annotations.assign(**dict(zip(EDGES, clipped.T, strict=True)))
    has_area = boxes.area(clipped) > 0
    duplicate = result.duplicated().to_numpy()
    over_border = (np.abs(clipped - xyxy) > 0.01).any(axis=1)
    counts = {
        "boxes_read": len(result),
        "boxes_cut_at_border": int((over_border & has_area & ~duplicate).sum()),
        "boxes_without_area_left_out": int((~has_area).sum()),
        "duplicate_boxes_left_out": int((duplicate & has_area).sum()),
    }
    return result[has_area & ~duplicate].assign(reader=None, n_readers=np.nan, agreement=np.nan), counts


def _find_table(root: Path, pattern: str) -> Path:
    for candidates in (
        sorted(root.glob(pattern)), sorted(root.glob(f"{pattern}.gz")), sorted(root.glob(f"*/{pattern}"))
    ):  # fmt: skip
        if candidates:
            return candidates[-1]
    raise DataError(f"{root}: no file {pattern}; see datasets/README.md on what to download")


def _canonical(text: str, known: Collection[str], aliases: Mapping[str, str]) -> str | None:
    """The known label that a text means, whatever its case, spaces or underscores; None when there is none."""
    plain = {_plain(label): label for label in known} | {_plain(alias): label for alias, label in aliases.items()}
    return plain.get(_plain(text))


def _canonical_list(text: str) -> str | None:
    labels = [_canonical(part, ENTRY_LABELS, _IN_LABEL_TABLE) for part in text.split("|")]
    return None if None in labels else "|".join(str(label) for label in labels)


def _plain(label: str) -> str:
    return label.strip().replace("_", " ").casefold()


def _patient_ids(texts: "pd.Series[str]") -> "pd.Series[str]":
    """`1`, `00000001` and `1.0` are one patient; ids that are no whole number stay as they are."""
    numbers = pd.to_numeric(texts, errors="coerce")
    whole = np.isfinite(numbers) & (numbers % 1 == 0)
    return texts.mask(whole, numbers.where(whole, 0).astype(np.int64).astype(str))


def _stem(name: object) -> str:
    return PurePosixPath(str(name)).stem
