import contextlib
import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.core.images import decode_image
from xray_chest_detection.errors import ImageError

PICTURE = Image.fromarray((np.mgrid[:60, :80].sum(0)).astype(np.uint8))
EXIF = b"Exif\0\0"
MIB = 1024 * 1024


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks):
    """A picture with chunks after its header."""
    whole = encoded(PICTURE, "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def jpeg_with(segments):
    whole = encoded(PICTURE, "JPEG")
    return whole[:2] + segments + whole[2:]


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def overlapping_tags(size, *, big=False, tags=1000):
    """A TIFF directory whose every tag has the same `size` bytes as its value."""
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) if big else b"II*\0" + struct.pack("<I", 8)
    count, entry, offset = ("<Q", "<HHQQ", 8 + 8) if big else ("<H", "<HHII", 8)
    first = offset + struct.calcsize(count) + tags * struct.calcsize(entry) + 8
    entries = b"".join(struct.pack(entry, 40_000 + tag, 7, size, first) for tag in range(tags))
    return head + struct.pack(count, tags) + entries + bytes(8) + bytes(size)


def tiff_with(tag, kind, count):
    """A picture with a tag of many values at the end of its file."""
    whole = bytearray(encoded(PICTURE, "TIFF", tiffinfo={tag: 1}))
    start = struct.unpack_from("<I", whole, 4)[0] + 2
    while struct.unpack_from("<H", whole, start)[0] != tag:
        start += 12
    struct.pack_into("<HHII", whole, start, tag, kind, count, len(whole))
    return bytes(whole) + bytes(count * 2)


def tiled_tiff(side):
    """A film of 64 x 64 pixels that says it is stored in one tile of `side` pixels a side."""
    entries = [(256, 64), (257, 64), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side)]
    data = zlib.compress(bytes(MIB), 9)
    entries += [(324, 8 + 2 + 10 * 12 + 4), (325, len(data))]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + data


def webp_canvas(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    return b"RIFF" + struct.pack("<I", len(body)) + body


def run_length_bmp():
    header = struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + 40 + 1024
    return b"BM" + struct.pack("<IHHI", start + 99, 0, 0, start) + header + bytes(1024) + bytes(99)


SCANS = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") * 300
BOMBS = {
    "png text": (png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(30 * MIB), 9))), "damaged or truncated image"),
    "png unicode text": (
        png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(30 * MIB), 9))),
        "damaged or truncated image",
    ),
    "png texts": (
        png_with(*[chunk(b"zTXt", b"a%d\0\0" % i + zlib.compress(bytes(MIB - 9), 9)) for i in range(99)]),
        "damaged or truncated image",
    ),
    "png chunks": (png_with(chunk(b"aaaa", b"") * 70_000), "more than 65,536 chunks in a PNG"),
    "png exif": (png_with(chunk(b"eXIf", overlapping_tags(MIB))), r"values of its TIFF or EXIF tags overlap; save"),
    "jpeg scans": (jpeg_with(SCANS), "more than 200 scans in a JPEG"),
    "jpeg segments": (jpeg_with(segment(0xE5, b"") * 6_000), "more than 5,000 segments in a JPEG"),
    "jpeg padding": (jpeg_with(b"\xff" * 6_000), "more than 5,000 segments in a JPEG"),
    "jpeg exif": (
        jpeg_with(
            b"".join(
                segment(0xE1, EXIF + part)
                for blob in [overlapping_tags(MIB)]
                for part in (blob[i : i + 65_000] for i in range(0, len(blob), 65_000))
            )
        ),
        r"values of its TIFF or EXIF tags overlap; save",
    ),
    "tiff tags": (overlapping_tags(8 * MIB), "values of its TIFF or EXIF tags overlap; save"),
    "tiff tags, big": (overlapping_tags(8 * MIB, big=True), "values of its TIFF or EXIF tags overlap; save"),
    "tiff many tags": (overlapping_tags(1, tags=5_000), "more than 4,096 tags in a TIFF"),
    "tiff values": (tiff_with(270, 3, 4 * MIB), "more than 65,536 values of one TIFF"),
    "tiff tile": (tiled_tiff(46_000), "TIFF tiles of 46000 x 46000 pixels are too large"),
    "webp canvas": (webp_canvas(60_000, 60_000), "60000 x 60000 pixels are more than the 64 million allowed"),
    "bmp run lengths": (run_length_bmp(), "run-length BMP images are not read; save it as PNG"),
    "raw exif profile": (
        png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n9\n" + b"45" * 400_000))),
        None,
    ),
    "png colour profile": (
        png_with(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(30 * MIB), 9))),
        "damaged or truncated",
    ),
    "tiff pages": (encoded(PICTURE, "TIFF", save_all=True, append_images=[PICTURE] * 500), None),
    "webp pictures": (encoded(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(5)] * 99), None),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_much_is_refused_at_once_or_harmless(name):
    content, message = BOMBS[name]
    started = time.perf_counter()
    with contextlib.nullcontext() if message is None else pytest.raises(ImageError, match=message) as caught:
        assert decode_image(content, name="x").pixels.shape == (60, 80)
    assert message is None or "\n" not in str(caught.value)
    assert time.perf_counter() - started < 3


def test_what_real_files_have_passes():
    rational = encoded(PICTURE, "TIFF", dpi=(72, 72), compression="tiff_lzw", tiffinfo={270: "chest " * 5_000})
    progressive = encoded(PICTURE.convert("RGB"), "JPEG", progressive=True, icc_profile=bytes(300_000))
    for content in (rational, progressive, png_with(*[chunk(b"tEXt", b"key\0value")] * 500)):
        assert decode_image(content, name="x").pixels.shape == (60, 80)


PEAKS = """
import io, pathlib, sys
import numpy as np
from PIL import Image
from xray_chest_detection.core import dicom, images
sys.path.insert(0, sys.argv[1])

def highest():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024

def peak(content):
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = highest()
    try:
        images.decode_image(content, name="x")
    except images.ImageError:
        pass
    return highest() - before
"""


@pytest.mark.slow  # a fresh process, and a hundred megabytes to unpack
def test_no_bomb_takes_more_memory_than_a_few_times_its_size():
    code = PEAKS + (
        "import test_image_bounds as these\n"
        "for name, (content, _) in these.BOMBS.items(): print(name, peak(content) - 4 * len(content), sep=':')\n"
    )
    # Pillow itself unpacks up to 64 MiB of text before it refuses a PNG.
    assert {name: extra for name, extra in measured(code).items() if extra > 66 * MIB} == {}


@pytest.mark.slow
def test_a_pixel_costs_no_more_memory_than_the_limit_reckons():
    code = PEAKS + (
        "grey = np.tile(np.arange(200, dtype=np.uint8), (2000, 10))\n"
        "picture, deep = Image.fromarray(grey), Image.fromarray(grey.astype(np.uint16) * 200)\n"
        "films = {'L PNG': picture, 'I;16 PNG': deep, 'I;16 TIFF': deep, 'F TIFF': picture.convert('F')}\n"
        "films |= {f'{mode} PNG': picture.convert(mode) for mode in ('P', 'LA', 'RGB', 'RGBA')}\n"
        "films |= {'CMYK JPEG': picture.convert('CMYK'), 'RGB WEBP': picture.convert('RGB')}\n"
        "for name, film in films.items():\n"
        "    stream = io.BytesIO()\n"
        "    film.save(stream, name.split()[1], **({'lossless': True, 'method': 0} if 'WEBP' in name else {}))\n"
        "    mode, kind = name.split()\n"
        "    cost = images._WEBP_COST if kind == 'WEBP' else images._COSTS.get(mode, images._OTHER_COST)\n"
        "    print(name, (peak(stream.getvalue()) - 12e6) / grey.size / cost, sep=':')\n"  # blocks of rows on their way
    )
    found = measured(code)
    assert len(found) == 10
    # 4 bytes are reckoned; a 16-bit PNG takes 4.3 or 5.2, as malloc keeps what the film before it used or not
    assert {name: cost for name, cost in found.items() if cost > 5.5} == {}


def measured(code):
    """The numbers that a fresh process prints as `name:number`."""
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True, timeout=120)
    return {name: float(value) for name, _, value in (line.partition(":") for line in done.stdout.splitlines())}
