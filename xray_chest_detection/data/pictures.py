"""Reading many images for comparison: a hash of the pixels and a thumbnail of each, nothing else is kept in memory."""

import multiprocessing
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.duplicates import pixel_digest, thumbnail
from xray_chest_detection.errors import ImageError

PROCESSES = 2
_PARALLEL_FROM = 500  # images; starting a process costs about a second
_CHUNK = 16


class Picture(NamedTuple):
    """What an image looks like: the sha256 of its grey pixels and their size, and a thumbnail `(128, 128)`."""

    digest: str
    thumbnail: NDArray[np.uint8]


def read_pictures(paths: Sequence[Path], *, progress: Progress | None = None) -> list[Picture | str]:
    """The picture of every file, or why it cannot be read, in the given order.

    Hard links of one file are decoded once. From 500 files on two processes share the work.
    """
    inodes = [_inode(path) for path in paths]
    one_of = dict(zip(inodes, paths, strict=True))
    todo = list(one_of.values())
    if len(todo) < _PARALLEL_FROM:
        found = dict(zip(one_of, _watched(map(_read, todo), len(todo), progress), strict=True))
    else:  # spawned, because a forked copy of a process with threads may hang
        with multiprocessing.get_context("spawn").Pool(PROCESSES, _leave_ctrl_c_to_the_parent) as pool:
            found = dict(zip(one_of, _watched(pool.imap(_read, todo, _CHUNK), len(todo), progress), strict=True))
    return [found[inode] for inode in inodes]


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _read(path: Path) -> Picture | str:
    try:
        pixels = read_image(path, name=str(path)).pixels
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return Picture(pixel_digest(pixels), thumbnail(pixels))


def _watched(items: Iterable[Picture | str], total: int, progress: Progress | None) -> Iterable[Picture | str]:
    return progress(items, total, title="images") if progress else items


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
