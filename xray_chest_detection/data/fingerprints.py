"""What tells copies of one image, kept on disk because every image has to be decoded for it, and groups of copies."""

import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.data.checks import Progress
from xray_chest_detection.data.duplicates import near_duplicates
from xray_chest_detection.data.pictures import Picture, each_picture
from xray_chest_detection.errors import DataError, ImageError

PART_IMAGES = 500  # decoded images that an interruption may cost


class Fingerprint(NamedTuple):
    """An image: the state of its file, and what it looks like."""

    state: str
    picture: Picture


def read_fingerprints(
    files: Mapping[str, Path], *, cache: Path, progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """Fingerprints of images by name, decoding only files that are not in the cache or were changed since.

    Args:
        files: Name to image file; no file has two names.
        cache: Folder that keeps them; made when there is something to keep.
        progress: Follows the images that have to be decoded; from 200 images on, all cores share the work.

    Raises:
        ImageError: A file cannot be decoded.
        DataError: The cache is damaged, or cannot be written.
    """
    known = _read_cache(cache)
    states = {name: _state(path) for name, path in files.items()}
    found = {name: known[name] for name, state in states.items() if name in known and known[name].state == state}
    todo = {files[name]: name for name in sorted(set(files) - set(found))}
    part: dict[str, Fingerprint] = {}
    with closing(each_picture(list(todo))) as pictures:
        watched = progress(pictures, len(todo), title="decode images") if progress else pictures
        for number, (path, picture) in enumerate(watched, 1):
            if isinstance(picture, str):
                raise ImageError(f"{path}: {picture}")
            part[todo[path]] = Fingerprint(states[todo[path]], picture)
            if len(part) == PART_IMAGES or number == len(todo):
                _write_part(cache, part)
                found, part = found | part, {}
    return found


def first_of_copies(fingerprints: Mapping[str, Fingerprint], *, progress: Progress | None = None) -> dict[str, str]:
    """Name of every image to the alphabetically first name among its copies, its own when there is none.

    Copies have equal pixels or are near duplicates (`data.duplicates`). Copies of copies are one group.
    """
    names = sorted(fingerprints)
    if not names:
        return {}
    pictures = [fingerprints[name].picture for name in names]
    thumbnails = np.stack([picture.thumbnail for picture in pictures])
    pairs = [(pair.first, pair.second) for pair in near_duplicates(thumbnails, progress=progress)]
    by_digest = sorted(range(len(names)), key=lambda index: (pictures[index].digest, index))
    for _, group in groupby(by_digest, key=lambda index: pictures[index].digest):
        first, *others = group
        pairs += [(first, other) for other in others]
    return {name: names[first] for name, first in zip(names, _first_connected(len(names), pairs), strict=True)}


def _first_connected(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each of `count` indices the smallest one that chains of pairs lead to."""
    parents = list(range(count))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return [root(index) for index in range(count)]


def _state(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _read_cache(cache: Path) -> dict[str, Fingerprint]:
    found: dict[str, Fingerprint] = {}
    for path in sorted(cache.glob("*.npz")):
        try:
            with path.open("rb") as stream, np.load(stream) as part:  # np.load leaves a damaged file open
                columns = [part[name] for name in ("names", "states", "digests", "thumbnails")]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            raise DataError(f"{path}: damaged; delete this file, its images are then decoded again") from None
        found |= {
            str(name): Fingerprint(str(state), Picture(str(digest), grey))
            for name, state, digest, grey in zip(*columns, strict=True)
        }
    return found


def _write_part(cache: Path, part: Mapping[str, Fingerprint]) -> None:
    number = max((int(path.stem) for path in cache.glob("*.npz") if path.stem.isdigit()), default=0) + 1
    with atomic_path(cache / f"{number:05d}.npz") as temporary:
        np.savez(
            temporary,
            names=np.array(list(part)),
            states=np.array([one.state for one in part.values()]),
            digests=np.array([one.picture.digest for one in part.values()]),
            thumbnails=np.stack([one.picture.thumbnail for one in part.values()]),
        )
