"""Out-of-fold predictions: what the model of each fold says about the patients it never saw, all folds in one file.

The file holds everything that tuning, fusing or pseudo labels need: candidates before suppression, true boxes,
patients, folds and thresholds. It needs neither the data sets nor the runs it came from; image paths are kept for those
who have them.
"""

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates, pack, unpack
from xray_chest_detection.errors import DataError, ModelError

PREDICTIONS_FILE = "out_of_fold.npz"
SPLIT_NAME = "out of fold"
_TRUTH = "truth_"


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of all images, each by the model that was trained without its patient.

    Attributes:
        split: All images with their true boxes, sorted by name; `split.name` is `out of fold`.
        candidates: What the models say about them, in the same order.
        fold: `(I,)` the fold of each image, from 0.
        thresholds: The operating point of each fold's model, chosen on the validation patients of that fold.
        labelled: `(I, C)` which classes an image is labelled with although it has no box of them.
    """

    split: LabelledSplit
    candidates: Candidates
    fold: NDArray[np.int64]
    thresholds: tuple[Thresholds, ...]
    labelled: NDArray[np.bool_]

    def of_fold(self, fold: int) -> "OutOfFold":
        """The images of one fold, in the same order."""
        images = self.fold == fold
        rows = np.flatnonzero(images)
        candidates = Candidates(
            tuple(self.candidates.image_id[row] for row in rows), tuple(self.candidates.per_image[row] for row in rows)
        )
        split = select_images(self.split, images)
        return OutOfFold(split, candidates, self.fold[images], self.thresholds, self.labelled[images])

    def shown(self, how: Callable[[Candidates, Thresholds], Sequence[Detections]]) -> tuple[Detections, ...]:
        """Detections of each image, made with the operating point of its fold.

        Args:
            how: Makes detections of candidates with the operating point of a fold.
        """
        result: dict[int, Detections] = {}
        for number, thresholds in enumerate(self.thresholds):
            rows = np.flatnonzero(self.fold == number)
            result |= zip(rows.tolist(), how(self.of_fold(number).candidates, thresholds), strict=True)
        return tuple(result[row] for row in range(len(self.fold)))


class FoldPart(NamedTuple):
    """The test part of one fold: its images, what the model says, its operating point, and `OutOfFold.labelled`."""

    split: LabelledSplit
    candidates: Candidates
    thresholds: Thresholds
    labelled: NDArray[np.bool_]


def join_folds(folds: Sequence[FoldPart]) -> OutOfFold:
    """All folds as one list of images, sorted by name.

    Args:
        folds: The test part of each fold, in order.

    Raises:
        DataError: The folds have different classes, or an image stands in two of them.
    """
    splits = [part.split for part in folds]
    if len({split.classes for split in splits}) != 1:
        raise DataError("the folds have different classes; remove their data sets to have them built again")
    names = [name for split in splits for name in split.image_id]
    order = sorted(range(len(names)), key=names.__getitem__)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"image '{twice}' is tested in two folds; start the cross-validation again")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(split.image_id) for split in splits[:-1])])
    image = np.concatenate([place[split.truth.image + start] for split, start in zip(splits, starts, strict=True)])
    truth = BoxTable(
        image,
        np.concatenate([split.truth.class_id for split in splits]),
        np.concatenate([split.truth.score for split in splits]),
        np.concatenate([split.truth.xyxy for split in splits]),
        len(names),
    )

    def sorted_by_name(columns: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        flat = [value for column in columns for value in column]
        return tuple(flat[row] for row in order)

    joined = LabelledSplit(
        SPLIT_NAME,
        splits[0].classes,
        sorted_by_name([split.image_id for split in splits]),
        sorted_by_name([split.patient for split in splits]),
        sorted_by_name([split.files for split in splits]),
        sorted_by_name([split.sizes_px for split in splits]),
        truth.select(np.argsort(truth.image, kind="stable")),
        np.concatenate([split.unknown for split in splits])[order],
    )
    found = sorted_by_name([part.candidates.per_image for part in folds])
    fold = np.repeat(np.arange(len(splits)), [len(split.image_id) for split in splits])[order]
    labelled = np.concatenate([part.labelled for part in folds])[order]
    points = tuple(part.thresholds for part in folds)
    return OutOfFold(joined, Candidates(joined.image_id, found), fold, points, labelled)


def select_images(split: LabelledSplit, images: NDArray[np.bool_]) -> LabelledSplit:
    """The images of a mask `(I,)` with their true boxes."""
    rows = np.flatnonzero(images)
    truth = split.truth.select(images[split.truth.image])
    return LabelledSplit(
        split.name,
        split.classes,
        tuple(split.image_id[row] for row in rows),
        tuple(split.patient[row] for row in rows),
        tuple(split.files[row] for row in rows),
        tuple(split.sizes_px[row] for row in rows),
        BoxTable(np.searchsorted(rows, truth.image), truth.class_id, truth.score, truth.xyxy, len(rows)),
        split.unknown[rows],
    )


def write_out_of_fold(folder: Path, predictions: OutOfFold) -> Path:
    """Write the predictions into the folder of a cross-validation, whole or not at all."""
    split = predictions.split
    arrays = pack(predictions.candidates) | {
        f"{_TRUTH}image": split.truth.image,
        f"{_TRUTH}class_id": split.truth.class_id,
        f"{_TRUTH}xyxy": split.truth.xyxy,
        "unknown": split.unknown,
        "patient": np.array(split.patient),
        "path": np.array([path.as_posix() for path in split.files]),
        "image_size_px": np.array(split.sizes_px, np.int64),
        "fold": predictions.fold,
        "labelled": predictions.labelled,
        "classes": np.array(split.classes),
        "thresholds": np.array(json.dumps([chosen.model_dump(mode="json") for chosen in predictions.thresholds])),
    }
    path = folder / PREDICTIONS_FILE
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    return path


def read_out_of_fold(folder: Path) -> OutOfFold:
    """The out-of-fold predictions of a cross-validation.

    Raises:
        ModelError: There are none yet, or the file is damaged.
    """
    path = folder / PREDICTIONS_FILE
    cure = "finish the cross-validation with `xray cross-validate`"
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            arrays = {name: stored[name] for name in stored.files}
        candidates = unpack(arrays)
        image, class_id, xyxy = (arrays[f"{_TRUTH}{name}"] for name in ("image", "class_id", "xyxy"))
        split = LabelledSplit(
            SPLIT_NAME,
            tuple(arrays["classes"].tolist()),
            candidates.image_id,
            tuple(arrays["patient"].tolist()),
            tuple(Path(name) for name in arrays["path"].tolist()),
            tuple((int(width), int(height)) for width, height in arrays["image_size_px"]),
            BoxTable(image, class_id, np.ones(len(image)), xyxy, len(candidates.image_id)),
            arrays["unknown"],
        )
        thresholds = tuple(Thresholds.model_validate(row) for row in json.loads(str(arrays["thresholds"])))
        return OutOfFold(split, candidates, arrays["fold"], thresholds, arrays["labelled"])
    except FileNotFoundError:
        raise ModelError(f"{path}: no out-of-fold predictions yet; {cure}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError):
        raise ModelError(f"{path}: damaged; remove it and {cure}") from None
