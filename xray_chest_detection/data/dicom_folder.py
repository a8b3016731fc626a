"""A folder of DICOM radiographs as 8-bit PNG: what is there, what is left to do, and what came of it."""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_chest_detection.config.dicom_to_png import DicomToPngConfig
from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.core.manifest import FILE_NAME as MANIFEST
from xray_chest_detection.data.image_files import DICOM_SUFFIXES
from xray_chest_detection.data.image_sizes import META_FILE
from xray_chest_detection.data.png_copy import Job, Recipe, Record, make_png, state_of
from xray_chest_detection.data.workers import available_cores, in_processes
from xray_chest_detection.errors import DataError

DIED = "the process that decoded it was killed, perhaps for lack of memory; run again with fewer --workers"

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Conversion:
    """What came of a folder.

    Attributes:
        records: Source, as its path below the root, to what its PNG says about itself.
        failures: Source to why there is no PNG of it, one line each.
        converted: Number of PNG files written in this run; the others were there.
        taken_up_again: Number of files that were in work when a process died.
    """

    records: dict[str, Record]
    failures: dict[str, str]
    converted: int
    taken_up_again: int

    def counts(self) -> dict[str, int]:
        """Images, failures, and how often the decoder had to do something special."""
        notes = Counter(note for record in self.records.values() for note in record.notes)
        return {"images": len(self.records), "failures": len(self.failures), **dict(sorted(notes.items()))}


def convert_folder(config: DicomToPngConfig, *, progress: Progress | None = None) -> Conversion:
    """Convert every DICOM file that has no finished PNG yet, and write `train_meta.csv` for all that have one.

    A PNG appears when it is complete. After Ctrl-C, or when the machine went down, the next run goes on.

    Raises:
        ConfigError: The root does not exist.
        DataError: There is no DICOM file, two would become one PNG, `out` holds PNG files made in another way, or the
            folder cannot be written.
    """
    jobs = plan_jobs(config)
    _remove_leftovers({job.target.parent for job in jobs})
    records, todo = _what_is_left(jobs, config)
    if todo:
        (config.out / MANIFEST).unlink(missing_ok=True)  # it says that the folder is complete
    failures: dict[str, str] = {}
    again = 0
    workers = min(config.workers or available_cores(), max(1, len(todo)))
    with closing(in_processes(make_png, todo, workers=workers)) as answers:
        for job, result, was_again in progress(answers, len(todo)) if progress else answers:
            again += was_again
            if isinstance(result, Record):
                records[job.name] = result
            else:
                failures[job.name] = result or DIED
    _write_meta(config.out / META_FILE, records)
    converted = len(todo) - len(failures)
    return Conversion(dict(sorted(records.items())), dict(sorted(failures.items())), converted, again)


def find_dicoms(root: Path) -> list[Path]:
    """DICOM files below a folder, sorted, as paths relative to it.

    Files that end in `.dcm` or `.dicom`, and all others that have DICOM's magic number, since many exports have no
    suffix or end in part of a UID. Symbolic links are followed; hidden files and DICOMDIR indexes are passed over.
    """
    found = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths = [Path(folder, name) for name in names if not name.startswith(".") and name.upper() != "DICOMDIR"]
        found += [path.relative_to(root) for path in paths if _is_dicom(path)]
    return sorted(found)


def plan_jobs(config: DicomToPngConfig) -> list[Job]:
    """One job a file. Sub-folders are kept, so that equal names in two of them stay apart.

    Raises:
        ConfigError: The root does not exist.
        DataError: There is no DICOM file, or two of one folder differ in their suffix only.
    """
    root = config.resolved_root()
    found = find_dicoms(root)
    if not found:
        raise DataError(f"{root}: no DICOM file in this folder or below; give the folder of the download with --root")
    recipe = Recipe(config.longest_side_px, config.clahe_clip_limit)
    jobs: dict[str, Job] = {}
    for path in found:
        stem = _without_suffix(path.as_posix())
        if stem in jobs:
            raise DataError(f"{root / path}: {jobs[stem].name} would become the same PNG; keep one of the two")
        jobs[stem] = Job(path.as_posix(), root / path, config.out / f"{stem}.png", recipe)
    return list(jobs.values())


def image_ids(names: Iterable[str]) -> dict[str, str]:
    """Source path to image id: the file's name without suffix, or its whole path where two files share the name.

    >>> image_ids(["a/x.dcm", "b/x.dcm", "b/1.2.3"])
    {'a/x.dcm': 'a/x', 'b/x.dcm': 'b/x', 'b/1.2.3': '1.2.3'}
    """
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        sharing[_without_suffix(name).rpartition("/")[2]].append(name)
    return {
        name: stem if len(several) == 1 else _without_suffix(name)
        for stem, several in sharing.items()
        for name in several
    }


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:  # a broken link, a socket
        return False
    headless = path.suffix == "" and head[:2] in (b"\x02\x00", b"\x08\x00")
    return headless or head[128:] == b"DICM"


def _without_suffix(name: str) -> str:
    ending = next((suffix for suffix in DICOM_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(ending)]


def _what_is_left(jobs: Sequence[Job], config: DicomToPngConfig) -> tuple[dict[str, Record], list[Job]]:
    """Records of the finished PNG files, and the jobs still to do."""
    records: dict[str, Record] = {}
    todo, others = [], []
    for job in jobs:
        state, record = state_of(job)
        if record is not None:
            records[job.name] = record
        else:
            todo.append(job)
            others += [job] if state == "other" else []
    if others and not config.overwrite:
        wanted = f"longest_side_px {config.longest_side_px}, clahe_clip_limit {config.clahe_clip_limit}"
        raise DataError(
            f"{others[0].target}: not made with {wanted} ({len(others)} such files); "
            "give another folder with --out, or pass --overwrite to replace them"
        )
    return records, todo


def _remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what a killed process left half-written under a temporary name."""
    for folder in folders:
        for path in folder.glob(".tmp-*.png"):
            path.unlink(missing_ok=True)


def _write_meta(path: Path, records: dict[str, Record]) -> None:
    """Sizes of the originals as `image_id,dim0,dim1` (rows, columns), the form of the public resized copies."""
    ids = image_ids(records)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["image_id", "dim0", "dim1"])
        writer.writerows(sorted((ids[name], record.rows, record.columns) for name, record in records.items()))
