"""The table of VinBigData, read and checked: what every reader drew on every image. It needs no image.

Source: `train.csv` of the Kaggle competition "VinBigData Chest X-ray Abnormalities Detection", 2020; Nguyen et al.
2022, "VinDr-CXR". 67,914 rows of 15,000 images, each read by three of 17 radiologists. A row is one box of one reader,
x_min, y_min, x_max, y_max in pixels of the DICOM image, or says that this reader found nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.data.raw_csv import pick_columns, read_raw_csv, require, to_numbers
from xray_chest_detection.data.readings import EDGES, SEPARATOR, Readings, reader_order, readings_of
from xray_chest_detection.errors import DataError

TABLE_FILE = "train.csv"
USUAL_READERS = 3
# The position of a name is its class_id.
FINDINGS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration",
    "Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax",
    "Pulmonary fibrosis",
)  # fmt: skip
NO_FINDING = "No finding"
_CLASSES = (*FINDINGS, NO_FINDING)
_COLUMNS = {
    "image_id": ("image id",),
    "class_name": ("class name",),
    "class_id": ("class id",),
    "reader": ("rad id",),
    "x_min": ("x min",),
    "y_min": ("y min",),
    "x_max": ("x max",),
    "y_max": ("y max",),
}
_NO_BOX = (0.0, 0.0, 1.0, 1.0)  # what some copies of the table write into rows without a finding


@dataclass(frozen=True, eq=False)
class VinBigDataTable:
    """Who read which image, and what they drew. The index of both tables holds line numbers of the file.

    Attributes:
        boxes: image_id, class_name, x_min, y_min, x_max, y_max, reader; one row a box. Nothing is cut at a border,
            since the table does not know the size of its images.
        readings: image_id, reader; one row an image and reader, those who found nothing included, sorted by image and
            reader.
        counts: Rows, repeated rows (left out), images, readings, boxes, readers, and images that are not read by
            exactly three.
    """

    boxes: pd.DataFrame
    readings: pd.DataFrame
    counts: dict[str, int]


def read_train_csv(path: Path) -> VinBigDataTable:
    """Read `train.csv`, plain or gzipped.

    Any number of readers is taken; see `unusual_readers` for the images that do not have three.

    Raises:
        DataError: A column or a value is missing, a class is unknown or not the one of its class_id, a finding has no
            box or an inverted one, a row without a finding has one, or one reader says both; names the line.
    """
    table = pick_columns(read_raw_csv(path), _COLUMNS, path=path)
    named = table["image_id"].ne("") & table["reader"].ne("")
    require(named, table, "image_id or rad_id is missing; is the file truncated?", path=path)
    joined = table["reader"].str.contains(SEPARATOR, regex=False)
    require(~joined, table, f"a reader's name must be without '{SEPARATOR}'", path=path)
    class_name = _checked_classes(table, path=path)
    found = (class_name != NO_FINDING).to_numpy(bool)
    edges = pd.DataFrame(_checked_boxes(table, found, path=path), columns=EDGES, index=table.index)
    rows = pd.concat([table[["image_id", "reader"]], class_name.rename("class_name"), edges], axis=1)
    _require_one_opinion(rows, table, path=path)
    repeated = rows.duplicated()
    boxes = rows[found & ~repeated.to_numpy(bool)]
    readings = _sorted_readings(rows[["image_id", "reader"]])
    counts = {
        "rows_read": len(rows),
        "repeated_rows_left_out": int(repeated.sum()),
        "images": int(readings["image_id"].nunique()),
        "readings": len(readings),
        "boxes": len(boxes),
        "readers": int(readings["reader"].nunique()),
        f"images_not_read_by_{USUAL_READERS}": len(_unusual(readings)),
    }
    return VinBigDataTable(boxes[["image_id", "class_name", *EDGES, "reader"]], readings, counts)


def read_readings_csv(path: Path, classes: Sequence[str] | None = None) -> Readings:
    """Read `train.csv`, plain or gzipped, as readings.

    Args:
        path: The table.
        classes: Findings to keep, in this order; not given: all 14, by their class_id. The images stay all.

    Raises:
        DataError: The table is wrong, or has no such class.
    """
    wanted = FINDINGS if classes is None else tuple(classes)
    unknown = [name for name in wanted if name not in FINDINGS]
    if unknown:
        raise DataError(f"{path}: VinBigData has no class '{unknown[0]}' (known: {', '.join(FINDINGS)})")
    table = read_train_csv(path)
    return readings_of(_joined_readers(table).reset_index(), table.boxes, wanted)


def image_opinions(table: VinBigDataTable) -> pd.DataFrame:
    """One row an image, sorted by name: image_id, readers, labels (what any of them named), healthy (nobody did)."""
    readers = _joined_readers(table)
    named = table.boxes[["image_id", "class_name"]].drop_duplicates().sort_values(["image_id", "class_name"])
    labels = named.groupby("image_id")["class_name"].agg(SEPARATOR.join).reindex(readers.index)
    healthy = labels.isna()
    return pd.DataFrame({"readers": readers, "labels": labels.fillna(NO_FINDING), "healthy": healthy}).reset_index()


def unusual_readers(table: VinBigDataTable) -> list[dict[str, object]]:
    """Images that are not read by three, in file order: line (the first about it), image_id, readers (how many)."""
    counted = _unusual(table.readings)
    first = table.readings.sort_index().drop_duplicates("image_id")
    return [
        {"line": int(line), "image_id": name, "readers": counted[name]}
        for line, name in zip(first.index, first["image_id"], strict=True)
        if name in counted
    ]


def _joined_readers(table: VinBigDataTable) -> "pd.Series[str]":
    """All readers of each image, joined, under `readers`; the index is the sorted image_id."""
    return table.readings.groupby("image_id")["reader"].agg(SEPARATOR.join).rename("readers")


def _unusual(readings: pd.DataFrame) -> dict[str, int]:
    """Number of readers of the images that are not read by three."""
    counted = readings["image_id"].value_counts()
    return {str(name): int(count) for name, count in counted[counted != USUAL_READERS].items()}


def _checked_classes(table: pd.DataFrame, *, path: Path) -> "pd.Series[str]":
    spelled = {name.casefold(): name for name in _CLASSES}
    names = table["class_name"].map({text: spelled.get(str(text).casefold()) for text in table["class_name"].unique()})
    require(names.notna(), table, f"unknown class (known: {', '.join(_CLASSES)})", path=path)
    expected = names.map({name: number for number, name in enumerate(_CLASSES)}).to_numpy(np.float64)
    agree = to_numbers(table[["class_id"]])[:, 0] == expected
    require(agree, table, "class_id is not the one of this class (Aortic enlargement is 0, No finding 14)", path=path)
    return names


def _checked_boxes(table: pd.DataFrame, found: NDArray[np.bool_], *, path: Path) -> NDArray[np.float64]:
    """Boxes `(N, 4)`, NaN where nothing was found."""
    empty = (table[EDGES] == "").to_numpy(bool).all(axis=1)
    xyxy = to_numbers(table[EDGES])
    require(~(found & empty), table, "a finding without a box; correct the line or download the table again", path=path)
    numbers = np.isfinite(xyxy).all(axis=1)
    require(~found | numbers, table, "x_min .. y_max must be numbers; is the file truncated?", path=path)
    upright = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
    require(~found | upright, table, "x_max must be greater than x_min, and y_max greater than y_min", path=path)
    boxless = empty | (xyxy == _NO_BOX).all(axis=1)
    require(found | boxless, table, f"'{NO_FINDING}' with a box; it must be empty or 0,0,1,1", path=path)
    return np.where(found[:, None], xyxy, np.nan)


def _require_one_opinion(rows: pd.DataFrame, table: pd.DataFrame, *, path: Path) -> None:
    """One reader who finds nothing and something on one image contradicts himself; two readers just disagree."""
    nothing = rows["class_name"] == NO_FINDING
    opinions = pd.DataFrame({"image_id": rows["image_id"], "reader": rows["reader"], "nothing": nothing})
    distinct = opinions.drop_duplicates()
    contradicted = distinct[distinct.duplicated(["image_id", "reader"])]
    message = f"'{NO_FINDING}' and a finding by one reader on one image; keep one of the two"
    require(~rows.index.isin(contradicted.index), table, message, path=path)


def _sorted_readings(rows: pd.DataFrame) -> pd.DataFrame:
    readings = rows.drop_duplicates()
    names = sorted(readings["reader"].unique(), key=reader_order)
    rank = readings["reader"].map({name: number for number, name in enumerate(names)})
    return readings.iloc[np.lexsort((rank.to_numpy(), readings["image_id"].to_numpy(object)))]
