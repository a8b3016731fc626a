"""Films of every kind a server may be sent, and ways to damage them."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

ROWS, COLUMNS = np.mgrid[:60, :80]
GREY = (COLUMNS * 2 + ROWS).astype(np.uint8)
NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_SHORTEST = 32
HEAD = 200  # bytes in which most formats say what follows


def seeds() -> dict[str, list[bytes]]:
    """Good films by kind."""
    grey, deep = Image.fromarray(GREY), Image.fromarray(GREY.astype(np.uint16) * 257)
    colour = Image.merge("RGB", [grey] * 3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a film"
    packed = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "jpeg", "zstd", "lzma")
    return {
        "PNG": [
            *(
                _saved(grey, "PNG", exif=exif, icc_profile=bytes(200)),
                _saved(deep, "PNG"),
                _saved(grey, "PNG", **_two()),
            ),
            *(_saved(grey.convert(mode), "PNG") for mode in ("1", "LA", "P", "RGBA")),
        ],
        "JPEG": [
            *(_saved(grey, "JPEG", exif=exif), _saved(colour, "JPEG", progressive=True, icc_profile=bytes(200))),
            *(_saved(colour.convert("CMYK"), "JPEG"), _saved(grey, "MPO", **_two())),
        ],
        "TIFF": [
            *(_saved(grey, "TIFF", compression=name) for name in packed),
            *(_saved(deep, "TIFF", compression="tiff_lzw", exif=exif), _saved(grey, "TIFF", **_two())),
            *(_saved(grey.convert("1"), "TIFF"), _saved(grey.convert("F"), "TIFF")),
        ],
        "WEBP": [
            *(_saved(grey, "WEBP", exif=exif), _saved(grey, "WEBP", lossless=True), _saved(grey, "WEBP", **_two())),
            _saved(colour.convert("RGBA"), "WEBP", icc_profile=bytes(200)),
        ],
        "BMP": [_saved(grey, "BMP"), _saved(colour, "BMP"), _saved(grey.convert("1"), "BMP")],
    } | _dicom_seeds()


def damaged(film: bytes, other: bytes, rng: random.Random) -> bytes:
    """A film with bits flipped, bytes or lengths replaced, parts swapped, repeated or lost, or spliced with another."""
    body = bytearray(film)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice((_flip, _replace, _resize, _swap, _repeat, _lose, _cut, _splice))(body, other, rng)
        if len(body) < _SHORTEST:
            break
    if body.startswith(b"\x89PNG") and rng.random() < 0.7:
        return with_right_checksums(bytes(body))
    return bytes(body)


def with_right_checksums(png: bytes) -> bytes:
    """A PNG that Pillow does not refuse for its checksums alone."""
    result, place = bytearray(png[:8]), 8
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4], "big")
        if end + 4 > len(png):
            break
        result += png[place:end] + struct.pack(">I", zlib.crc32(png[place + 4 : end]))
        place = end + 4
    return bytes(result + png[place:])


def _two() -> dict[str, object]:
    return {"save_all": True, "append_images": [Image.fromarray(GREY).rotate(9)]}


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, kind, **options)  # the options of one format stay on an image
    return stream.getvalue()


def _dicom_seeds() -> dict[str, list[bytes]]:
    picture = Image.fromarray(GREY)
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
    return {
        "DICOM": [*(_dicom(syntax, bits=12) for syntax in plain), _dicom(ExplicitVRLittleEndian, bits=8)],
        "DICOM RLE": [_dicom(RLELossless, bits=bits) for bits in (8, 12)],
        "DICOM JPEG": [
            _dicom(JPEGBaseline8Bit, frame=_saved(picture, "JPEG", progressive=progressive))
            for progressive in (False, True)
        ],
        "DICOM JPEG-LS": [
            *(_dicom(JPEGLSLossless, bits=bits) for bits in (8, 12)),
            _dicom(JPEGLSNearLossless, bits=12, jls_error=2),
        ],
        "DICOM JPEG 2000": [_dicom(JPEG2000Lossless, bits=bits) for bits in (8, 12)],
    }


def _dicom(syntax: str, *, bits: int = 8, frame: bytes | None = None, **options: int) -> bytes:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax if syntax.is_encapsulated is False else ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID = ComputedRadiographyImageStorage
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID = "1.2.3"
    film.Modality, film.ViewPosition, film.PatientName = "CR", "PA", "Doe^Jane"
    film.Rows, film.Columns = GREY.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME1"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = (
        8 if bits == 8 else 16,
        bits,
        bits - 1,
        0,
    )
    film.WindowCenter, film.WindowWidth, film.RescaleSlope, film.RescaleIntercept = 2 ** (bits - 1), 2**bits, 1, 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    film.PixelData = (GREY.astype(np.uint16) << (bits - 8)).astype("u1" if bits == 8 else f"{order}u2").tobytes()
    if frame is not None:
        film.file_meta.TransferSyntaxUID = syntax
        film.PixelData = encapsulate([frame])
        film["PixelData"].is_undefined_length = True
    elif syntax.is_encapsulated:
        film.compress(syntax, **options)
    stream = io.BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _place(body: bytearray, rng: random.Random) -> int:
    return rng.randrange(min(len(body), HEAD) if rng.random() < 0.4 else len(body))


def _flip(body: bytearray, _: bytes, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        body[_place(body, rng)] ^= 1 << rng.randrange(8)


def _replace(body: bytearray, _: bytes, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 6)):
        body[_place(body, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _resize(body: bytearray, _: bytes, rng: random.Random) -> None:
    """Put a striking number where a length may stand."""
    layout = rng.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(layout)
    place = min(_place(body, rng), len(body) - size)
    struct.pack_into(layout, body, place, rng.choice((*NUMBERS, len(body))) & (256**size - 1))


def _swap(body: bytearray, _: bytes, rng: random.Random) -> None:
    length = rng.randint(1, min(64, len(body) // 2))
    first, second = sorted((rng.randrange(len(body) - length), rng.randrange(len(body) - length)))
    body[first : first + length], body[second : second + length] = (
        body[second : second + length],
        body[first : first + length],
    )


def _repeat(body: bytearray, _: bytes, rng: random.Random) -> None:
    place, length = _place(body, rng), rng.randint(1, 200)
    body[place:place] = body[place : place + length] * rng.randint(1, 4)


def _lose(body: bytearray, _: bytes, rng: random.Random) -> None:
    place = _place(body, rng)
    del body[place : place + rng.randint(1, 100)]


def _cut(body: bytearray, _: bytes, rng: random.Random) -> None:
    del body[rng.randrange(_SHORTEST // 2, len(body)) :]


def _splice(body: bytearray, other: bytes, rng: random.Random) -> None:
    body[rng.randrange(len(body)) :] = other[rng.randrange(len(other)) :]
