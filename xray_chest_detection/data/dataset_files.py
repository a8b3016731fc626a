"""What lies in the folder of a YOLO data set, listed without trusting the step that wrote it."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.data.image_files import IMAGE_SUFFIXES
from xray_chest_detection.data.yolo import INDEX_COLUMNS, PATCH, read_classes, read_index
from xray_chest_detection.errors import DataError


@dataclass(frozen=True, eq=False)
class DatasetFiles:
    """A data set as it lies on disk.

    Attributes:
        folder: The data set.
        classes: Class names by class id.
        images: Image files of each split.
        labels: Label files of each split.
        index: The rows of `index.csv`, '' for a missing value; no rows when it cannot be read.
        index_error: Why `index.csv` cannot be read; '' when it can.
    """

    folder: Path
    classes: tuple[str, ...]
    images: dict[str, list[Path]]
    labels: dict[str, list[Path]]
    index: pd.DataFrame
    index_error: str

    def place(self, path: Path) -> str:
        """A file's name as `index.csv` writes it: relative to the folder, with slashes."""
        return path.relative_to(self.folder).as_posix()


def list_dataset(folder: Path) -> DatasetFiles:
    """List a data set.

    Raises:
        DataError: The folder is not a data set: no `data.yaml`, or one without class names.
    """
    classes = read_classes(folder)
    images = {split: _files(folder / "images" / split, IMAGE_SUFFIXES) for split in SPLITS}
    labels = {split: _files(folder / "labels" / split, frozenset({".txt"})) for split in SPLITS}
    try:
        index, index_error = read_index(folder).fillna(""), ""
    except DataError as error:
        index, index_error = pd.DataFrame(columns=[*INDEX_COLUMNS, PATCH], dtype=str), str(error)
    return DatasetFiles(folder, classes, images, labels, index, index_error)


def _files(folder: Path, suffixes: AbstractSet[str]) -> list[Path]:
    """Files of these kinds in a folder and, since ultralytics looks there too, in its sub-folders."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.name[0] != "." and path.is_file()
    )
