"""Checking the files of a YOLO data set as they stand on disk, without trusting the step that wrote them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.data.checks import Check, Report
from xray_chest_detection.data.dataset_files import DatasetFiles
from xray_chest_detection.data.everything import trains_on_everything
from xray_chest_detection.data.label_files import LabelFiles, read_labels
from xray_chest_detection.data.provenance import provenance_checks
from xray_chest_detection.data.side_checks import side_file_checks
from xray_chest_detection.data.yolo import PATCH, foreign_folders

_IDENTITY = ["image_id", "patient_id", "source"]


def verify_files(files: DatasetFiles, *, split: Path | None = None) -> Report:
    """Check files, labels, classes, index, side files and manifest of a data set; no image is opened.

    Args:
        files: The data set.
        split: Folder of the split it must be a view of; None: the one its manifest names, if it is there.
    """
    found = read_labels(files.labels, len(files.classes), files.folder)
    checks = (
        Check("data.yaml names other folders", "error", foreign_folders(files.folder)),
        *_file_checks(files),
        *_label_checks(found),
        *_class_checks(found, files.classes),
        *_index_checks(files),
        *side_file_checks(files),
        *provenance_checks(files, split),
    )
    counts = {
        "images": sum(len(paths) for paths in files.images.values()),
        "boxes": sum(counter.total() for counter in found.per_split.values()),
    }
    return Report(str(files.folder), counts, checks)


def _file_checks(files: DatasetFiles) -> list[Check]:
    needed = ("train", "val") if trains_on_everything(files.folder) else SPLITS
    without_label, without_image, sharing = [], [], []
    splits_of: defaultdict[str, set[str]] = defaultdict(set)
    for split in SPLITS:
        images, labels = files.images[split], files.labels[split]
        image_stems, label_stems = Counter(path.stem for path in images), {path.stem for path in labels}
        without_label += [files.place(path) for path in images if path.stem not in label_stems]
        without_image += [files.place(path) for path in labels if path.stem not in image_stems]
        sharing += [f"images/{split}/{stem}.*" for stem, count in image_stems.items() if count > 1]
        for stem in image_stems:
            splits_of[stem].add(split)
    twice = [f"{stem}: {', '.join(sorted(splits))}" for stem, splits in splits_of.items() if len(splits) > 1]
    return [
        Check("split without images", "error", [f"images/{split}" for split in needed if not files.images[split]]),
        Check("image without label file", "error", without_label),
        Check("label file without image", "error", without_image),
        Check("images that share one label file", "error", sharing),
        Check("same image name in two splits", "error", twice),
    ]


def _label_checks(found: LabelFiles) -> list[Check]:
    return [
        Check("malformed label line", "error", found.malformed),
        Check("unknown class id", "error", found.unknown_class),
        Check("box outside [0, 1]", "error", found.outside),
        Check("box without area", "error", found.no_area),
        Check("box repeated in one file", "warning", found.repeated),
    ]


def _class_checks(found: LabelFiles, classes: Sequence[str]) -> list[Check]:
    absent = {
        split: [f"{split}: {name}" for index, name in enumerate(classes) if not found.per_split[split][index]]
        for split in SPLITS
    }
    return [
        Check("class without a box in train", "error", absent["train"]),
        Check("class without a box in val or test", "warning", absent["val"] + absent["test"]),
    ]


def _index_checks(files: DatasetFiles) -> list[Check]:
    if files.index_error:
        return [Check("index.csv cannot be read", "error", [files.index_error])]
    index = files.index
    on_disk = {files.place(path) for paths in files.images.values() for path in paths}
    listed = set(index["file"])
    disagreeing = [f"{name} is not in index.csv" for name in sorted(on_disk - listed)]
    disagreeing += [f"{name} is not on disk" for name in sorted(listed - on_disk)]
    disagreeing += [
        f"{file} is listed as {split}"
        for file, split in zip(index["file"], index["split"], strict=True)
        if not file.startswith(f"images/{split}/")
    ]
    empty = (index[_IDENTITY] == "").any(axis=1)
    twice = index["file"].duplicated() | index[["source", "image_id", PATCH]].duplicated()
    return [
        Check("index.csv and files disagree", "error", disagreeing),
        Check("index.csv leaves out image, patient or source", "error", _rows(index, empty)),
        Check("film listed twice in index.csv", "error", _rows(index, twice)),
    ]


def _rows(index: pd.DataFrame, chosen: "pd.Series[bool]") -> list[str]:
    lines = chosen.to_numpy().nonzero()[0] + 2
    return [f"index.csv line {line}: {file}" for line, file in zip(lines, index["file"][chosen], strict=True)]
