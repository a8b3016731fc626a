"""VinBigData as an image and an annotation table: every reader's boxes, and finding-free images as background."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.config.vinbigdata import VinBigDataConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.data.background import choose_background
from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.fingerprints import first_of_copies, read_fingerprints
from xray_chest_detection.data.image_sizes import (
    META_FILE,
    ImageFiles,
    Meta,
    find_images,
    read_train_meta,
    reference_sizes,
)
from xray_chest_detection.data.raw_csv import require
from xray_chest_detection.data.readings import EDGES, reader_order
from xray_chest_detection.data.vinbigdata_table import (
    TABLE_FILE,
    VinBigDataTable,
    image_opinions,
    read_train_csv,
    unusual_readers,
)
from xray_chest_detection.errors import DataError

SOURCE = "vinbigdata"
FINGERPRINTS = "fingerprints"
IMAGE_COLUMNS = ["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy", "readers"]
_ROUNDING_PX = 1.0
_CUT_PX = 0.01


@dataclass(frozen=True)
class VinBigDataTables:
    """The tables of the chosen images, and what was met on the way.

    Attributes:
        images: Image table.
        annotations: Annotation table, one row a reader's box; sorted by image, class, reader and edges.
        counts: What was counted.
        unusual: Images that are not read by three; see `unusual_readers`.
        cut: Boxes that were cut at the border of their image; see `fit_boxes`.
        inputs: The files that were read, apart from the images.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    counts: dict[str, int]
    unusual: list[dict[str, object]]
    cut: list[dict[str, object]]
    inputs: tuple[Path, ...]


def read_vinbigdata(config: VinBigDataConfig, *, progress: Progress | None = None) -> VinBigDataTables:
    """Read the table, choose the images with findings and the background, and find the size of each.

    Raises:
        DataError: A table is wrong, an image with findings is missing and `missing` is `error`, or boxes and image
            sizes do not fit together.
        ImageError: A chosen file is damaged.
    """
    root = config.resolved_root()
    path = find_table(root)
    table = read_train_csv(path)
    opinions = image_opinions(table)
    files = find_images(root, list(opinions["image_id"]), copies=config.resolved_copies())
    meta = _find_meta(config, beside=path.parent)
    chosen, counts = _choose(opinions, files, config, table=table, path=path)
    sizes = reference_sizes(list(chosen["image_id"]), files, meta, progress=progress)
    drawn = table.boxes[table.boxes["image_id"].isin(chosen["image_id"])]
    fitted, cut = fit_boxes(drawn, sizes, path=path)
    images = chosen.merge(sizes, on="image_id").assign(source=SOURCE)
    images = images.assign(patient_id=_patients(images, config, progress=progress))
    per_image = images["patient_id"].value_counts()
    counts = (
        table.counts
        | counts
        | {
            "images_used_as_dicom": int(images["path"].isin([str(dicom) for dicom in files.dicoms.values()]).sum()),
            "copies_taken_for_originals": int(images["assumed"].sum()),
            "copies_with_another_aspect": int(images["squeezed"].sum()),
            "boxes_of_these_images": len(fitted),
            "boxes_cut_at_border": len(cut),
            "groups_of_copies": int((per_image > 1).sum()),
            "images_in_groups_of_copies": int(per_image[per_image > 1].sum()),
        }
    )
    n_readers = fitted["image_id"].map(table.readings["image_id"].value_counts()).astype(float)
    return VinBigDataTables(
        images[IMAGE_COLUMNS],
        _sorted_boxes(fitted.assign(n_readers=n_readers)),
        counts,
        unusual_readers(table),
        cut,
        (path,) if meta is None else (path, meta.path),
    )


def find_table(root: Path) -> Path:
    """The path of `train.csv`, plain or gzipped, in a data root or in one of its sub-folders.

    Raises:
        DataError: It is missing.
    """
    for pattern in (TABLE_FILE, f"{TABLE_FILE}.gz", f"*/{TABLE_FILE}", f"*/{TABLE_FILE}.gz"):
        found = sorted(root.glob(pattern))
        if found:
            return found[0]
    raise DataError(f"{root}: no file {TABLE_FILE}; see datasets/README.md on what to download")


def fit_boxes(drawn: pd.DataFrame, sizes: pd.DataFrame, *, path: Path) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Cut boxes at the border of their image.

    Args:
        drawn: Boxes of `read_train_csv`, in pixels of the original.
        sizes: Rows of `reference_sizes`.
        path: The file the boxes come from, for messages.

    Returns:
        The boxes, and those of them that were cut, in file order: line, image_id, class_name, box (edges as in the
        file), image_px (width x height).

    Raises:
        DataError: A box lies outside its image, or leaves an image whose size is only assumed; names the line.
    """
    joined = drawn[["image_id"]].join(sizes.set_index("image_id"), on="image_id")
    size = joined[["width", "height"]].to_numpy(np.float64)
    xyxy = drawn[EDGES].to_numpy(np.float64)
    clipped = np.clip(xyxy, 0, np.tile(size, 2))
    cut_px = np.abs(clipped - xyxy).max(axis=1, initial=0)
    wrong = joined[joined["assumed"].to_numpy(bool) & (cut_px > _ROUNDING_PX)]
    if len(wrong):
        one = wrong.iloc[0]
        message = (
            f"the box leaves {one['path']}, {one['width']:g} x {one['height']:g} pixels: a resized copy; "
            f"name its {META_FILE} (image_id,dim0,dim1) with --train-meta, or put the DICOM files under the root"
        )
        require(~drawn.index.isin(wrong.index), drawn, message, path=path)
    message = f"the box lies outside its image; is it of another download, or are dim0 and dim1 of {META_FILE} swapped?"
    require(boxes.area(clipped) > 0, drawn, message, path=path)
    cut = cut_px > _CUT_PX
    return drawn.assign(**dict(zip(EDGES, clipped.T, strict=True))), _listed(drawn[cut], size[cut])


def _listed(drawn: pd.DataFrame, size_px: NDArray[np.float64]) -> list[dict[str, object]]:
    columns = (drawn.index, drawn["image_id"], drawn["class_name"], drawn[EDGES].to_numpy(np.float64), size_px)
    return [
        {
            "line": int(line),
            "image_id": image_id,
            "class_name": class_name,
            "box": ",".join(f"{edge:.10g}" for edge in edges),
            "image_px": f"{width:g} x {height:g}",
        }
        for line, image_id, class_name, edges, (width, height) in zip(*columns, strict=True)
    ]


def _find_meta(config: VinBigDataConfig, *, beside: Path) -> Meta | None:
    """The sizes of the originals: the table that is named, else the one with the copies, else that with `train.csv`."""
    places = [folder / META_FILE for folder in (config.resolved_copies(), beside)]
    path = config.train_meta or next((place for place in places if place.is_file()), None)
    return None if path is None else read_train_meta(path)


def _sorted_boxes(annotations: pd.DataFrame) -> pd.DataFrame:
    """The boxes in an order that does not depend on the order of the file's lines."""
    readers = sorted(annotations["reader"].unique(), key=reader_order)
    rank = annotations["reader"].map({name: number for number, name in enumerate(readers)})
    ordered = annotations.assign(rank=rank).sort_values(["image_id", "class_name", "rank", *EDGES], ignore_index=True)
    return ordered.drop(columns="rank")


def _choose(
    opinions: pd.DataFrame, files: ImageFiles, config: VinBigDataConfig, *, table: VinBigDataTable, path: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Images with findings and finding-free ones that are on disk, sorted by name, and what is missing."""
    on_disk = opinions["image_id"].isin(files.chosen.keys())
    found = ~opinions["healthy"]
    absent = opinions.loc[found & ~on_disk, "image_id"]
    if not on_disk.any() or len(absent) == found.sum() > 0:
        raise DataError(
            f"{config.resolved_root()}: none of the {found.sum()} images with findings is here; "
            "unpack the images below this folder (see datasets/README.md), or name the folder of copies with --copies"
        )
    if len(absent) and config.missing == "error":
        first = absent.iloc[0]
        line = table.readings.index[table.readings["image_id"] == first].min()
        raise DataError(
            f"{config.resolved_root()}: {len(absent)} images with findings are missing, first '{first}' "
            f"({path.name}: line {line}); complete the download or pass --missing drop"
        )
    background = choose_background(
        opinions[~found & on_disk].assign(patient_id=opinions["image_id"]), config.background, seed=config.seed
    )
    chosen = pd.concat([opinions[found & on_disk], background[opinions.columns]])
    counts = {
        "images_with_findings_missing": len(absent),
        "finding_free_images_missing": int((~found & ~on_disk).sum()),
        "images_with_findings": int((found & on_disk).sum()),
        "background_images": len(background),
    }
    return chosen.sort_values("image_id", ignore_index=True), counts


def _patients(images: pd.DataFrame, config: VinBigDataConfig, *, progress: Progress | None) -> "pd.Series[str]":
    """What stands for the patient nobody knows: the alphabetically first name among the copies of an image."""
    if not config.group_copies:
        return images["image_id"]
    files = {name: Path(path) for name, path in zip(images["image_id"], images["path"], strict=True)}
    fingerprints = read_fingerprints(files, cache=config.out / FINGERPRINTS, progress=progress)
    return images["image_id"].map(first_of_copies(fingerprints, progress=progress))
