"""Checking a YOLO data set as it stands on disk, without trusting the step that wrote it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.duplicates import near_duplicates, thumbnail
from xray_chest_detection.data.image_files import IMAGE_SUFFIXES
from xray_chest_detection.data.label_files import LabelFiles, read_labels
from xray_chest_detection.data.splits import shared_patients
from xray_chest_detection.data.yolo import foreign_folders, read_classes, read_index
from xray_chest_detection.errors import DataError, ImageError

Severity = Literal["info", "warning", "error"]
Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: What is looked for.
        result: `ok` when nothing was found, else how serious it is.
        count: How many times it was found.
        example: The first place, '' when there is none.
    """

    name: str
    result: Literal["ok", "info", "warning", "error"]
    count: int
    example: str

    def to_row(self) -> dict[str, object]:
        """The check as a row of a printed table."""
        return {"check": self.name, "result": self.result, "count": self.count, "example": self.example or "-"}


@dataclass(frozen=True)
class Report:
    """All checks of one data set, and how much was looked at."""

    images: int
    boxes: int
    checks: tuple[Check, ...]

    @property
    def failed(self) -> bool:
        """Whether a check found an error; warnings and notes do not count."""
        return any(check.result == "error" for check in self.checks)


@dataclass(frozen=True)
class _Picture:
    """A decoded image: where it is, whose it is, and what it looks like."""

    name: str
    split: str
    patient: str | None
    digest: str
    thumbnail: NDArray[np.uint8]


def verify_dataset(folder: Path, *, progress: Progress | None = None) -> Report:
    """Check files, labels, patients, pixels and classes of a data set written by `data.yolo`.

    Raises:
        DataError: The folder is not a data set: no `data.yaml`.
    """
    classes = read_classes(folder)
    images = {split: _files(folder / "images" / split, IMAGE_SUFFIXES) for split in SPLITS}
    labels = {split: _files(folder / "labels" / split, frozenset({".txt"})) for split in SPLITS}
    found = read_labels(labels, len(classes), folder)
    index_checks, patients = _index_checks(folder, images)
    pictures, unreadable = _read_pictures(folder, images, patients, progress)
    checks = (
        _check("data.yaml names other folders", "error", foreign_folders(folder)),
        *_file_checks(folder, images, labels),
        _check("unreadable image", "error", unreadable),
        *_label_checks(found),
        *_class_checks(found, classes),
        *index_checks,
        *_same_pixels(pictures),
        *_near_duplicates(pictures),
    )
    boxes = sum(counter.total() for counter in found.per_split.values())
    return Report(sum(len(paths) for paths in images.values()), boxes, checks)


def compare_splits(folders: Sequence[Path]) -> Check:
    """Whether several data sets are views of one split: no patient is in different parts of two of them.

    Raises:
        DataError: An index is missing or damaged.
    """
    indexes = [read_index(folder) for folder in folders]
    together = pd.concat(indexes) if indexes else pd.DataFrame(columns=["source", "patient_id", "split"])
    places = [
        f"patient {patient} of {source}: {', '.join(parts)}" for source, patient, parts in shared_patients(together)
    ]
    return _check("patient in different splits of these data sets", "error", places)


def _check(name: str, severity: Severity, places: Sequence[str]) -> Check:
    return Check(name, severity if places else "ok", len(places), places[0] if places else "")


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files of these kinds in a folder and, since ultralytics looks there too, in its sub-folders."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.name[0] != "." and path.is_file()
    )


def _file_checks(folder: Path, images: Mapping[str, list[Path]], labels: Mapping[str, list[Path]]) -> list[Check]:
    without_label, without_image, sharing = [], [], []
    splits_of: defaultdict[str, set[str]] = defaultdict(set)
    for split in SPLITS:
        image_stems, label_stems = Counter(path.stem for path in images[split]), {path.stem for path in labels[split]}
        without_label += [_place(folder, path) for path in images[split] if path.stem not in label_stems]
        without_image += [_place(folder, path) for path in labels[split] if path.stem not in image_stems]
        sharing += [f"images/{split}/{stem}.*" for stem, count in image_stems.items() if count > 1]
        for stem in image_stems:
            splits_of[stem].add(split)
    twice = [f"{stem}: {', '.join(sorted(splits))}" for stem, splits in splits_of.items() if len(splits) > 1]
    return [
        _check("split without images", "error", [f"images/{split}" for split in SPLITS if not images[split]]),
        _check("image without label file", "error", without_label),
        _check("label file without image", "error", without_image),
        _check("images that share one label file", "error", sharing),
        _check("same image name in two splits", "error", twice),
    ]


def _label_checks(found: LabelFiles) -> list[Check]:
    return [
        _check("malformed label line", "error", found.malformed),
        _check("unknown class id", "error", found.unknown_class),
        _check("box outside [0, 1]", "error", found.outside),
        _check("box without area", "error", found.no_area),
        _check("box repeated in one file", "warning", found.repeated),
    ]


def _class_checks(found: LabelFiles, classes: Sequence[str]) -> list[Check]:
    absent = {
        split: [f"{split}: {name}" for index, name in enumerate(classes) if not found.per_split[split][index]]
        for split in SPLITS
    }
    return [
        _check("class without a box in train", "error", absent["train"]),
        _check("class without a box in val or test", "warning", absent["val"] + absent["test"]),
    ]


def _index_checks(folder: Path, images: Mapping[str, list[Path]]) -> tuple[list[Check], dict[str, str]]:
    """Checks of `index.csv`, and the patient of every file it knows."""
    try:
        index = read_index(folder)
    except DataError as error:
        return [_check("index.csv cannot be read", "error", [str(error)])], {}
    on_disk = {_place(folder, path) for paths in images.values() for path in paths}
    listed = set(index["file"])
    disagreeing = [f"{name} is not in index.csv" for name in sorted(on_disk - listed)]
    disagreeing += [f"{name} is not on disk" for name in sorted(listed - on_disk)]
    moved = [
        f"{file} is listed as {split}"
        for file, split in zip(index["file"], index["split"], strict=True)
        if not str(file).startswith(f"images/{split}/")
    ]
    shared = [f"patient {patient} of {source}: {', '.join(parts)}" for source, patient, parts in shared_patients(index)]
    checks = [
        _check("index.csv and files disagree", "error", disagreeing + moved),
        _check("patient in several splits", "error", shared),
    ]
    owners = [f"{source}/{patient}" for source, patient in zip(index["source"], index["patient_id"], strict=True)]
    return checks, dict(zip(index["file"], owners, strict=True))


def _read_pictures(
    folder: Path, images: Mapping[str, list[Path]], patients: Mapping[str, str], progress: Progress | None
) -> tuple[list[_Picture], list[str]]:
    """Every readable image, and a message for every other."""
    todo = [(split, path) for split, paths in images.items() for path in paths]
    pictures, unreadable = [], []
    for split, path in progress(todo, len(todo)) if progress else todo:
        name = _place(folder, path)
        try:
            pixels = read_image(path, name=name).pixels
        except ImageError as error:
            unreadable.append(str(error))
            continue
        digest = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        pictures.append(_Picture(name, split, patients.get(name), digest, thumbnail(pixels)))
    return pictures, unreadable


def _same_pixels(pictures: Sequence[_Picture]) -> list[Check]:
    groups: defaultdict[str, list[_Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.digest].append(picture)
    pairs = [pair for group in groups.values() for pair in pairwise(sorted(group, key=lambda one: one.split))]
    across = [_pair(first, second) for first, second in pairs if first.split != second.split]
    within = [_pair(first, second) for first, second in pairs if first.split == second.split]
    return [
        _check("same pixels in two splits", "error", across),
        _check("same pixels twice in one split", "warning", within),
    ]


def _near_duplicates(pictures: Sequence[_Picture]) -> list[Check]:
    across: list[str] = []
    within: list[str] = []
    thumbnails = [picture.thumbnail for picture in pictures]
    for pair in near_duplicates(np.stack(thumbnails)) if thumbnails else []:
        first, second = pictures[pair.first], pictures[pair.second]
        if first.digest == second.digest:
            continue
        one_patient = first.patient is not None and first.patient == second.patient
        places = within if first.split == second.split or one_patient else across
        places.append(f"{_pair(first, second)} ({pair.similarity:.2f})")
    return [
        _check("near duplicates in two splits", "error", across),
        _check("near duplicates in one split or of one patient", "info", within),
    ]


def _pair(first: _Picture, second: _Picture) -> str:
    return f"{first.name} and {second.name}"


def _place(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
