"""Reading a YOLO data set back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    for name in ("b", "a"):
        Image.fromarray(np.zeros((50, 100), np.uint8)).save(tmp_path / "images" / "val" / f"{name}.png")
    (tmp_path / "labels" / "val" / "a.txt").write_text("1 0.5 0.5 0.2 0.4\n")
    (tmp_path / "labels" / "val" / "b.txt").write_text("")
    (tmp_path / "data.yaml").write_text("names: {0: Mass, 1: Nodule}\n")
    (tmp_path / "index.csv").write_text(
        "image_id,patient_id,source,split,file\nb,7,nih,val,images/val/b.png\na,007,nih,val,images/val/a.png\n"
    )
    return tmp_path


def test_boxes_are_in_pixels_and_images_in_order(folder: Path) -> None:
    split = read_labelled_split(folder, "val")
    assert split.classes == ("Mass", "Nodule")
    assert split.image_id == ("a", "b")
    assert split.patient == ("nih:007", "nih:7")
    assert split.sizes_px == ((100, 50), (100, 50))
    np.testing.assert_allclose(split.truth.xyxy, [[40, 15, 60, 35]])
    assert (split.truth.image.tolist(), split.truth.class_id.tolist(), split.truth.n_images) == ([0], [1], 2)
    assert split.boxes_per_class.tolist() == [0, 1]


def test_only_classes_nobody_looked_for_are_unknown(folder: Path) -> None:
    assert not read_labelled_split(folder, "val").unknown.any()
    (folder / "unknown.csv").write_text(
        "file,class_name,reason\nimages/val/b.png,Mass,not_labelled\nimages/val/a.png,Mass,not_located\n"
    )
    assert read_labelled_split(folder, "val").unknown.tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a.txt: line 1: expected a class below 2 and four numbers in \[0, 1\], got '2 0.5"),
        ("0 0.5 0.5 0.1", r"a.txt: line 1: expected a class below 2"),
        ("0 0.5 1.5 0.1 0.1", r"a.txt: line 1: expected a class below 2"),
        ("0 0.5 nan 0.1 0.1", r"a.txt: line 1: expected a class below 2"),
        ("Mass 0.5 0.5 0.1 0.1", r"a.txt: line 1: expected a class below 2"),
    ],
)
def test_wrong_label_names_file_and_line(folder: Path, line: str, message: str) -> None:
    (folder / "labels" / "val" / "a.txt").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_labelled_split(folder, "val")


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'dev' \(known: train, val, test\)"):
        read_labelled_split(folder, "dev")
    with pytest.raises(DataError, match=r"index.csv: the split 'test' has no images"):
        read_labelled_split(folder, "test")
    (folder / "labels" / "val" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b.txt: cannot be read"):
        read_labelled_split(folder, "val")
    (folder / "images" / "val" / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b.png: not an image"):
        read_labelled_split(folder, "val")
    (folder / "images" / "val" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b.png: the image is missing"):
        read_labelled_split(folder, "val")
    (folder / "index.csv").write_text("image_id,split\na,val\n")
    with pytest.raises(DataError, match=r"index.csv: no column 'patient_id'"):
        read_labelled_split(folder, "val")
    (folder / "data.yaml").write_text("names: 3\n")
    with pytest.raises(DataError, match=r"data.yaml: names must be numbered"):
        read_labelled_split(folder, "val")
    (folder / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"data.yaml: cannot be read .*; build it with data_prep.build_yolo"):
        read_labelled_split(folder, "val")
