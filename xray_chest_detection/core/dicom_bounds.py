"""What is refused of a DICOM file before a decoder sees it: sizes that lie, and small files that unpack to large ones.

Source: DICOM PS3.5 7.1 (data elements), A.4 (encapsulated pixel data), G.3 (RLE).
"""

import io
import struct
from typing import NamedTuple

from xray_chest_detection.core.image_bounds import MAX_SEGMENTS, check_scans
from xray_chest_detection.errors import ImageError

MAX_READS = 100_000  # a radiograph has a few hundred elements, one with private sequences some thousands
MAX_VALUE_BYTES = 512 * 1024  # three lookup tables of 65,536 entries
MAX_FRAGMENTS = 4_096

_PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
_ITEM = b"\xfe\xff\x00\xe0"
_FRAME_MARKERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}  # baseline to lossless, JPEG-LS; arithmetic coding is hardly decoded
_HIERARCHY, _FILL = 0xDE, 0xFF  # hierarchical files have several frames of several sizes
_PADDING = 1_024  # writers fill up segments in their own ways
_JPEG_START, _JPEG_END, _J2K_START, _JP2_BOX = b"\xff\xd8", b"\xff\xd9", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "


class Claim(NamedTuple):
    """What a compressed frame says of itself."""

    width_px: int
    height_px: int
    components: int


class BoundedReader(io.BytesIO):
    """The bytes of a DICOM file for pydicom, which makes an object of every element it reads.

    Raises:
        ImageError: From `read`: there are more elements, or larger values other than pixels, than any radiograph has.
    """

    def __init__(self, content: bytes, *, name: str) -> None:
        super().__init__(content)
        self._name = name
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`."""
        self._reads += 1
        if self._reads > MAX_READS:
            raise ImageError(f"{self._name}: DICOM file with too many elements; export the image alone")
        if size is not None and size > MAX_VALUE_BYTES and not self._at_pixels():
            raise ImageError(f"{self._name}: DICOM header with a value of {size:,} bytes; export the image alone")
        return super().read(size)

    def _at_pixels(self) -> bool:
        """Whether the element whose value comes next is the pixel data: its tag lies 8 or 12 bytes before."""
        place = self.tell()
        with self.getbuffer() as view:
            return any(bytes(view[max(0, place - back) : place])[:4] in _PIXEL_DATA for back in (8, 12))


def check_fragments(pixel_data: bytes, *, name: str) -> None:
    """Refuse compressed pixel data in very many pieces.

    Raises:
        ImageError: There are more than `MAX_FRAGMENTS`.
    """
    if pixel_data.count(_ITEM) > MAX_FRAGMENTS:
        raise ImageError(f"{name}: DICOM pixel data in more than {MAX_FRAGMENTS:,} pieces; rewrite it uncompressed")


def check_codestream(frame: bytes, *, rows: int, columns: int, name: str) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 frame that is not one grey image of the size that the header gives.

    Decoders believe the codestream: one that claims more pixels would take the memory of these.

    Raises:
        ImageError: It claims another size, several components or nothing at all, or ends too early.
    """
    claim = codestream_claim(frame)
    if claim is None:
        raise ImageError(
            f"{name}: damaged compressed DICOM pixel data (no frame header that can be read); copy or export it again"
        )
    if claim != (columns, rows, 1):
        raise ImageError(
            f"{name}: compressed DICOM pixel data of {claim.width_px} x {claim.height_px} pixels and "
            f"{claim.components} components in a file of {columns} x {rows} grey pixels; export it again"
        )
    if frame[:2] == _JPEG_START:
        check_scans(frame, name=name)


def codestream_claim(frame: bytes) -> Claim | None:
    """What the header of a JPEG, JPEG-LS or JPEG 2000 codestream claims; None for anything else.

    Source: ITU-T T.81 B.2.2 (frame header), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ) and I.5 (JP2 boxes).
    """
    try:
        if frame[:4] == _J2K_START:
            return _jpeg_2000_claim(frame)
        if frame[:8] == _JP2_BOX:  # a whole JP2 file; two codestreams would leave open which one is decoded
            return _jpeg_2000_claim(frame[frame.find(_J2K_START) :]) if frame.count(_J2K_START) == 1 else None
        return _jpeg_claim(frame)
    except struct.error:
        return None


def check_run_lengths(frame: bytes, *, segment_bytes: int, name: str) -> None:
    """Refuse an RLE frame whose segments unpack to more than the image has; two bytes can stand for 128.

    Args:
        frame: The compressed frame.
        segment_bytes: Bytes that each segment should give: one for every pixel.
        name: File name for messages.

    Raises:
        ImageError: A segment gives more than that and its padding, or segments overlap.
    """
    if len(frame) < 64:
        return  # the decoder finds it truncated
    count, *offsets = struct.unpack_from("<16L", frame)
    starts = [min(start, len(frame)) for start in offsets[: min(count, 15)]]
    if starts != sorted(starts):  # the same megabytes would be walked through again and again
        raise ImageError(f"{name}: damaged RLE pixel data (its segments overlap); copy or export it again")
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        place, given = start, 0
        while place < end and given <= segment_bytes + _PADDING:
            head = frame[place]
            place += 2 if head > 128 else head + 2 if head < 128 else 1
            # A code that gives nothing counts as one byte: nobody writes many, and megabytes of them cost seconds.
            given += 257 - head if head > 128 else head + 1 if head < 128 else 1
        if given > segment_bytes + _PADDING:
            raise ImageError(f"{name}: RLE pixel data that unpacks to more than the image; copy or export it again")


def ends_early(frame: bytes) -> bool:
    """Whether a JPEG stops before its end marker; decoders would fill up the rest."""
    return frame[:2] == _JPEG_START and not frame.rstrip(b"\0\xff").endswith(_JPEG_END)


def _jpeg_claim(frame: bytes) -> Claim | None:
    place = 2
    for _ in range(MAX_SEGMENTS):  # megabytes of filling, or of empty segments, would take seconds
        if frame[:2] != _JPEG_START or place + 10 > len(frame) or frame[place] != 0xFF:
            break
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker in _FRAME_MARKERS:
            height, width, components = struct.unpack_from(">HHB", frame, place + 5)
            return Claim(width, height, components)
        if marker == _HIERARCHY:
            return None
        place += 1 if marker == _FILL else 2 + length
    return None


def _jpeg_2000_claim(codestream: bytes) -> Claim:
    right, bottom, left, top = struct.unpack_from(">IIII", codestream, 8)
    (components,) = struct.unpack_from(">H", codestream, 40)
    return Claim(right - left, bottom - top, components)
