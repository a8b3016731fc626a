import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.data.image_files import read_size_px
from xray_chest_detection.errors import ImageError


def png(*, turned=None, late=False):
    """A PNG of 60 x 40 pixels with an orientation, before or after its pixels."""
    exif = Image.Exif()
    if turned is not None:
        exif[0x0112] = turned
    buffer = io.BytesIO()
    grey = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    Image.fromarray(grey).save(buffer, "PNG", exif=b"" if late else exif)
    content = buffer.getvalue()
    if not late:
        return content
    data = b"eXIf" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    return content[:-12] + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)) + content[-12:]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("turned", "size"), [(None, (60, 40)), (1, (60, 40)), (3, (60, 40)), (6, (40, 60))])
def test_a_turned_png_has_the_size_it_is_shown_with(tmp_path, turned, size, late):
    path = tmp_path / "a.png"
    path.write_bytes(png(turned=turned, late=late and turned is not None))
    assert read_size_px(path) == size


def test_the_size_of_a_png_needs_none_of_its_pixels(tmp_path):
    content = png()
    pixels = content.index(b"IDAT") + 4
    path = tmp_path / "a.png"
    path.write_bytes(content[:pixels] + bytes(len(content) - pixels - 16) + content[-16:])
    assert read_size_px(path) == (60, 40)


@pytest.mark.parametrize("cut", [5, 12, 200])
def test_a_truncated_png_is_named_all_the_same(tmp_path, cut):
    path = tmp_path / "a.png"
    path.write_bytes(png()[:-cut])
    with pytest.raises(ImageError, match=r"a\.png: cannot be read \(image file is truncated\); download it again"):
        read_size_px(path)
