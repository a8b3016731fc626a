"""Reading many images for comparison: a hash of the pixels and a thumbnail of each, nothing else is kept in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.duplicates import pixel_digest, thumbnail
from xray_chest_detection.data.workers import in_processes
from xray_chest_detection.errors import ImageError

PROCESSES = 2
_PARALLEL_FROM = 500  # images; starting a process costs about a second
_KILLED = "the process that decoded it was killed (out of memory?)"


class Picture(NamedTuple):
    """What an image looks like: the sha256 of its grey pixels and their size, and a thumbnail `(128, 128)`."""

    digest: str
    thumbnail: NDArray[np.uint8]


def read_pictures(paths: Sequence[Path], *, progress: Progress | None = None) -> list[Picture | str]:
    """The picture of every file, or why it cannot be read, in the given order.

    Hard links of one file are decoded once. From 500 files on two processes share the work.
    """
    inodes = [_inode(path) for path in paths]
    todo = list(dict(zip(inodes, paths, strict=True)).values())
    answers = _in_turn(todo) if len(todo) < _PARALLEL_FROM else _in_parallel(todo)
    found = {_inode(path): picture for path, picture in _watched(answers, len(todo), progress)}
    return [found[inode] for inode in inodes]


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _in_turn(paths: Sequence[Path]) -> Iterable[tuple[Path, Picture | str]]:
    return ((path, _read(path)) for path in paths)


def _in_parallel(paths: Sequence[Path]) -> Iterable[tuple[Path, Picture | str]]:
    return ((answer.item, answer.result or _KILLED) for answer in in_processes(_read, paths, workers=PROCESSES))


def _watched(
    answers: Iterable[tuple[Path, Picture | str]], total: int, progress: Progress | None
) -> Iterable[tuple[Path, Picture | str]]:
    return progress(answers, total, title="images") if progress else answers


def _read(path: Path) -> Picture | str:
    try:
        pixels = read_image(path, name=str(path)).pixels
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return Picture(pixel_digest(pixels), thumbnail(pixels))
