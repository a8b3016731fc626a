"""The sample films: listed once, thumbnails kept in memory."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xray_chest_detection.core.images import Radiograph, decode_image
from xray_chest_detection.errors import ImageError
from xray_chest_detection.web.films import as_jpeg, as_png

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".dcm": "DICOM", ".dicom": "DICOM"}
THUMB_PX = 192
_ABBREVIATIONS = {"ap", "cr", "dr", "dx", "pa"}


@dataclass(frozen=True)
class Sample:
    """One sample film.

    Attributes:
        key: Its part of the address.
        name: Name for people.
        kind: `PNG`, `JPEG` or `DICOM`.
        path: The file.
    """

    key: str
    name: str
    kind: str
    path: Path


class Gallery:
    """All images of some folders, sub-folders left out.

    Args:
        folders: Folders to list, in order; those that do not exist are skipped.
        max_pixels: Larger images are refused.
    """

    def __init__(self, folders: Iterable[Path], *, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._samples: dict[str, Sample] = {}
        self._thumbs: dict[str, bytes] = {}
        self._lock = threading.Lock()
        for folder in folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                    self._add(path)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples in the order they are shown."""
        return tuple(self._samples.values())

    def get(self, key: str) -> Sample | None:
        """The sample of this key. Keys are looked up, never joined to a path."""
        return self._samples.get(key)

    def content(self, sample: Sample) -> bytes:
        """The bytes of a sample's file.

        Raises:
            ImageError: It is gone.
        """
        try:
            return sample.path.read_bytes()
        except OSError as error:
            raise ImageError(f"{sample.path.name}: cannot be read ({error.strerror}); restart the demo") from None

    def film(self, sample: Sample) -> bytes:
        """A sample as a PNG for the screen.

        Raises:
            ImageError: It is not an image that can be read.
        """
        return as_png(self._decode(sample).pixels)

    def thumb(self, sample: Sample) -> bytes:
        """A small JPEG of a sample; decoded once, then served from memory.

        Raises:
            ImageError: It is not an image that can be read.
        """
        with self._lock:
            if sample.key not in self._thumbs:
                self._thumbs[sample.key] = as_jpeg(self._decode(sample).pixels, max_side_px=THUMB_PX)
            return self._thumbs[sample.key]

    def _decode(self, sample: Sample) -> Radiograph:
        return decode_image(self.content(sample), name=sample.path.name, max_pixels=self._max_pixels)

    def _add(self, path: Path) -> None:
        slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "sample"
        key, count = slug, 1
        while key in self._samples:
            count += 1
            key = f"{slug}-{count}"
        self._samples[key] = Sample(key, humanise(path.stem), SUFFIXES[path.suffix.lower()], path)


def humanise(stem: str) -> str:
    """A file's stem as words; numbers lose their zeros, the usual abbreviations become capitals.

    >>> humanise("synthetic_mass-nodule_02")
    'Synthetic mass nodule 2'
    >>> humanise("chest_cr_15bit")
    'Chest CR 15bit'
    """
    words = [_word(word) for word in re.split(r"[\s_-]+", stem) if word]
    text = " ".join(words) or stem
    return text[0].upper() + text[1:]


def _word(word: str) -> str:
    if word.isdecimal():
        return str(int(word))
    return word.upper() if word.lower() in _ABBREVIATIONS else word
