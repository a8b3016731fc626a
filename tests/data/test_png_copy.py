"""One DICOM file as PNG: the decoder of `xray predict`, checked against pydicom's own functions and pinned pixels."""

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import letterbox
from xray_chest_detection.data.png_copy import Job, Recipe, Record, apply_recipe, make_png, read_record, state_of
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.errors import DataError


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A synthetic radiograph as DICOM, 128 x 128."""
    folder = tmp_path_factory.mktemp("raw")
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=1, size_px=128), folder)
    return next((folder / "vinbigdata" / "train").iterdir())


@pytest.fixture
def job(film, tmp_path):
    return Job("sub/film.dicom", film, tmp_path / "out" / "film.png", Recipe(longest_side_px=100))


def pixels_of(path):
    with Image.open(path) as image:
        assert image.mode == "L"
        return np.asarray(image)


def shown_by_pydicom(path):
    """What the file asks to be shown as, in [0, 255], by pydicom's functions; MONOCHROME1 is inverted last."""
    source = pydicom.dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(source.pixel_array, source), source).astype(np.float64)
    unit = shown / (2**source.BitsStored - 1)
    return 255 * (1 - unit if source.PhotometricInterpretation == "MONOCHROME1" else unit)


def assert_golden(source, target, digest):
    record = make_png(Job(source.name, source, target, Recipe()))
    assert isinstance(record, Record)
    pixels = pixels_of(target)
    assert pixels.shape == (record.rows, record.columns)
    np.testing.assert_array_equal(pixels, read_image(source).pixels)
    assert np.abs(pixels - shown_by_pydicom(source)).max() <= 1
    assert digest is None or hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == digest


def test_the_real_chest_film_of_15_bits_is_pydicoms_window_inverted(tmp_path):
    spec = importlib.util.find_spec("data_store")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package pydicom-data is not installed")
    source = Path(next(iter(spec.submodule_search_locations))) / "data" / "RG1_UNCR.dcm"
    assert_golden(source, tmp_path / "film.png", "4ec421f29844bf5f")


@pytest.mark.pack
@pytest.mark.parametrize(
    ("file", "digest"),
    [
        ("CR_MONOCHROME1_jpeg.dcm", None),  # baseline JPEG: decoders may differ by a grey level
        ("CR_MONOCHROME2_jpeg.dcm", None),
        ("JLSN_RG1_JLSN.dcm", "956d942e62e31c71"),
        ("NIH_DX.dcm", "8a771769a267418e"),
        ("RLE_RG3_RLE.dcm", "723a668ac381483d"),
    ],
)
def test_films_of_the_pack_are_pydicoms_window_inverted_where_needed(pack, tmp_path, file, digest):
    assert_golden(pack / "dicom" / file, tmp_path / "film.png", digest)


@pytest.mark.pack
def test_a_file_nobody_can_decode_is_one_line_and_no_png(pack, tmp_path):
    target = tmp_path / "film.png"
    answer = make_png(Job("a/b.dcm", pack / "dicom" / "JPLY_RG3_JPLY.dcm", target, Recipe()))
    assert isinstance(answer, str)
    assert answer.startswith("DICOM compressed as JPEG Extended (Process 2 and 4) cannot be decoded")
    assert "\n" not in answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(300, 200), (200, 301), (128, 128), (64, 50)])
def test_a_reduced_copy_gives_the_network_the_same_input_as_the_original(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    reduced = apply_recipe(pixels, Recipe(longest_side_px=128))
    assert max(reduced.shape) == min(128, max(shape))
    np.testing.assert_array_equal(letterbox(reduced, 128)[0], letterbox(pixels, 128)[0])


def test_contrast_is_equalised_after_reducing_by_the_same_tiles_for_every_size():
    pixels = np.random.default_rng(0).integers(90, 130, (200, 160), dtype=np.uint8)
    reduced = apply_recipe(pixels, Recipe(longest_side_px=100))
    equalised = apply_recipe(pixels, Recipe(longest_side_px=100, clahe_clip_limit=2.0))
    np.testing.assert_array_equal(equalised, cv2.createCLAHE(2.0, (8, 8)).apply(reduced))
    assert equalised.std() > reduced.std()


def test_a_png_says_how_it_was_made(job):
    record = make_png(job)
    assert record == Record(Recipe(100), 128, 128, job.source.stat().st_size, read_image(job.source).notes)
    assert pixels_of(job.target).shape == (100, 100)
    assert read_record(job.target) == record
    assert state_of(job) == ("done", record)


def cut_off(job):
    job.target.write_bytes(job.target.read_bytes()[:-1])


def paint_over(job):
    Image.new("L", (100, 100)).save(job.target)


def write_another_record(job):
    text = PngInfo()
    text.add_text("xray_chest_detection", '{"rows": 3}')
    Image.new("L", (100, 100)).save(job.target, pnginfo=text)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda job: job.target.unlink(), "missing"),
        (lambda job: job.target.write_bytes(b"IEND"), "missing"),
        (cut_off, "missing"),
        (paint_over, "other"),
        (write_another_record, "other"),
    ],
    ids=["absent", "four bytes", "cut off", "painted over", "strange record"],
)
def test_a_png_that_is_not_ours_or_not_whole_is_not_done(job, change, state):
    make_png(job)
    change(job)
    assert state_of(job) == (state, None)


def test_other_settings_and_another_source_are_not_done(job, tmp_path):
    make_png(job)
    assert state_of(replace(job, recipe=Recipe(99))) == ("other", None)
    assert state_of(replace(job, recipe=Recipe(100, 2.0))) == ("other", None)
    longer = tmp_path / "longer.dicom"
    longer.write_bytes(job.source.read_bytes() + b"\0\0")
    assert state_of(replace(job, source=longer)) == ("missing", None)
    assert state_of(replace(job, source=tmp_path / "gone.dicom")) == ("missing", None)


def test_a_folder_that_cannot_be_written_is_an_error_of_its_own(job, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"film\.png: cannot be written \(.*\); free some space or choose"):
        make_png(replace(job, target=tmp_path / "file" / "film.png"))
