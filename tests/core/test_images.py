import contextlib
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from xray_chest_detection.core.images import decode_image, read_image
from xray_chest_detection.errors import ImageError

ROWS, COLUMNS = np.mgrid[:60, :80]
GREY = (COLUMNS * 2 + ROWS).astype(np.uint8)  # brighter to the right and to the bottom, 0 to 217
PICTURE = Image.fromarray(GREY)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width, height):
    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def assert_close(pixels, expected, tolerance):
    assert pixels.shape == expected.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("JPEG", {"quality": 95}, 4),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("BMP", {}, 0),
    ],
)
def test_the_content_decides_the_format(kind, options, tolerance):
    radiograph = decode_image(encoded(PICTURE, kind, **options), name="holiday.txt")
    assert (radiograph.format, radiograph.name, radiograph.notes) == (kind, "holiday.txt", ())
    assert (radiograph.width_px, radiograph.height_px) == (80, 60)
    assert (radiograph.view, radiograph.laterality) == (None, None)
    assert_close(radiograph.pixels, GREY, tolerance)


ALPHA = Image.fromarray(np.where(COLUMNS < 40, 0, 255).astype(np.uint8))
HALF_BLACK = np.where(COLUMNS < 40, 0, GREY).astype(np.uint8)
BLACK = Image.new("L", PICTURE.size, 0)
INVERTED = ImageOps.invert(PICTURE)


@pytest.mark.parametrize(
    ("image", "kind", "expected", "notes"),
    [
        (PICTURE.convert("P"), "PNG", GREY, ()),
        (Image.merge("RGB", [PICTURE] * 3), "PNG", GREY, ()),
        (Image.merge("LA", [PICTURE, ALPHA]), "PNG", HALF_BLACK, ("transparent parts set to black",)),
        (Image.merge("RGBA", [PICTURE] * 3 + [ALPHA]), "PNG", HALF_BLACK, ("transparent parts set to black",)),
        (Image.merge("CMYK", [BLACK] * 3 + [INVERTED]), "TIFF", GREY, ()),
        (Image.merge("CMYK", [BLACK] * 3 + [INVERTED]), "JPEG", GREY, ()),
        (Image.merge("RGB", [PICTURE, BLACK, BLACK]), "PNG", GREY * 0.299, ("colour converted to grey",)),
        (PICTURE.point(lambda value: 255 * (value > 99)).convert("1"), "PNG", 255 * (GREY > 99), ()),
    ],
    ids=["palette", "rgb", "la", "rgba", "cmyk tiff", "cmyk jpeg of adobe", "colour", "one bit"],
)
def test_every_mode_becomes_grey(image, kind, expected, notes):
    radiograph = decode_image(encoded(image, kind, **({"quality": 95} if kind == "JPEG" else {})), name="x")
    assert radiograph.notes == notes
    assert_close(radiograph.pixels, np.asarray(expected), 6 if kind == "JPEG" else 1)


@pytest.mark.parametrize("factor", [16, 257])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_12_and_16_bit_images_look_alike(kind, factor):
    noisy = np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint16)
    radiograph = decode_image(encoded(Image.fromarray(noisy * np.uint16(factor)), kind), name="x")
    assert radiograph.notes == ("16-bit grey scaled to 8 bits",)
    assert_close(radiograph.pixels, noisy, 2)


def test_one_burnt_in_marker_does_not_darken_a_deep_image():
    deep = GREY.astype(np.uint16) * 4
    deep[0, 0] = 65535
    pixels = decode_image(encoded(Image.fromarray(deep), "PNG"), name="x").pixels
    assert pixels.mean() == pytest.approx(GREY.mean() / 217 * 255, rel=0.05)


def test_8_bit_values_in_a_16_bit_file_are_kept():
    radiograph = decode_image(encoded(Image.fromarray(GREY.astype(np.uint16)), "PNG"), name="x")
    assert radiograph.notes == ("8-bit values stored in a deeper file",)
    assert_close(radiograph.pixels, GREY, 0)


def test_floating_point_tiff_with_gaps():
    values = GREY.astype(np.float32) / 217
    values[5, 5] = np.nan
    radiograph = decode_image(encoded(Image.fromarray(values), "TIFF"), name="x")
    assert radiograph.pixels[5, 5] == 0
    assert radiograph.pixels.max() == 255
    assert radiograph.notes == ("floating-point grey scaled to 8 bits",)


@pytest.mark.parametrize("depth", [8, 16])
def test_white_is_zero_tiff_is_inverted(depth):
    stored = GREY if depth == 8 else GREY.astype(np.uint16) * 257
    content = bytearray(encoded(Image.fromarray(stored), "TIFF"))
    entry = struct.pack("<HHIH", 262, 3, 1, 1)
    content[content.find(entry) + 8] = 0
    pixels = decode_image(bytes(content), name="x").pixels
    assert pixels[0, 0] == 255
    assert pixels[-1, -1] < 40


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_applied_as_pillow_does(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(PICTURE, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    radiograph = decode_image(content, name="x")
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert radiograph.pixels.flags.c_contiguous


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "MPO", "WEBP"])
def test_the_first_of_several_pictures_is_taken(kind):
    content = encoded(PICTURE, kind, save_all=True, append_images=[INVERTED])
    radiograph = decode_image(content, name="x")
    assert radiograph.notes == ("first of several pictures used",)
    assert_close(radiograph.pixels, GREY, 8)


NOISE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)), "PNG")
PNG, JPEG = encoded(PICTURE, "PNG"), encoded(PICTURE, "JPEG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^x: the file is empty \(0 bytes\); choose a PNG, JPEG, TIFF, WebP, BMP or DICOM image$"),
        (b"Dear Sir or Madam, " * 30, r"^x: not an image that can be read; choose a PNG, JPEG, .* or DICOM file$"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", r"^x: not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", r"^x: not an image that can be read"),
        (
            NOISE[: len(NOISE) * 4 // 5],
            r"^x: damaged or truncated image \(.*truncated.*\); copy or export the file again$",
        ),
        (PNG[:30], r"^x: damaged or truncated image.*; copy or export the file again$"),
        (JPEG[: len(JPEG) * 4 // 5], r"^x: damaged or truncated image \(.*truncated.*\)"),
        (JPEG[:-3], r"^x: damaged or truncated image"),
        (JPEG[:30], r"^x: damaged or truncated image"),
        (encoded(PICTURE, "TIFF", compression="tiff_lzw")[:100], r"^x: damaged or truncated image"),
        (encoded(PICTURE, "GIF"), r"^x: GIF images are not read; save it as PNG$"),
        (encoded(PICTURE, "JPEG2000"), r"^x: JPEG 2000 images are not read; save it as PNG$"),
        (
            encoded(PICTURE.convert("1"), "TIFF", compression="group4"),
            r"^x: TIFF images packed as group4 are not read; save it as PNG$",
        ),
        (encoded(PICTURE, "WEBP")[:-9], r"^x: damaged or truncated image"),
        (encoded(PICTURE, "BMP")[:-9], r"^x: damaged or truncated image"),
        (encoded(Image.new("L", (1, 1)), "PNG"), r"^x: 1 x 1 pixels are too few; .* at least 32 pixels a side$"),
        (encoded(Image.new("L", (900, 31)), "PNG"), r"^x: 900 x 31 pixels are too few"),
        (png_header(9_000, 9_000), r"^x: 9000 x 9000 pixels are more than the 64 million allowed; make the image"),
        (png_header(20_000, 20_000), r"^x: 400 million pixels are more than the 64 million allowed; make the image"),
    ],
)
def test_what_cannot_be_read_is_one_line(content, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode_image(content, name="x")
    assert "\n" not in str(caught.value)


def test_damaged_files_end_in_an_image_error_or_an_image():
    rng = np.random.default_rng(0)
    samples = [encoded(PICTURE, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP")]
    for content in samples * 60:
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), 4):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(ImageError):
            assert decode_image(bytes(damaged), name="x").pixels.ndim == 2


def test_the_pixel_limit_is_the_callers():
    assert decode_image(PNG, name="x", max_pixels=4800).width_px == 80
    with pytest.raises(ImageError, match=r"80 x 60 pixels are more than the 0\.004799 million"):
        decode_image(PNG, name="x", max_pixels=4799)


def test_a_file_is_named_without_its_folder_and_a_missing_one_with_it(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    assert read_image(tmp_path / "a.png").name == "a.png"
    assert read_image(tmp_path / "a.png", name="sub/a.png").name == "sub/a.png"
    with pytest.raises(ImageError, match=r"b\.png: cannot be read \(No such file or directory\)"):
        read_image(tmp_path / "b.png")
    with pytest.raises(ImageError, match=r"cannot be read \(Is a directory\)"):
        read_image(tmp_path)


def test_pydicom_is_not_imported_for_other_formats():
    code = (
        "import io, sys; from PIL import Image; from xray_chest_detection.core.images import decode_image;"
        "s = io.BytesIO(); Image.new('L', (40, 40)).save(s, 'PNG'); decode_image(s.getvalue(), name='x');"
        "assert 'pydicom' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
