import contextlib
import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

from xray_chest_detection.core.dicom import to_grey8
from xray_chest_detection.core.images import decode_image, read_image
from xray_chest_detection.errors import ImageError

ROWS, COLUMNS = np.mgrid[:60, :80]
RAMP = (COLUMNS * 2 + ROWS) / 217  # 0 black to 1 white
PERCENTILES = "no usable window: grey scaled by percentiles"


def dataset(bits=12, *, signed=False, values=None, syntax=ExplicitVRLittleEndian, **elements):
    """A computed radiograph; an element given as None is left out."""
    stored = np.rint(RAMP * (2**bits - 1)).astype(np.int64) if values is None else np.asarray(values)
    if signed:
        stored = stored - 2 ** (bits - 1)
    bytes_each = 1 if bits <= 8 else 2
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = syntax
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID = ComputedRadiographyImageStorage
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID = generate_uid()
    defaults = {
        "Modality": "CR",
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * bytes_each,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(signed),
        "PixelData": stored.astype(f"{'i' if signed else 'u'}{bytes_each}").tobytes(),
    }
    for keyword, value in {**defaults, **elements}.items():
        if value is not None:
            setattr(result, keyword, value)
    return result


def file_of(source):
    stream = io.BytesIO()
    source.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def lut(depth, entries, first=0):
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, depth])
    item.add_new(0x00283006, "OW", np.asarray(entries, np.uint16).tobytes())
    return [item]


def assert_shows(pixels, unit, tolerance=1.0):
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - unit * 255).max() <= tolerance


def full_window(bits, *, signed=False):
    return {"WindowCenter": 0 if signed else 2 ** (bits - 1), "WindowWidth": 2**bits}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_every_depth_with_a_window_over_its_whole_range(bits, signed):
    window = full_window(bits, signed=signed)
    assert_shows(to_grey8(dataset(bits, signed=signed, **window)).pixels, RAMP)
    inverted = to_grey8(dataset(bits, signed=signed, PhotometricInterpretation="MONOCHROME1", **window))
    assert_shows(inverted.pixels, 1 - RAMP)
    assert inverted.notes == ("MONOCHROME1 inverted",)


def test_inversion_is_max_minus_x():
    values = np.arange(256).reshape(16, 16).repeat(4, 0).repeat(4, 1)
    pixels = to_grey8(dataset(8, values=values, PhotometricInterpretation="MONOCHROME1")).pixels
    np.testing.assert_array_equal(pixels, 255 - values)


def test_8_bits_without_a_window_are_taken_as_they_are():
    values = (50 + RAMP * 100).astype(np.int64)
    grey = to_grey8(dataset(8, values=values))
    np.testing.assert_array_equal(grey.pixels, values)
    assert grey.notes == ()


@pytest.mark.parametrize(
    ("elements", "black", "white"),
    [
        ({"WindowCenter": 1000, "WindowWidth": 2000}, 0, 4095),
        ({"WindowCenter": [2048, 100], "WindowWidth": [4096, 10]}, 0, 4095),
        ({"WindowCenter": 2048, "WindowWidth": 3000, "VOILUTFunction": "LINEAR_EXACT"}, 0, 4095),
        ({"WindowCenter": 2048, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"}, 0, 4095),
        ({"WindowCenter": 3000, "WindowWidth": 6000, "RescaleSlope": 2, "RescaleIntercept": -1000}, -1000, 7190),
        # pydicom's output range runs backwards here, black being its larger end
        ({"WindowCenter": 2048, "WindowWidth": 4096, "RescaleSlope": -1, "RescaleIntercept": 4095}, 4095, 0),
        ({"VOILUTSequence": lut(12, np.arange(4096)[::-1])}, 0, 4095),
        ({"VOILUTSequence": lut(16, np.arange(4096) * 16)}, 0, 65520),
        ({"VOILUTSequence": lut(16, np.arange(1000), first=2000)}, 0, 999),
        (
            {"ModalityLUTSequence": lut(16, np.arange(4096) ** 2 // 256), "WindowCenter": 32768, "WindowWidth": 65536},
            *(0, 65535),
        ),
    ],
    ids=[
        "linear",
        "first of two",
        "exact",
        "sigmoid",
        "rescaled",
        "negative",
        "lut",
        "16-bit lut",
        "short lut",
        "both",
    ],
)
def test_display_values_are_those_of_pydicom(elements, black, white):
    source = dataset(12, **elements)
    shown = apply_voi_lut(apply_modality_lut(source.pixel_array, source), source).astype(np.float64)
    grey = to_grey8(source)
    assert grey.notes == ()
    assert_shows(grey.pixels, (shown - black) / (white - black), 0.51)


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 2048},
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -50},
        {"WindowCenter": 2048, "WindowWidth": 0.5},
        {"WindowCenter": 2048, "WindowWidth": 1},
        {"WindowCenter": -9000, "WindowWidth": 100},
        {"WindowCenter": 2048, "WindowWidth": ""},
        {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": lut(16, np.full(4096, 7))},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
    ],
)
def test_without_a_usable_window_percentiles_are_used(elements):
    grey = to_grey8(dataset(12, **elements))
    assert grey.notes == (PERCENTILES,)
    assert (grey.pixels.min(), grey.pixels.max()) == (0, 255)
    assert_shows(grey.pixels, RAMP, 20)


def test_padding_does_not_count_for_percentiles():
    values = (2000 + RAMP * 1000).astype(np.int64)
    values[:, :20] = 0
    inside = np.s_[:, 20:]
    without = to_grey8(dataset(12, values=values)).pixels[inside]
    with_padding = to_grey8(dataset(12, values=values, PixelPaddingValue=0)).pixels[inside]
    assert int(without.max()) - int(without.min()) < 100
    assert (with_padding.min(), with_padding.max()) == (0, 255)
    values[:, :10] = 30
    range_of_padding = dataset(12, values=values, PixelPaddingValue=30, PixelPaddingRangeLimit=0)
    assert to_grey8(range_of_padding).pixels[inside].min() == 0


def test_a_constant_image_is_black_and_no_error():
    assert to_grey8(dataset(12, values=np.full((40, 40), 9))).pixels.max() == 0


def test_view_and_laterality_are_kept_and_the_patient_is_not():
    radiograph = decode_image(file_of(dataset(ViewPosition="PA", ImageLaterality="L")), name="a.dcm")
    assert (radiograph.format, radiograph.view, radiograph.laterality) == ("DICOM", "PA", "L")
    assert "Doe" not in repr(radiograph)
    assert "4711" not in repr(radiograph)
    assert decode_image(file_of(dataset(Laterality="R")), name="a").laterality == "R"


def test_free_text_in_place_of_a_code_is_withheld():
    source = dataset()
    source.add_new(0x00185101, "LO", "Jane Doe (born 1950)")
    source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert decode_image(file_of(source), name="a").view is None


def test_other_modalities_are_noted():
    assert "modality CT is not radiography" in to_grey8(dataset(Modality="CT")).notes


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_are_found(implicit):
    source = dataset(**full_window(12))
    del source.file_meta
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, source, implicit_vr=implicit, little_endian=True)
    radiograph = decode_image(stream.getvalue(), name="x")
    assert radiograph.format == "DICOM"
    assert_shows(radiograph.pixels, RAMP)


def jpeg_claiming(width, height):
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00" + b"\0" * 40


def encapsulated(frame, syntax):
    source = dataset(8, syntax=syntax)
    source.PixelData = encapsulate([frame])
    source["PixelData"].is_undefined_length = True
    return source


WHOLE = file_of(dataset())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:300], r"^x: damaged or truncated DICOM file; copy or export it again$"),
        (WHOLE[:-2], r"^x: damaged DICOM pixel data \(.*less than expected.*\); copy or export it again$"),
        (b"\0" * 128 + b"DICM", r"^x: damaged or truncated DICOM file"),
        (b"\x08\0" + b"junk" * 50, r"^x: damaged or truncated DICOM file"),
        (file_of(dataset(PixelData=None)), r"^x: DICOM file without pixel data; export the image itself, not a report"),
        (file_of(dataset(NumberOfFrames=3)), r"^x: DICOM file with 3 frames; export one frame as a file of its own$"),
        (
            file_of(dataset(8, PhotometricInterpretation="RGB", SamplesPerPixel=3, PlanarConfiguration=0)),
            r"^x: colour DICOM \(RGB\) is not a radiograph; export the grey original$",
        ),
        (file_of(dataset(Rows=20_000, Columns=20_000)), r"^x: 20000 x 20000 pixels in DICOM are more than the 32 mill"),
        (file_of(dataset(Rows=None)), r"^x: damaged DICOM header \(.*Rows.*\); copy or export it again$"),
        (file_of(dataset(BitsStored=None)), r"^x: damaged DICOM pixel data \(.*Bits Stored.*\)"),
        (file_of(dataset(syntax=DeflatedExplicitVRLittleEndian)), r"^x: deflated DICOM is not read; rewrite it uncomp"),
        (file_of(encapsulated(b"\x12" * 99, RLELossless)), r"^x: DICOM compressed as RLE Lossless cannot be decoded"),
        (
            file_of(encapsulated(jpeg_claiming(60_000, 60_000), JPEGBaseline8Bit)),
            r"^x: compressed DICOM pixel data of 60000 x 60000 pixels and 1 components in a file of 80 x 60",
        ),
        (
            file_of(encapsulated(jpeg_claiming(80, 60), JPEGBaseline8Bit)),
            r"^x: DICOM compressed as JPEG Baseline \(Process 1\) ends too early; copy or export it again$",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(content, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode_image(content, name="x")
    assert "\n" not in str(caught.value)


def test_damaged_headers_end_in_an_image_error_or_an_image():
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(WHOLE)
        for place in rng.integers(0, 700, 4):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert decode_image(bytes(damaged), name="x").pixels.ndim == 2


@pytest.mark.pack
class TestRealFiles:
    @pytest.mark.parametrize(
        ("file", "size", "view", "mean", "notes"),
        [
            ("CR_MONOCHROME1_jpeg.dcm", (1024, 1024), "PA", 94.6, ("MONOCHROME1 inverted",)),
            ("CR_MONOCHROME2_jpeg.dcm", (1024, 1024), "PA", 160.4, ()),
            ("JLSN_RG1_JLSN.dcm", (1955, 1841), "PA", 192.2, ("MONOCHROME1 inverted",)),
            ("NIH_DX.dcm", (1024, 1024), None, 180.1, ()),
            ("RLE_RG3_RLE.dcm", (1760, 1760), "AP", 177.5, ("MONOCHROME1 inverted",)),
        ],
    )
    def test_radiographs_of_the_pack(self, pack, file, size, view, mean, notes):
        radiograph = read_image(pack / "dicom" / file)
        assert radiograph.pixels.shape == size
        assert (radiograph.view, radiograph.notes) == (view, notes)
        assert radiograph.pixels.mean() == pytest.approx(mean, abs=0.2)

    def test_the_same_pixels_tagged_both_ways_are_negatives(self, pack):
        first = read_image(pack / "dicom" / "CR_MONOCHROME1_jpeg.dcm").pixels
        second = read_image(pack / "dicom" / "CR_MONOCHROME2_jpeg.dcm").pixels
        np.testing.assert_array_equal(first, 255 - second)

    def test_ten_bit_jpeg_is_refused_in_one_line(self, pack):
        with pytest.raises(
            ImageError, match=r"^JPLY_RG3_JPLY\.dcm: DICOM compressed as JPEG Extended .* --raw$"
        ) as caught:
            read_image(pack / "dicom" / "JPLY_RG3_JPLY.dcm")
        assert "\n" not in str(caught.value)

    def test_lungs_are_darker_than_the_heart(self, pack):
        for file in ("CR_MONOCHROME2_jpeg.dcm", "JLSN_RG1_JLSN.dcm", "NIH_DX.dcm"):
            pixels = read_image(pack / "dicom" / file).pixels
            height, width = pixels.shape
            lung = pixels[int(0.3 * height) : int(0.4 * height), int(0.25 * width) : int(0.35 * width)].mean()
            spine = pixels[int(0.6 * height) : int(0.7 * height), int(0.47 * width) : int(0.53 * width)].mean()
            assert lung + 30 < spine


@pytest.fixture(scope="module")
def nema():
    """Folder of the package pydicom-data."""
    spec = importlib.util.find_spec("data_store")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package pydicom-data is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


@pytest.mark.parametrize(("file", "high"), [("RG1_UNCR.dcm", 32767), ("RG1_UNCI.dcm", 32767), ("RG3_UNCR.dcm", 1023)])
def test_nema_radiographs_equal_pydicoms_windowing(nema, file, high):
    source = pydicom.dcmread(nema / file)
    shown = apply_voi_lut(apply_modality_lut(source.pixel_array, source), source)
    radiograph = read_image(nema / file)
    assert radiograph.notes == ("MONOCHROME1 inverted",)
    assert_shows(radiograph.pixels, (high - shown) / high, 0.51)


@pytest.mark.parametrize("file", ["RG1_J2KR.dcm", "RG3_J2KR.dcm"])
def test_lossless_jpeg_2000_equals_the_uncompressed_file(nema, file):
    uncompressed = read_image(nema / file.replace("J2KR", "UNCR")).pixels
    np.testing.assert_array_equal(read_image(nema / file).pixels, uncompressed)
