"""Reading one split of a YOLO data set back: the images through `index.csv`, the true boxes from the label files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.core import boxes
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.everything import trains_on_everything
from xray_chest_detection.data.side_files import read_unknown
from xray_chest_detection.data.yolo import INDEX_FILE, PATCH, read_classes, read_index
from xray_chest_detection.errors import DataError

_CURE = "build the data set again with `python -m data_prep.build_yolo`"


@dataclass(frozen=True, eq=False)
class LabelledSplit:
    """One split of a data set with its true boxes.

    Attributes:
        name: `train`, `val` or `test`.
        classes: Class names by class id.
        image_id: `(I,)` names of the images, sorted.
        patient: `(I,)` patient of each image.
        files: `(I,)` paths of the images.
        sizes_px: `(I,)` width and height of the images.
        truth: True boxes in pixels of the images.
        unknown: `(I, C)` which classes nobody looked for on which image: a mark of theirs is neither right nor wrong.
    """

    name: str
    classes: tuple[str, ...]
    image_id: tuple[str, ...]
    patient: tuple[str, ...]
    files: tuple[Path, ...]
    sizes_px: tuple[tuple[int, int], ...]
    truth: BoxTable
    unknown: NDArray[np.bool_]

    @property
    def boxes_per_class(self) -> NDArray[np.int64]:
        """Number of true boxes of each class, `(classes,)`."""
        return np.bincount(self.truth.class_id, minlength=len(self.classes)).astype(np.int64)


def read_labelled_split(folder: Path, split: str) -> LabelledSplit:
    """Read the images and true boxes of one split; patches of its films are passed over.

    Raises:
        DataError: The data set or the split is missing, empty or damaged; names the file and the line.
    """
    if split not in SPLITS:
        raise DataError(f"{folder}: no split '{split}' (known: {', '.join(SPLITS)})")
    classes = read_classes(folder)
    index = read_index(folder)
    rows = index[(index["split"] == split) & (index[PATCH] == "")].sort_values("image_id")
    if rows.empty and trains_on_everything(folder):
        raise DataError(
            f"{folder}: trains on everything, so nobody is left in '{split}'; measure the same recipe on another data "
            "set of the same split"
        )
    if rows.empty:
        raise DataError(f"{folder / INDEX_FILE}: the split '{split}' has no images; {_CURE}")
    patients = rows["source"] + ":" + rows["patient_id"]
    files = tuple(folder / name for name in rows["file"])
    sizes = tuple(_size(path) for path in files)
    labels = [folder / "labels" / split / f"{name}.txt" for name in rows["image_id"]]
    truth = _read_truth(labels, sizes, n_classes=len(classes))
    not_labelled = read_unknown(folder, classes, reasons=("not_labelled",))
    unknown = np.zeros((len(rows), len(classes)), np.bool_)
    for number, name in enumerate(rows["file"]):
        unknown[number, not_labelled.get(name, [])] = True
    return LabelledSplit(split, classes, tuple(rows["image_id"]), tuple(patients), files, sizes, truth, unknown)


def _read_truth(paths: Sequence[Path], sizes: Sequence[tuple[int, int]], *, n_classes: int) -> BoxTable:
    image, class_id, xyxy = [], [], []
    for number, (path, (width_px, height_px)) in enumerate(zip(paths, sizes, strict=True)):
        labels = _read_labels(path, n_classes=n_classes)
        image.append(np.full(len(labels), number, np.int64))
        class_id.append(labels[:, 0].astype(np.int64))
        xyxy.append(boxes.from_cxcywhn(labels[:, 1:], width_px, height_px))
    columns = np.concatenate(image), np.concatenate(class_id)
    return BoxTable(*columns, np.ones(len(columns[0])), np.concatenate(xyxy), len(paths))


def _read_labels(path: Path, *, n_classes: int) -> NDArray[np.float64]:
    """Rows `(N, 5)`: class id, centre x, centre y, width, height."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_CURE}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            row = []
        if len(row) != 5 or row[0] not in range(n_classes) or not all(0 <= value <= 1 for value in row[1:]):
            raise DataError(
                f"{path}: line {number}: expected a class below {n_classes} and four numbers in [0, 1], "
                f"got '{line[:60]}'; {_CURE}"
            )
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, 5)


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise DataError(f"{path}: the image is missing; {_CURE}") from None
    except (OSError, UnidentifiedImageError):
        raise DataError(f"{path}: not an image; {_CURE}") from None
