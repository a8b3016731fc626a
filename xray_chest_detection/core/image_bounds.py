"""What is refused before a decoder sees it: small files that would unpack to much memory or many seconds of work.

Pixels are bounded elsewhere, by `core.radiograph.check_size`; here it is the structure around them. Decoders keep every
marker, chunk and tag of a file as Python objects before they look at a pixel, TIFF tags may all point at the same
megabytes, and every scan of a progressive JPEG costs another pass over the whole image.

Source: ITU-T T.81 B.1.1 (JPEG markers), PNG 1.2 section 3.2 (chunks), TIFF 6.0 section 2 (image file directory),
EXIF 2.32 section 4.5.2 (EXIF data is a TIFF file), WebP container specification (VP8X).
"""

import struct

from xray_chest_detection.core.radiograph import check_size
from xray_chest_detection.errors import ImageError

MAX_SCANS = 200  # progressive files have about ten, and their previews the same
MAX_PARTS = 65_536  # chunks of a PNG: 32 MiB in pieces of 8 KiB are 4,096
MAX_SEGMENTS = 5_000  # of a JPEG before its pixels; the largest colour profile takes 255
MAX_TAGS = 4_096
MAX_TAG_VALUES = 65_536  # one strip per row of a very high film; text and bytes may be longer

_PNG, _JPEG, _TIFF, _WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"RIFF"
_SCAN, _EXIF = 0xDA, b"Exif\0\0"
_NO_LENGTH = {0x00, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0x100)}  # Pillow reads on after the marker itself
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BYTES = (1, 2, 6, 7)  # TIFF types that stay one object whatever their number


def check_structure(content: bytes, *, name: str, max_pixels: int) -> None:
    """Refuse a PNG, JPEG, TIFF or WebP file that costs far more to open than its size says; others pass.

    Raises:
        ImageError: Names what there is too much of, and the limit.
    """
    if content.startswith(_PNG):
        _check_png(content, name=name)
    elif content.startswith(_JPEG):
        _check_jpeg(content, name=name)
    elif content.startswith(_TIFF):
        check_tags(content, name=name)
    elif content.startswith(_WEBP) and content[12:16] == b"VP8X":
        canvas = content[24:30].ljust(6, b"\0")
        check_size(_plus_one(canvas[:3]), _plus_one(canvas[3:]), name=name, max_pixels=max_pixels)


def check_scans(content: bytes, *, name: str) -> None:
    """Refuse a JPEG of very many scans.

    Raises:
        ImageError: There are more than `MAX_SCANS`. A few may be counted that are not there.
    """
    if content.count(bytes((0xFF, _SCAN))) > MAX_SCANS:
        raise _too_much(name, "scans in a JPEG", MAX_SCANS)


def check_tags(block: bytes, *, name: str) -> None:
    """Refuse a TIFF file, or EXIF data, whose first directory is larger than any real one.

    Raises:
        ImageError: It has too many tags, a tag has too many values, or the values overlap.
    """
    while block.startswith(_EXIF):
        block = block.removeprefix(_EXIF)
    order, big = ">" if block[:2] == b"MM" else "<", 43 in block[2:4]
    head, count, entry = ("8xQ", "Q", "HHQ8x") if big else ("4xL", "H", "HHL4x")
    try:
        (start,) = struct.unpack_from(order + head, block)
        (tags,) = struct.unpack_from(order + count, block, start)
    except (struct.error, OverflowError):
        return  # the decoder finds it truncated
    if tags > MAX_TAGS:
        raise _too_much(name, "tags in a TIFF or EXIF directory", MAX_TAGS)
    start += struct.calcsize(order + count)
    length = tags * struct.calcsize(order + entry)
    if start + length > len(block):
        return
    together = 0
    for _, kind, values in struct.iter_unpack(order + entry, block[start : start + length]):
        if values > MAX_TAG_VALUES and kind not in _BYTES:
            raise _too_much(name, "values of one TIFF or EXIF tag", MAX_TAG_VALUES)
        together += _SIZES.get(kind, 0) * values
    if together > 2 * len(block):
        raise ImageError(f"{name}: the values of its TIFF or EXIF tags overlap; save the image again")


def _check_png(content: bytes, *, name: str) -> None:
    place, parts = len(_PNG), 0
    while place + 12 <= len(content) and content[place + 4 : place + 8] != b"IEND":
        parts += 1
        if parts > MAX_PARTS:
            raise _too_much(name, "chunks in a PNG", MAX_PARTS)
        place += 12 + int.from_bytes(content[place : place + 4], "big")


def _check_jpeg(content: bytes, *, name: str) -> None:
    """Count what comes before the first scan as Pillow reads it, and the scans."""
    check_scans(content, name=name)
    place, segments, exif = 2, 0, b""
    while 0 <= (place := content.find(b"\xff", place)) < len(content) - 3 and content[place + 1] != _SCAN:
        segments += 1
        if segments > MAX_SEGMENTS:
            raise _too_much(name, "segments in a JPEG", MAX_SEGMENTS)
        if content[place + 1] in _NO_LENGTH:
            place += 1
            continue
        end = place + 2 + max(2, int.from_bytes(content[place + 2 : place + 4], "big"))
        if content[place + 4 : place + 10] == _EXIF:  # Pillow joins them
            exif += content[place + 10 : end]
        place = end
    if exif:
        check_tags(exif, name=name)


def _plus_one(three: bytes) -> int:
    return int.from_bytes(three, "little") + 1


def _too_much(name: str, what: str, limit: int) -> ImageError:
    return ImageError(f"{name}: more than {limit:,} {what}; save the image again as PNG")
