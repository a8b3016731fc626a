"""NIH ChestX-ray14: 984 boxes and the image-level labels of 112,120 images, as tables.

Source: Wang et al. 2017, "ChestX-ray8", and the files `BBox_List_2017.csv` and `Data_Entry_2017*.csv` of the NIH
Clinical Center's download. Boxes are x, y, width, height in pixels of the 1024x1024 PNG.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from xray_chest_detection.config.data import NihConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.data.background import choose_background
from xray_chest_detection.errors import DataError

SOURCE = "nih"
REFERENCE_PX = 1024
NO_FINDING = "No Finding"
BOX_LABELS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltrate", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
)  # fmt: skip
ENTRY_LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax", NO_FINDING,
)  # fmt: skip
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".dcm", ".dicom"})
_ENTRY_COLUMNS = {
    "image index": "file",
    "finding labels": "labels",
    "patient id": "patient_id",
    "view position": "view",
}


@dataclass(frozen=True)
class NihTables:
    """The tables of the chosen images, and what was counted on the way."""

    images: pd.DataFrame
    annotations: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def read_nih(config: NihConfig) -> NihTables:
    """Read the tables and choose the boxed images and the background.

    Raises:
        DataError: A table is wrong, or a boxed image is missing and `missing` is `error`.
    """
    root = config.resolved_root()
    box_list, entry_list = table_files(root)
    raw_boxes, counts = read_box_list(box_list)
    entries = read_entries(entry_list)
    files = index_images(root)
    present = _keep_present(raw_boxes, files, missing=config.missing, root=root, counts=counts)
    boxed = entries[entries["image_id"].isin(set(present["image_id"]))]
    _require_entries(present, boxed)
    healthy = entries[entries["healthy"] & entries["image_id"].isin(files.keys())]
    background = choose_background(healthy, config.background, seed=config.seed)
    chosen = pd.concat([boxed, background]).sort_values("image_id")
    images = chosen.assign(
        source=SOURCE, path=[str(files[name]) for name in chosen["image_id"]], width=REFERENCE_PX, height=REFERENCE_PX
    )
    counts |= {
        "boxed_images": len(boxed),
        "boxes": len(present),
        "background_images": len(background),
        "patients": int(images["patient_id"].nunique()),
    }
    columns = ["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy"]
    return NihTables(images[columns].reset_index(drop=True), present.reset_index(drop=True), counts)


def table_files(root: Path) -> tuple[Path, Path]:
    """The paths of the box list and of the label table under a data root.

    Raises:
        DataError: One of them is missing.
    """
    return _find_table(root, "BBox_List_2017*.csv"), _find_table(root, "Data_Entry_2017*.csv")


def read_box_list(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read `BBox_List_2017.csv` as an annotation table.

    The columns are found by position, since the header names the four numbers together: image, label, x, y, w, h.

    Returns:
        Boxes in pixels of the 1024x1024 original, cut at its border, and the counts of duplicates, boxes cut at the
        border and boxes without area (left out).

    Raises:
        DataError: A column is missing, a value is not a number, or a label is unknown; names the line.
    """
    table = _read_csv(path)
    header = [str(name).strip().lower() for name in table.columns[:2]]
    if header != ["image index", "finding label"] or table.shape[1] < 6:
        raise DataError(f"{path}: expected the columns 'Image Index,Finding Label,Bbox [x,y,w,h]', got {header}")
    table = table.iloc[:, :6].set_axis(["file", "class_name", "x", "y", "w", "h"], axis=1)
    numbers = table[["x", "y", "w", "h"]].apply(pd.to_numeric, errors="coerce")
    _require(numbers.notna().all(axis=1), table, path, "x, y, w and h must be numbers")
    labels = table["class_name"].str.strip()
    _require(labels.isin(BOX_LABELS), table, path, f"unknown label (known: {', '.join(BOX_LABELS)})")
    xywh = numbers.to_numpy(np.float64)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    clipped = boxes.clip(xyxy, REFERENCE_PX, REFERENCE_PX)
    result = pd.DataFrame({"image_id": table["file"].map(_stem), "class_name": labels})
    result[["x_min", "y_min", "x_max", "y_max"]] = clipped
    has_area = boxes.area(clipped) > 0
    duplicate = result.duplicated().to_numpy()
    over_border = (np.abs(clipped - xyxy) > 0.01).any(axis=1)
    counts = {
        "boxes_read": len(table),
        "boxes_cut_at_border": int((over_border & has_area & ~duplicate).sum()),
        "boxes_without_area_left_out": int((~has_area).sum()),
        "duplicate_boxes_left_out": int((duplicate & has_area).sum()),
    }
    kept = result[has_area & ~duplicate].assign(reader=None, n_readers=np.nan, agreement=np.nan)
    return kept, counts


def read_entries(path: Path) -> pd.DataFrame:
    """Read `Data_Entry_2017*.csv`: image_id, patient_id, view, labels (joined by `|`), healthy.

    Raises:
        DataError: A column is missing, a label is unknown, or an image stands twice; names the line.
    """
    table = _read_csv(path)
    table.columns = [str(name).strip().lower() for name in table.columns]
    absent = [name for name in _ENTRY_COLUMNS if name not in table.columns]
    if absent:
        raise DataError(f"{path}: no column '{absent[0]}' (found: {', '.join(table.columns)})")
    table = table[list(_ENTRY_COLUMNS)].rename(columns=_ENTRY_COLUMNS)
    _require(table.notna().all(axis=1), table, path, "a value is missing; the file may be truncated")
    known = set(ENTRY_LABELS)
    spelled = {text: set(text.split("|")) <= known for text in table["labels"].unique()}
    _require(table["labels"].map(spelled), table, path, f"unknown label (known: {', '.join(ENTRY_LABELS)})")
    ids = table["file"].map(_stem)
    _require(~ids.duplicated(), table, path, "the image stands in the table twice")
    return pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": table["patient_id"].astype(str),
            "view": table["view"],
            "labels": table["labels"],
            "healthy": table["labels"] == NO_FINDING,
        }
    )


def index_images(root: Path) -> dict[str, Path]:
    """Map the stem of every image file under `root`, in any sub-folder and with any extension, to its path.

    Raises:
        DataError: Two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if path.stem in found:
            raise DataError(f"{path}: {found[path.stem]} has the same name; keep one of the two")
        found[path.stem] = path
    return found


def _keep_present(
    raw: pd.DataFrame, files: Collection[str], *, missing: str, root: Path, counts: dict[str, int]
) -> pd.DataFrame:
    present = raw["image_id"].isin(list(files))
    absent = sorted(set(raw.loc[~present, "image_id"]))
    if absent and missing == "error":
        raise DataError(
            f"{root}: {len(absent)} boxed images are missing, first '{absent[0]}'; "
            "complete the download or pass --missing drop"
        )
    counts["boxed_images_missing"] = len(absent)
    return raw[present]


def _require_entries(annotations: pd.DataFrame, boxed: pd.DataFrame) -> None:
    without = sorted(set(annotations["image_id"]) - set(boxed["image_id"]))
    if without:
        raise DataError(
            f"Data_Entry: {len(without)} boxed images have no line, first '{without[0]}'; download the table again"
        )


def _find_table(root: Path, pattern: str) -> Path:
    found = sorted(root.glob(pattern)) + sorted(root.glob(f"{pattern}.gz"))
    if not found:
        raise DataError(f"{root}: no file {pattern}; see datasets/README.md on what to download")
    return found[-1]


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, index_col=False)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); download it again") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table ({error}); download it again") from None


def _require(valid: "pd.Series[bool]", table: pd.DataFrame, path: Path, message: str) -> None:
    """Stop at the first invalid row, counting lines as an editor does (the header is line 1)."""
    wrong = np.flatnonzero(~valid.to_numpy(bool))
    if len(wrong):
        values = ",".join(str(value) for value in table.iloc[wrong[0]])
        more = f" ({len(wrong)} such lines)" if len(wrong) > 1 else ""
        raise DataError(f"{path}: line {wrong[0] + 2}: '{values}': {message}{more}")


def _stem(name: object) -> str:
    return Path(str(name).strip()).stem
