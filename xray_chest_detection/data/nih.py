"""NIH ChestX-ray14 as an image and an annotation table: the boxed images, and finding-free ones as background.

On request also images with a finding that nobody boxed on them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from xray_chest_detection.config.data import NihConfig
from xray_chest_detection.data.background import choose_background
from xray_chest_detection.data.image_files import check_aspect, index_images, read_size_px
from xray_chest_detection.data.nih_tables import (
    BOX_LABELS,
    IN_BOX_LIST,
    NO_FINDING,
    REFERENCE_PX,
    read_box_list,
    read_entries,
    table_files,
)
from xray_chest_detection.errors import DataError

SOURCE = "nih"
IMAGE_COLUMNS = ["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy"]


@dataclass(frozen=True)
class NihTables:
    """The tables of the chosen images, and what was counted on the way."""

    images: pd.DataFrame
    annotations: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def read_nih(config: NihConfig) -> NihTables:
    """Read the tables and choose the boxed images and the background.

    Raises:
        DataError: A table is wrong, a boxed image is missing and `missing` is `error`, or an image is no resized copy
            of the original.
        ImageError: A chosen file is not an image.
    """
    root = config.resolved_root()
    box_list, entry_list = table_files(root)
    raw_boxes, box_counts = read_box_list(box_list)
    entries, entry_counts = read_entries(entry_list)
    _require_entries(raw_boxes, entries, path=entry_list)
    files = index_images(root, entries["image_id"])
    present, absent = _keep_present(raw_boxes, files, missing=config.missing, root=root)
    boxed = entries[entries["image_id"].isin(set(present["image_id"]))]
    healthy = entries[entries["healthy"] & entries["image_id"].isin(files.keys())]
    background = choose_background(healthy, config.background, seed=config.seed)
    unboxed = choose_background(_unboxed(entries, boxed, files), config.unboxed, seed=config.seed)
    images = _image_table(pd.concat([boxed, background, unboxed]), files)
    counts = (
        box_counts
        | entry_counts
        | {
            "boxed_images_missing": absent,
            "boxed_images": len(boxed),
            "boxed_images_with_findings_nobody_boxed": _count_unboxed_findings(boxed, present),
            "boxes": len(present),
            "background_images": len(background),
            "unboxed_images": len(unboxed),
            "patients": int(images["patient_id"].nunique()),
        }
    )
    return NihTables(images, present.reset_index(drop=True), counts)


def _keep_present(raw: pd.DataFrame, files: Collection[str], *, missing: str, root: Path) -> tuple[pd.DataFrame, int]:
    """Boxes whose image is on disk, and the number of images that are not."""
    on_disk = raw["image_id"].isin(list(files))
    absent = sorted(set(raw.loc[~on_disk, "image_id"]))
    if not on_disk.any():
        raise DataError(
            f"{root}: none of the {raw['image_id'].nunique()} boxed images is here, first '{absent[0]}'; "
            "unpack the images below this folder (see datasets/README.md)"
        )
    if absent and missing == "error":
        raise DataError(
            f"{root}: {len(absent)} boxed images are missing, first '{absent[0]}'; "
            "complete the download or pass --missing drop"
        )
    return raw[on_disk], len(absent)


def _image_table(chosen: pd.DataFrame, files: Mapping[str, Path]) -> pd.DataFrame:
    paths = [files[name] for name in chosen["image_id"]]
    check_aspect(((path, read_size_px(path)) for path in paths), width=REFERENCE_PX, height=REFERENCE_PX)
    images = chosen.assign(source=SOURCE, path=[str(path) for path in paths], width=REFERENCE_PX, height=REFERENCE_PX)
    return images.sort_values("image_id")[IMAGE_COLUMNS].reset_index(drop=True)


def _require_entries(annotations: pd.DataFrame, entries: pd.DataFrame, *, path: Path) -> None:
    """Every boxed image needs a line in the label table, and one that does not call it free of findings."""
    boxed = set(annotations["image_id"])
    without = sorted(boxed - set(entries["image_id"]))
    if without:
        raise DataError(f"{path}: {len(without)} boxed images have no line, first '{without[0]}'; download it again")
    contradicted = entries[entries["healthy"] & entries["image_id"].isin(boxed)]
    if len(contradicted):
        name = contradicted["image_id"].iloc[0]
        raise DataError(
            f"{path}: image '{name}' is '{NO_FINDING}' but has a box ({len(contradicted)} such images); "
            "use the two tables of one download"
        )


def _unboxed(entries: pd.DataFrame, boxed: pd.DataFrame, files: Collection[str]) -> pd.DataFrame:
    """The images on disk that are labelled with a finding of the box list, and have no box at all."""
    without_box = entries[entries["image_id"].isin(list(files)) & ~entries["image_id"].isin(boxed["image_id"])]
    return without_box[without_box["labels"].map(_boxable).astype(bool)]


def _boxable(labels: str) -> set[str]:
    """The findings of the box list that an image is labelled with, as the box list spells them."""
    return {IN_BOX_LIST.get(label, label) for label in labels.split("|")} & set(BOX_LABELS)


def _count_unboxed_findings(boxed: pd.DataFrame, annotations: pd.DataFrame) -> int:
    """Boxed images whose labels name a further boxable finding that nobody drew: a detector learns to miss it."""
    drawn = dict(annotations.groupby("image_id")["class_name"].agg(set))
    named = boxed.set_index("image_id")["labels"].map(_boxable)
    return sum(bool(labels - drawn[image_id]) for image_id, labels in named.items())
