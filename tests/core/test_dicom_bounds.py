import io
import struct
import time

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from xray_chest_detection.core.dicom_bounds import Claim, codestream_claim
from xray_chest_detection.core.images import decode_image
from xray_chest_detection.errors import ImageError

GREY = np.mgrid[:60, :80].sum(0).astype(np.uint8)
MIB = 1024 * 1024
ITEM, END_ITEM, END = (struct.pack("<HHI", 0xFFFE, tag, 0) for tag in (0xE000, 0xE00D, 0xE0DD))


def film(**elements):
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID = ComputedRadiographyImageStorage
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID = "1.2.3"
    result.Modality, result.PatientName = "CR", "Doe^Jane"
    result.Rows, result.Columns = GREY.shape
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.BitsAllocated, result.BitsStored, result.HighBit, result.PixelRepresentation = 8, 8, 7, 0
    result.PixelData = GREY.tobytes()
    for keyword, value in elements.items():
        setattr(result, keyword, value)
    return result


def file_of(source):
    stream = io.BytesIO()
    source.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def compressed(frames, syntax, **elements):
    source = film(**elements)
    source.file_meta.TransferSyntaxUID = syntax
    source.PixelData = encapsulate(frames, fragments_per_frame=1)
    source["PixelData"].is_undefined_length = True
    return file_of(source)


def with_element(tag, vr, value):
    """A film with an element put before the others of its group; long VRs only."""
    whole = file_of(film())
    group, number = divmod(tag, 1 << 16)
    place = whole.find(struct.pack("<HH", 0x28, 0x02))
    length = 0xFFFFFFFF if value.endswith(END) else len(value)
    return whole[:place] + struct.pack("<HH2s2xI", group, number, vr, length) + value + whole[place:]


def jpeg(**options):
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "JPEG", **options)
    return stream.getvalue()


def encoded_by_pydicom(syntax):
    source = film()
    source.compress(syntax, encoding_plugin="pyjpegls" if syntax == JPEGLSLossless else "pylibjpeg")
    return file_of(source)


def claiming(content, start, layout, *values):
    """The file with the size in its codestream replaced."""
    place = content.rindex(start)
    body = bytearray(content)
    struct.pack_into(layout, body, place + len(start), *values)
    return bytes(body)


def run_lengths(count):
    """An RLE frame of one segment: runs of 128 zeros."""
    return struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * count


SCANS = jpeg().replace(b"\xff\xda", (b"\xff\xda" + struct.pack(">H", 8) + b"\1\1\0\0\x3f\0") * 300 + b"\xff\xda", 1)
DIFFERENT = r"compressed DICOM pixel data of 60000 x 60000 pixels and 1 components in a file of 80 x 60 grey pixels"
NESTED = with_element(0x00283010, b"SQ", (ITEM[:4] + b"\xff" * 4 + b"\x28\0\x10\x30SQ\0\0" + b"\xff" * 4) * 2_000 + END)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            with_element(0x00281111, b"SQ", (ITEM[:4] + b"\xff" * 4 + END_ITEM) * 150_000 + END),
            r"^x: DICOM file with too many elements; export the image alone$",
        ),
        (
            with_element(0x00281050, b"UN", b"1\\" * 20 * MIB),
            r"^x: DICOM header with a value of 41,943,040 bytes; export the image alone$",
        ),
        (with_element(0x00080005, b"UN", b"1\\" * MIB), r"^x: DICOM header with a value of 2,097,152 bytes"),
        (with_element(0x00283010, b"SQ", ITEM * 100_000), r"^x: DICOM header with a value of 800,000 bytes"),
        (NESTED, r"^x: damaged DICOM file \(.*recursion.*\); copy or export it again$"),
        (compressed([b"\0" * 8] * 5_000, RLELossless), r"^x: DICOM pixel data in more than 4,096 pieces; rewrite it"),
        (compressed([run_lengths(8 * MIB)], RLELossless), r"^x: RLE pixel data that unpacks to more than the image"),
        (
            compressed([struct.pack("<16L", 1, 64, *[0] * 14) + b"\x80" * 16 * MIB], RLELossless),
            r"^x: RLE pixel data that unpacks to more than the image",
        ),
        (
            compressed([struct.pack("<16L", 15, *[64, 4 * MIB] * 7, 64) + b"\x80" * 4 * MIB], RLELossless),
            r"^x: damaged RLE pixel data \(its segments overlap\); copy or export it again$",
        ),
        (
            claiming(compressed([jpeg()], JPEGBaseline8Bit), b"\xff\xc0\0\x0b\x08", ">HH", 60_000, 60_000),
            DIFFERENT,
        ),
        (claiming(encoded_by_pydicom(JPEG2000Lossless), b"\xff\x4f\xff\x51", ">4xII", 60_000, 60_000), DIFFERENT),
        (claiming(encoded_by_pydicom(JPEGLSLossless), b"\xff\xf7\0\x0b\x08", ">HH", 60_000, 60_000), DIFFERENT),
        (compressed([SCANS], JPEGBaseline8Bit), r"^x: more than 200 scans in a JPEG"),
        (compressed([b"\xff\xd8\xff\xde\0\x08" + jpeg()[2:]], JPEGBaseline8Bit), r"no frame header that can be read"),
        (compressed([b"\xff\xd8" + b"\xff" * 24 * MIB], JPEGBaseline8Bit), r"no frame header that can be read"),
        (
            compressed([jpeg()], JPEGBaseline8Bit, Rows=5_000, Columns=5_000),
            "5000 x 5000 pixels in DICOM are more than",
        ),
    ],
    ids=range(16),
)
def test_a_small_file_that_unpacks_to_much_is_refused_at_once(content, message):
    started = time.perf_counter()
    with pytest.raises(ImageError, match=message) as caught:
        decode_image(content, name="x")
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=["RLE", "J2K", "JLS"])
def test_what_pydicom_writes_passes(syntax):
    content = encoded_by_pydicom(syntax) if syntax != RLELossless else None
    if content is None:
        source = film()
        source.compress(RLELossless, encoding_plugin="pydicom")
        content = file_of(source)
    np.testing.assert_array_equal(decode_image(content, name="x").pixels, GREY)


def test_long_elements_that_are_not_needed_are_not_read():
    content = with_element(0x00091001, b"OB", bytes(4 * MIB))
    np.testing.assert_array_equal(decode_image(content, name="x").pixels, GREY)


def test_fill_bytes_and_hidden_headers_do_not_fool_the_reader_of_sizes():
    whole = jpeg()
    start = whole.find(b"\xff\xc0")
    assert codestream_claim(whole) == Claim(80, 60, 1)
    assert codestream_claim(whole[:start] + b"\xff\xff" + whole[start:]) == Claim(80, 60, 1)
    comment = b"\xff\xfe\0\x0d\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\0"
    assert codestream_claim(whole[:2] + comment + whole[2:]) == Claim(80, 60, 1)
    assert codestream_claim(b"\xff\xd8\xff\xe0") is None
    assert codestream_claim(b"\0\0\0\x0cjP  " + b"\xff\x4f\xff\x51" * 2) is None
