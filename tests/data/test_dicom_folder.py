"""A folder of DICOM files as PNG: what is found, what is left to do, what is refused, and the table of sizes."""

import shutil

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.config.dicom_to_png import DicomToPngConfig
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.manifest import FILE_NAME
from xray_chest_detection.data.dicom_folder import convert_folder, find_dicoms, plan_jobs
from xray_chest_detection.data.image_sizes import META_FILE, read_train_meta
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.errors import DataError


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Four synthetic radiographs as DICOM, 128 x 128."""
    folder = tmp_path_factory.mktemp("raw")
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=4, size_px=128), folder)
    return sorted((folder / "vinbigdata" / "train").iterdir())


@pytest.fixture
def root(films, tmp_path):
    """Names as downloads and hospital exports have them: suffixes, none, UIDs, equal names in two folders."""
    places = ("a/one.dicom", "a/IMG0001", "b/IMG0001", "b/1.2.840.7")
    for film, place in zip(films, places, strict=True):
        path = tmp_path / "raw" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film, path)
    return tmp_path / "raw"


@pytest.fixture
def convert(root, tmp_path):
    def run(**options):
        return convert_folder(DicomToPngConfig(**{"root": root, "out": tmp_path / "png", "workers": 1, **options}))

    return run


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def times_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_dicom_files_are_found_by_suffix_or_content(root):
    (root / "broken.DCM").write_bytes(b"")
    (root / "headless").write_bytes(b"\x08\x00\x05\x00")
    (root / "a" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (root / ".hidden.dcm").write_bytes(b"")
    (root / ".hidden").mkdir()
    shutil.copy(root / "a" / "one.dicom", root / ".hidden" / "film.dcm")
    (root / "train.csv").write_text("image_id\n" * 50)
    Image.new("L", (40, 40)).save(root / "film.png")
    found = [path.as_posix() for path in find_dicoms(root)]
    assert found == ["a/IMG0001", "a/one.dicom", "b/1.2.840.7", "b/IMG0001", "broken.DCM", "headless"]


def test_every_film_becomes_the_pixels_that_predict_sees_below_the_same_sub_folders(convert, root, tmp_path):
    done = convert()
    assert (len(done.records), done.converted, done.failures, done.taken_up_again) == (4, 4, {}, 0)
    pngs = ["a/IMG0001.png", "a/one.png", "b/1.2.840.7.png", "b/IMG0001.png"]
    assert names_in(tmp_path / "png") == [*pngs, META_FILE]
    for name in done.records:
        with Image.open(tmp_path / "png" / f"{name.removesuffix('.dicom')}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), read_image(root / name).pixels)
    table = (tmp_path / "png" / META_FILE).read_text()
    assert read_train_meta(tmp_path / "png" / META_FILE).sizes["one"] == (128, 128)
    assert table == "image_id,dim0,dim1\n1.2.840.7,128,128\na/IMG0001,128,128\nb/IMG0001,128,128\none,128,128\n"


def test_the_second_run_writes_only_what_is_missing_or_cut_off(convert, tmp_path):
    first = convert()
    before = times_in(tmp_path / "png")
    table = (tmp_path / "png" / META_FILE).read_bytes()
    assert convert().converted == 0
    assert times_in(tmp_path / "png") == before
    gone, cut = tmp_path / "png" / "a" / "one.png", tmp_path / "png" / "b" / "IMG0001.png"
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:1000])
    (tmp_path / "png" / "b" / ".tmp-abc.png").write_bytes(b"half")
    again = convert()
    assert again.converted == 2
    assert again.records == first.records
    assert {path for path, time in times_in(tmp_path / "png").items() if before[path] != time} == {gone, cut}
    assert (tmp_path / "png" / META_FILE).read_bytes() == table


def test_other_settings_need_overwrite_which_keeps_what_is_right(convert, root, tmp_path):
    convert()
    (tmp_path / "png" / FILE_NAME).write_text("{}")
    with pytest.raises(
        DataError,
        match=r"IMG0001\.png: not made with longest_side_px 100, clahe_clip_limit None \(4 such files\); "
        r"give another folder with --out, or pass --overwrite to replace them$",
    ):
        convert(longest_side_px=100)
    assert (tmp_path / "png" / FILE_NAME).exists()
    assert convert(longest_side_px=100, overwrite=True).converted == 4
    assert not (tmp_path / "png" / FILE_NAME).exists()  # the caller writes the new one
    assert convert(longest_side_px=100, overwrite=True).converted == 0
    with Image.open(tmp_path / "png" / "a" / "one.png") as image:
        assert image.size == (100, 100)
    assert "\none,128,128\n" in (tmp_path / "png" / META_FILE).read_text()  # of the original


def test_unreadable_files_are_named_and_the_others_converted(convert, root, tmp_path):
    (root / "a" / "empty.dcm").write_bytes(b"")
    (root / "a" / "text.dcm").write_text("Dear Sir")
    (root / "a" / "gone.dcm").symlink_to(root / "nowhere")
    done = convert()
    assert done.converted == 4
    assert list(done.failures) == ["a/empty.dcm", "a/gone.dcm", "a/text.dcm"]
    assert done.failures["a/text.dcm"].startswith("not an image that can be read; choose a PNG")
    assert done.counts()["failures"] == 3
    assert "empty" not in (tmp_path / "png" / META_FILE).read_text()


def test_counts_tell_what_the_decoder_did(convert):
    counts = convert().counts()
    assert list(counts)[:2] == ["images", "failures"]
    assert counts["MONOCHROME1 inverted"] == 1


def test_two_files_that_would_become_one_png_are_refused(convert, root):
    shutil.copy(root / "a" / "one.dicom", root / "a" / "one.DCM")
    with pytest.raises(DataError, match=r"a/one\.dicom: a/one\.DCM would become the same PNG; keep one of the two$"):
        convert()


def test_a_place_that_cannot_be_written_ends_the_work(convert, tmp_path):
    (tmp_path / "png").mkdir()
    (tmp_path / "png" / "b").write_text("a file in the place of a folder")
    with pytest.raises(
        DataError, match=r"png/b/.*: cannot be written \(.*\); free some space or choose another place$"
    ):
        convert()


def test_a_folder_without_dicom_files_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"no DICOM file in this folder or below; give the folder of the download"):
        plan_jobs(DicomToPngConfig(root=tmp_path))


def test_the_progress_bar_sees_only_what_is_to_do(root, tmp_path):
    totals = []

    def progress(items, total):
        totals.append(total)
        return items

    config = DicomToPngConfig(root=root, out=tmp_path / "png", workers=1)
    convert_folder(config, progress=progress)
    (tmp_path / "png" / "a" / "one.png").unlink()
    convert_folder(config, progress=progress)
    assert totals == [4, 1]
