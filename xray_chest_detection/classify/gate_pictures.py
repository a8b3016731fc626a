"""Pictures for the chest gate as small grey squares."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.classify.drawn_limbs import draw_limb
from xray_chest_detection.classify.drawn_pictures import draw_noise, draw_shapes, draw_text, draw_windows
from xray_chest_detection.config.chest_gate import PictureSource
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.picture_archives import MIN_BYTES, SUFFIXES
from xray_chest_detection.errors import DataError, ImageError
from xray_chest_detection.inference.chest_gate import squared

SQUARE_PX = 128
MIN_SIDE_PX = 48  # smaller pictures are icons
DRAWINGS = {
    "text": draw_text,
    "windows": draw_windows,
    "noise": draw_noise,
    "shapes": draw_shapes,
    "limbs": draw_limb,
}


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of one source.

    Attributes:
        source: Where they come from.
        squares: `(N, 128, 128)` uint8, each picture once.
        names: File name of each; drawings are numbered.
        unreadable: Files that are damaged, too small or not decodable.
    """

    source: PictureSource
    squares: NDArray[np.uint8]
    names: tuple[str, ...]
    unreadable: int = 0


def read_pictures(source: PictureSource, *, fetched: Path, seed: int) -> Pictures:
    """Read or draw the pictures of a source.

    Args:
        source: The source.
        fetched: Folder with the unpacked packages.
        seed: Seed of drawings and of the choice among many files.

    Raises:
        DataError: A folder is missing, or none of its files is a picture.
    """
    rng = np.random.default_rng(seed)
    if source.drawn is not None:
        draw = DRAWINGS[source.drawn]
        drawn = [squared(draw(rng), SQUARE_PX) for _ in range(source.limit)]
        return Pictures(source, np.stack(drawn), tuple(str(number) for number in range(source.limit)))
    folder = picture_folder(source, fetched=fetched)
    files = _chosen(source, folder)
    if len(files) > source.limit:
        files = [files[place] for place in np.sort(rng.choice(len(files), source.limit, replace=False))]
    return _read(source, folder, files)


def picture_folder(source: PictureSource, *, fetched: Path) -> Path:
    """Where the pictures of a source lie.

    Raises:
        DataError: There is no such folder.
    """
    if source.folder is None:
        folder, cure = fetched / source.name, "run `xray chest-gate fetch` first"
    else:
        pack = Path(os.environ.get("XRAY_DATA_PACK", "."))
        folder = pack / source.folder if (pack / source.folder).is_dir() else source.folder
        cure = "set XRAY_DATA_PACK to the folder that holds it"
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, for source '{source.name}'; {cure}")
    return folder


def _chosen(source: PictureSource, folder: Path) -> list[Path]:
    def wanted(path: Path) -> bool:
        taken = not source.only or _matches(path.name, source.only)
        kind = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        return kind and taken and not _matches(path.name, source.leave_out) and path.stat().st_size >= MIN_BYTES

    return sorted(path for path in folder.rglob("*") if path.is_file() and wanted(path))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _read(source: PictureSource, folder: Path, files: Sequence[Path]) -> Pictures:
    found: dict[bytes, tuple[str, NDArray[np.uint8]]] = {}
    unreadable = 0
    for path in files:
        try:
            pixels = read_image(path).pixels
        except ImageError:
            unreadable += 1
            continue
        if min(pixels.shape) < MIN_SIDE_PX:
            unreadable += 1
            continue
        square = squared(pixels, SQUARE_PX)
        found.setdefault(square.tobytes(), (path.name, square))
    if not found:
        raise DataError(f"{folder}: no readable picture for source '{source.name}'; correct the configuration")
    names, squares = zip(*found.values(), strict=True)
    return Pictures(source, np.stack(squares), names, unreadable)
