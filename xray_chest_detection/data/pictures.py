"""Reading many images for comparison: a hash of the pixels and a thumbnail of each, nothing else is kept in memory."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.duplicates import Grey, pixel_digest, thumbnail
from xray_chest_detection.data.workers import available_cores, in_processes
from xray_chest_detection.errors import ImageError

PARALLEL_FROM = 200  # images; starting processes takes a second or two
_KILLED = "the process that decoded it was killed; is memory short?"


class Picture(NamedTuple):
    """What an image looks like: the sha256 of its grey pixels and their size, and a thumbnail `(128, 128)`."""

    digest: str
    thumbnail: Grey


def read_pictures(paths: Sequence[Path], *, progress: Progress | None = None) -> list[Picture | str]:
    """The picture of every file, or why it cannot be read, in the given order.

    Hard links of one file are decoded once. From 200 files on, all cores share the work.
    """
    inodes = [_inode(path) for path in paths]
    todo = list(dict(zip(inodes, paths, strict=True)).values())
    with closing(each_picture(todo)) as pictures:
        watched = progress(pictures, len(todo), title="images") if progress else pictures
        found = {_inode(path): picture for path, picture in watched}
    return [found[inode] for inode in inodes]


def each_picture(paths: Sequence[Path]) -> Generator[tuple[Path, Picture | str]]:
    """Every file with its picture, or with why it cannot be read, in the order in which they are ready."""
    if len(paths) < PARALLEL_FROM:
        yield from ((path, _read(path)) for path in paths)
        return
    with closing(in_processes(_read, paths, workers=available_cores())) as answers:
        yield from ((answer.item, answer.result or _KILLED) for answer in answers)


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _read(path: Path) -> Picture | str:
    try:
        pixels = read_image(path, name=str(path)).pixels
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return Picture(pixel_digest(pixels), thumbnail(pixels))
