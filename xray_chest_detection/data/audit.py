"""The leak auditor: every data set checked for itself, then all of them together, because models share weights.

The binary model starts from the multiclass one, and a classifier may start from either: a film that one data set trains
on and another one tests on is a leak although each of the two is sound.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from xray_chest_detection.data.checks import Check, Progress, Report
from xray_chest_detection.data.dataset_files import DatasetFiles, list_dataset
from xray_chest_detection.data.duplicates import near_duplicates
from xray_chest_detection.data.integrity import verify_files
from xray_chest_detection.data.leaks import (
    Place,
    near_leaks,
    official_leaks,
    patient_leaks,
    pixel_leaks,
)
from xray_chest_detection.data.nih_tables import read_official_list
from xray_chest_detection.data.pictures import Picture, read_pictures
from xray_chest_detection.errors import DataError


def audit(
    folders: Sequence[Path],
    *,
    split: Path | None = None,
    official_test_list: Path | None = None,
    progress: Progress | None = None,
) -> list[Report]:
    """Check data sets and look for leaks within and between them.

    Args:
        folders: Data sets as `data.yolo` writes them.
        split: Folder of the split all of them must be views of; None: the one each manifest names, if it is there.
        official_test_list: NIH's `test_list.txt`, when a classifier will be tested on it.
        progress: Follows the reading and the comparing.

    Returns:
        A report for every data set, and a last one of the leaks.

    Raises:
        DataError: A folder is given twice or is not a data set; the list cannot be read.
    """
    for number, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:number]]:
            raise DataError(f"{folder}: given twice; name every data set once")
    official = None if official_test_list is None else read_official_list(official_test_list)
    sets = [list_dataset(folder) for folder in folders]
    reports = [verify_files(one, split=split) for one in sets]
    return [*reports, _leak_report(sets, official, progress)]


def _leak_report(sets: Sequence[DatasetFiles], official: Collection[str] | None, progress: Progress | None) -> Report:
    """What is looked for over all data sets together, whichever of them an image is in."""
    files = [found for one in sets for found in _places(one, alone=len(sets) == 1)]
    pictures = read_pictures([path for path, _ in files], progress=progress)
    found = [(place, picture) for (_, place), picture in zip(files, pictures, strict=True)]
    readable = [(place, picture) for place, picture in found if isinstance(picture, Picture)]
    unreadable = [f"{place.name}: {picture}" for place, picture in found if isinstance(picture, str)]
    checks = (
        Check("unreadable image", "error", unreadable),
        patient_leaks({str(one.folder): one.index for one in sets}),
        *_picture_leaks(readable, progress),
        *([] if official is None else [official_leaks([place for place, _ in found], official)]),
    )
    different = {picture.digest for _, picture in readable}
    return Report("leaks", {"data sets": len(sets), "files": len(files), "pictures": len(different)}, checks)


def _places(files: DatasetFiles, *, alone: bool) -> list[tuple[Path, Place]]:
    """Every image file of a data set and what the index knows about it."""
    index = files.index
    who = zip(index["source"], index["image_id"], index["patient_id"], strict=True)
    known = {
        file: ((source, image), (source, patient))
        for file, (source, image, patient) in zip(index["file"], who, strict=True)
    }
    prefix = "" if alone else f"{files.folder.as_posix()}/"
    return [
        (path, Place(prefix + files.place(path), split, *known.get(files.place(path), (None, None))))
        for split, paths in files.images.items()
        for path in paths
    ]


def _picture_leaks(readable: Sequence[tuple[Place, Picture]], progress: Progress | None) -> list[Check]:
    groups: dict[str, list[Place]] = {}
    thumbnails = []
    for place, picture in readable:
        if picture.digest not in groups:
            thumbnails.append(picture.thumbnail)
        groups.setdefault(picture.digest, []).append(place)
    of_picture = list(groups.values())
    pairs = near_duplicates(np.stack(thumbnails), progress=progress) if thumbnails else []
    return [*pixel_leaks(of_picture), *near_leaks(of_picture, pairs)]
