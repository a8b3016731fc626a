import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xray_chest_detection.config.data import SPLITS, NihConfig, SplitConfig, YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core import boxes
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data import yolo
from xray_chest_detection.data.image_files import read_size_px
from xray_chest_detection.data.label_files import label_lines
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.side_files import read_label_weights, read_unknown
from xray_chest_detection.data.splits import make_split
from xray_chest_detection.data.views import make_view
from xray_chest_detection.data.yolo import (
    is_complete,
    product_files,
    read_classes,
    read_index,
    stamp_of_images,
    write_yolo,
)
from xray_chest_detection.errors import DataError, ImageError


@pytest.fixture
def united(project_root):
    return read_scheme(project_root / "configs" / "schemes" / "united7.yaml")


@pytest.fixture
def nih8(project_root):
    return read_scheme(project_root / "configs" / "schemes" / "nih8.yaml")


@pytest.fixture
def config(tmp_path):
    def make(**values):
        return YoloConfig(out=tmp_path / "set", **values)

    return make


def split_all(images, **parts):
    """Every patient in train, except for the ones named: part=[patients]."""
    part_of = {patient: part for part, patients in parts.items() for patient in patients}
    split = images["patient_id"].map(lambda patient: part_of.get(patient, "train"))
    return images[["image_id", "patient_id", "source"]].assign(split=split)


@pytest.fixture
def small(nih_root):
    """Tables of a small raw folder and a split of them."""
    tables = read_nih(NihConfig(root=nih_root))
    return tables.images, tables.annotations, make_split(tables.images, tables.annotations, SplitConfig())


@pytest.fixture
def view(small, united, config):
    return make_view(*small, united, config())


def lines_of(folder, image_id):
    (path,) = folder.glob(f"labels/*/{image_id}.txt")
    return path.read_text().splitlines()


# --- views ---


def test_multi_has_seven_united_or_eight_own_classes(make_tables, united, nih8, config):
    images, annotations = make_tables({"1": ["Mass"], "2": ["Nodule"], "3": ["Infiltrate"]})
    split = split_all(images)
    view = make_view(images, annotations, split, united, config())
    assert view.classes == united.classes
    assert [view.classes[index] for index in view.labels["class_id"]] == ["Mass/Nodule", "Mass/Nodule", "Infiltrate"]
    view = make_view(images, annotations, split, nih8, config())
    assert [view.classes[index] for index in view.labels["class_id"]] == ["Mass", "Nodule", "Infiltrate"]


def test_binary_makes_every_finding_one_class(make_tables, united, config):
    images, annotations = make_tables({"1": ["Mass"], "2": ["Effusion", None]})
    view = make_view(images, annotations, split_all(images), united, config(kind="binary"))
    assert view.classes == ("Finding",)
    assert view.labels["class_id"].tolist() == [0, 0]
    assert len(view.images) == 3


@pytest.mark.parametrize("class_name", ["Mass/Nodule", "Effusion", "Pneumonia"])
def test_one_class_of_any_name_keeps_other_films_without_boxes(make_tables, united, config, class_name):
    images, annotations = make_tables({"1": ["Mass"], "2": ["Effusion", None], "3": ["Nodule"], "4": ["Pneumonia"]})
    one = config(kind="one_class", class_name=class_name)
    view = make_view(images, annotations, split_all(images), united, one)
    assert view.classes == (class_name,)
    assert len(view.images) == 5
    assert len(view.labels) == {"Mass/Nodule": 2, "Effusion": 1, "Pneumonia": 1}[class_name]
    assert set(view.labels["class_id"]) == {0}


def test_one_class_leaves_out_films_that_have_the_finding_but_no_box_of_it(make_tables, united, config):
    images, annotations = make_tables({"1": ["Effusion"], "2": ["Effusion"], "3": [None]})
    images["labels"] = ["Effusion|Infiltration", "Effusion|Nodule", "No Finding"]
    for class_name, left in (("Infiltrate", 2), ("Mass/Nodule", 2), ("Effusion", 3), ("Cardiomegaly", 3)):
        view = make_view(
            images, annotations, split_all(images), united, config(kind="one_class", class_name=class_name)
        )
        assert len(view.images) == left, class_name


# --- classes whose absence says nothing ---


@pytest.fixture
def two_sources(make_tables):
    """NIH films, two with a labelled finding that has no box, and one of VinBigData, which knows no Pneumonia."""
    images, annotations = make_tables({"1": ["Effusion"], "2": ["Mass"], "3": [None], "4": [None]})
    images["source"] = ["nih", "nih", "nih", "vinbigdata"]
    images["labels"] = ["Effusion|Infiltration|Hernia", "Mass", "Pneumonia", "No Finding"]
    return images, annotations, split_all(images)


def unknown_of(view):
    return sorted(view.unknown[["image_id", "class_name", "reason"]].itertuples(index=False, name=None))


def test_a_class_without_a_box_is_unknown_where_it_is_labelled_or_nobody_looked(two_sources, united, config):
    assert unknown_of(make_view(*two_sources, united, config())) == [
        ("1_000", "Infiltrate", "not_located"),
        ("3_000", "Pneumonia", "not_located"),
        ("4_000", "Pneumonia", "not_labelled"),
    ]


def test_any_finding_is_unknown_only_on_a_labelled_film_without_any_box(two_sources, united, config):
    view = make_view(*two_sources, united, config(kind="binary"))
    assert unknown_of(view) == [("3_000", "Finding", "not_located")]
    assert len(view.images) == 4


def test_one_class_leaves_out_films_that_say_nothing_about_it(two_sources, united, config):
    for class_name, left in (("Pneumonia", ["1", "2"]), ("Infiltrate", ["2", "3", "4"]), ("Effusion", list("1234"))):
        view = make_view(*two_sources, united, config(kind="one_class", class_name=class_name))
        assert view.images["patient_id"].tolist() == left
        assert unknown_of(view) == []


def test_united_tables_say_themselves_what_is_known(two_sources, united, nih8, config):
    images, annotations, split = two_sources
    images = images.assign(known="Effusion|Mass/Nodule", labels="Mass/Nodule", readers="R1|R2")
    annotations = annotations.assign(class_name="Mass/Nodule")
    view = make_view(images, annotations, split, united, config())
    assert set(view.labels["class_id"]) == {united.index_of("Mass/Nodule")}
    assert view.unknown["reason"].value_counts().to_dict() == {"not_labelled": 4 * 5, "not_located": 2}
    with pytest.raises(DataError, match=r"scheme nih8: no class 'Mass/Nodule' .*; give the scheme these tables were"):
        make_view(images, annotations, split, nih8, config())


def test_boxes_of_several_readers_must_be_united_first(two_sources, united, config):
    images, annotations, split = two_sources
    images = images.assign(readers=[None, None, None, "R8|R9"], known=None)
    with pytest.raises(DataError, match=r"image '4_000' has the boxes of several readers \(1 such images\); join them"):
        make_view(images, annotations, split, united, config())


def test_films_left_out_of_training_have_no_unknown_classes(two_sources, united, config):
    view = make_view(*two_sources, united, config(train_negatives_per_positive=0))
    assert unknown_of(view) == [("1_000", "Infiltrate", "not_located")]


# --- weights of boxes ---


def test_weights_are_the_agreement_or_probability_and_1_where_there_is_none(make_tables, united, config):
    images, annotations = make_tables({"1": ["Mass"], "2": ["Effusion"], "3": ["Mass"]})
    annotations = annotations.assign(agreement=[2 / 3, np.nan, 1.0], probability=[0.9, 0.0, np.nan])
    weights = {
        name: make_view(images, annotations, split_all(images), united, config(weights=name)).labels["weight"].tolist()
        for name in ("none", "agreement", "probability")
    }
    assert weights == {"none": [1, 1, 1], "agreement": [2 / 3, 1, 1], "probability": [0.9, 1e-6, 1]}


def test_weights_that_no_box_has_are_an_error(make_tables, united, config):
    images, annotations = make_tables({"1": ["Mass"]})
    with pytest.raises(DataError, match=r"no box has a value in the column 'agreement' .*, or set weights to none"):
        make_view(images, annotations, split_all(images), united, config(weights="agreement"))


def test_side_files_name_files_and_lines_as_they_were_written(small, united, config, tmp_path):
    images, annotations, split = small
    twice = annotations[annotations["image_id"] == "00000004_000"].assign(x_min=5.0, agreement=0.25)
    annotations = pd.concat([annotations.assign(agreement=1.0), twice], ignore_index=True)
    images.loc[images["image_id"] == "00000004_000", "labels"] = "Atelectasis|Effusion"
    view = make_view(images, annotations, split, united, config(weights="agreement"))
    out = tmp_path / "set"
    write_yolo(view, out, longest_side_px=None)
    (file,) = read_index(out).set_index("image_id").loc[["00000004_000"], "file"]
    assert read_label_weights(out) == {file: {2: 0.25}}
    assert lines_of(out, "00000004_000")[1].startswith("0 0.199951 ")
    assert read_unknown(out, view.classes) == {file: [united.index_of("Effusion")]}
    assert [path.name for path in product_files(out)] == ["data.yaml", "index.csv", "unknown.csv", "label_weights.csv"]
    write_yolo(make_view(*small, united, config()), out, longest_side_px=None)
    assert read_label_weights(out) == {}


@pytest.fixture
def with_equal_boxes(make_tables):
    """A film with five boxes: of its two equal Masses one is rounded away, and a Nodule has the place of the first."""
    images, annotations = make_tables({"1": ["Mass"], "2": ["Effusion"]})
    box = annotations.iloc[0]
    rows = [
        box.to_dict() | {"class_name": "Nodule", "agreement": 0.25, "x_min": 300.0, "x_max": 400.0},
        box.to_dict() | {"agreement": 0.5},
        box.to_dict() | {"agreement": 0.75, "y_min": box["y_min"] + 1e-4},
        box.to_dict() | {"class_name": "Effusion", "agreement": 0.125},
        box.to_dict() | {"class_name": "Nodule", "agreement": 0.25},
    ]
    others = annotations.iloc[1:].assign(agreement=1.0)
    return images, pd.concat([pd.DataFrame(rows), others], ignore_index=True).astype({"n_readers": float})


def test_equal_boxes_of_one_class_become_one_with_the_largest_weight(with_equal_boxes, united, nih8, config):
    images, annotations = with_equal_boxes
    merged = {}
    for name, scheme, kind in (("7", united, "multi"), ("8", nih8, "multi"), ("1", united, "binary")):
        view = make_view(images, annotations, split_all(images), scheme, config(kind=kind, weights="agreement"))
        weights = view.labels.loc[view.labels["image_id"] == "1_000", "weight"].tolist()
        merged[name] = view.merged, weights
        assert view.counts()["train"]["boxes"] == len(view.labels) == 6 - view.merged
    assert merged == {"7": (2, [0.25, 0.75, 0.125]), "8": (1, [0.25, 0.75, 0.125, 0.25]), "1": (3, [0.25, 0.75])}


@pytest.mark.slow
def test_ultralytics_keeps_every_line_in_its_place(with_equal_boxes, united, config, tmp_path, film):
    verify_image_label = pytest.importorskip("ultralytics.data.utils", reason="not installed").verify_image_label
    images, annotations = with_equal_boxes
    film(tmp_path / "film.png", 0, (64, 64))
    view = make_view(
        images.assign(path=str(tmp_path / "film.png")), annotations, split_all(images), united, config(kind="binary")
    )
    write_yolo(view, tmp_path / "set", longest_side_px=None)
    image, label = (tmp_path / "set" / name / "train" / "1_000" for name in ("images", "labels"))
    files = (str(image.with_suffix(".png")), str(label.with_suffix(".txt")))
    _, rows, *_, message = verify_image_label((*files, "", False, 1, 0, 0, False))
    written = [[float(part) for part in line.split()] for line in lines_of(tmp_path / "set", "1_000")]
    assert message == ""
    assert rows.tolist() == np.array(written, np.float32).tolist()
    assert rows[0, 1] > rows[1, 1]  # sorted lines would be the other way round


def test_the_stamp_changes_with_a_film_replaced_in_its_place(view):
    before = stamp_of_images(view)
    assert stamp_of_images(view) == before
    path = Path(view.images["path"].iloc[0])
    content = path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    touched = stamp_of_images(view)
    path.unlink()
    assert len({before, touched, stamp_of_images(view)}) == 3


# --- wrong labels, classes and tables ---


def test_an_unknown_class_or_label_lists_the_known(make_tables, united, config):
    images, annotations = make_tables({"1": ["Mass"]})
    with pytest.raises(DataError, match=r"no class 'Heart' \(known: Atelectasis, "):
        make_view(images, annotations, split_all(images), united, config(kind="one_class", class_name="Heart"))
    with pytest.raises(DataError, match=r"unknown label 'Hernia' of nih \(known: Atelectasis, "):
        make_view(images, annotations.assign(class_name="Hernia"), split_all(images), united, config())


def test_tables_and_split_must_hold_the_same_films(make_tables, united, config):
    images, annotations = make_tables({"1": ["Mass"], "2": [None]})
    split = split_all(images)
    with pytest.raises(DataError, match=r"1 images of .* have no split, first '2_000'; run data_prep\.split again"):
        make_view(images, annotations, split.iloc[:1], united, config())
    with pytest.raises(DataError, match=r"1 images of .* are missing, first '2_000'"):
        make_view(images.iloc[:1], annotations, split, united, config())


def test_negatives_are_thinned_in_training_only(make_tables, united, config):
    images, annotations = make_tables({f"p{n}": ["Mass"] for n in range(10)} | {f"h{n}": [None] for n in range(60)})
    split = split_all(images, val=[f"h{n}" for n in range(20)], test=[f"h{n}" for n in range(20, 40)])
    view = make_view(images, annotations, split, united, config(train_negatives_per_positive=0.5))
    counts = view.counts()
    assert (counts["train"]["images"], counts["train"]["without_box"]) == (15, 5)
    assert counts["val"]["images"] == counts["test"]["images"] == 20
    again = make_view(images.iloc[::-1], annotations, split, united, config(train_negatives_per_positive=0.5))
    pd.testing.assert_frame_equal(view.images, again.images)


# --- label lines ---

edges = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1))


@given(st.lists(edges, max_size=8), st.integers(64, 4000), st.integers(64, 4000))
def test_label_lines_come_back_within_rounding(shares, width, height):
    xyxy = np.array([(x * (1 - w), y * (1 - h), x * (1 - w) + w, y * (1 - h) + h) for x, y, w, h in shares])
    xyxy = xyxy.reshape(-1, 4) * [width, height, width, height]
    labels = pd.DataFrame(xyxy, columns=["x_min", "y_min", "x_max", "y_max"]).assign(class_id=range(len(xyxy)))
    lines = label_lines(labels, width, height)
    assert label_lines(labels, np.full(len(labels), width), np.full(len(labels), height)) == lines
    values = np.array([[float(part) for part in line.split()] for line in lines]).reshape(-1, 5)
    assert values[:, 0].tolist() == list(range(len(xyxy)))
    assert ((values[:, 1:] >= 0) & (values[:, 1:] <= 1)).all()
    assert np.abs(boxes.from_cxcywhn(values[:, 1:], width, height) - xyxy).max(initial=0) <= 1.1e-6 * max(width, height)


# --- files ---


def test_the_folder_holds_what_the_view_says(view, tmp_path):
    out = tmp_path / "set"
    write_yolo(view, out, longest_side_px=None)
    index = read_index(out)
    assert sorted(index["image_id"]) == sorted(view.images["image_id"])
    assert read_classes(out) == view.classes
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert {split: data[split] for split in SPLITS} == {split: f"images/{split}" for split in SPLITS}
    for split in SPLITS:
        images = {path.stem for path in (out / "images" / split).iterdir()}
        assert images == {path.stem for path in (out / "labels" / split).iterdir()}
        assert images == set(index[index["split"] == split]["image_id"])
    assert is_complete(out)
    assert oct((out).stat().st_mode & 0o777) == "0o755"


def test_labels_are_shares_of_the_reference_and_empty_for_background(view, tmp_path):
    write_yolo(view, tmp_path / "set", longest_side_px=None)
    # 00000004 has a box of class Atelectasis at x 104.5, y 200, 300 x 150.25 of 1024; the film on disk has 64 pixels.
    expected = f"0 {(104.5 + 150) / 1024:.6f} {(200 + 75.125) / 1024:.6f} {300 / 1024:.6f} {150.25 / 1024:.6f}"
    assert lines_of(tmp_path / "set", "00000004_000") == [expected]
    assert lines_of(tmp_path / "set", "00000004_001") == []


def test_plain_films_are_linked_or_copied(view, tmp_path, monkeypatch):
    write_yolo(view, tmp_path / "linked", longest_side_px=None)
    source = view.images["path"].iloc[0]
    file = tmp_path / "linked" / read_index(tmp_path / "linked")["file"].iloc[0]
    assert file.samefile(source)

    def refuse(*args):
        raise OSError("not here")

    monkeypatch.setattr(os, "link", refuse)
    write_yolo(view, tmp_path / "copied", longest_side_px=None)
    copy = tmp_path / "copied" / read_index(tmp_path / "copied")["file"].iloc[0]
    assert not copy.samefile(source)
    assert copy.read_bytes() == file.read_bytes()


def save_16_bit(image, path):
    Image.fromarray(np.asarray(image, np.uint16) * 200).save(path)


def save_rotated_jpeg(image, path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def save_jpeg_with_a_tail(image, path):
    image.save(path, quality=95)
    path.write_bytes(path.read_bytes() + b"\0\0")


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("16bit.png", save_16_bit),
        ("rgba.png", lambda image, path: image.convert("RGBA").save(path)),
        ("cmyk.jpg", lambda image, path: image.convert("RGB").convert("CMYK").save(path)),
        ("turned.jpg", save_rotated_jpeg),
        ("tail.jpg", save_jpeg_with_a_tail),
        ("film.tif", lambda image, path: image.save(path)),
        ("film.bmp", lambda image, path: image.save(path)),
        ("jpeg_inside.png", lambda image, path: image.save(path, "JPEG", quality=95)),
    ],
)
def test_every_format_becomes_the_grey_film_that_the_demo_shows(make_tables, united, config, tmp_path, name, save):
    film = Image.fromarray((np.arange(64 * 64).reshape(64, 64) // 16).astype(np.uint8))
    source = tmp_path / name
    save(film, source)
    before = source.read_bytes()
    images, annotations = make_tables({"1": ["Mass"]}, path=str(source))
    write_yolo(
        make_view(images, annotations, split_all(images), united, config()), tmp_path / "set", longest_side_px=None
    )
    (written,) = (tmp_path / "set" / "images" / "train").iterdir()
    with Image.open(written) as image:
        assert image.mode == "L"
        assert f".{str(image.format).lower()}" == written.suffix.replace("jpg", "jpeg")
        pixels = np.asarray(image)
    assert (pixels == read_image(source).pixels).all()
    if name != "cmyk.jpg":
        assert np.abs(pixels.astype(int) - np.asarray(film)).mean() < 6
    assert source.read_bytes() == before


def test_large_films_are_reduced(make_tables, united, config, tmp_path, film):
    film(tmp_path / "large.png", 0, (300, 300))
    images, annotations = make_tables({"1": ["Mass"]}, path=str(tmp_path / "large.png"))
    view = make_view(images, annotations, split_all(images), united, config())
    write_yolo(view, tmp_path / "set", longest_side_px=100)
    assert read_size_px(tmp_path / "set" / "images" / "train" / "1_000.png") == (100, 100)
    assert lines_of(tmp_path / "set", "1_000")[0].startswith("4 0.195312 0.341797 ")


@pytest.mark.parametrize(("longest_side_px", "size_px"), [(None, (60, 80)), (200, (60, 80)), (64, (48, 64))])
@pytest.mark.parametrize("name", ["film.png", "film.tif"])
def test_a_squeezed_film_gets_its_aspect_ratio_back(
    make_tables, united, config, tmp_path, name, longest_side_px, size_px
):
    film = np.zeros((400, 300), np.uint8)
    film[100:300, 150:225] = 255
    Image.fromarray(film).resize((80, 80)).save(tmp_path / name)
    images, annotations = make_tables({"1": ["Mass"]}, path=str(tmp_path / name), width=300.0, height=400.0)
    annotations = annotations.assign(x_min=150.0, y_min=100.0, x_max=225.0, y_max=300.0)
    view = make_view(images, annotations, split_all(images), united, config())
    write_yolo(view, tmp_path / "set", longest_side_px=longest_side_px)
    (path,) = (tmp_path / "set" / "images" / "train").iterdir()
    pixels = read_image(path).pixels
    assert pixels.shape == size_px[::-1]
    label = np.array([[float(part) for part in lines_of(tmp_path / "set", "1_000")[0].split()[1:]]])
    x_min, y_min, x_max, y_max = boxes.from_cxcywhn(label, *size_px)[0].tolist()
    rows, columns = np.nonzero(pixels > 127)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert edges == pytest.approx((x_min, y_min, x_max, y_max), abs=1)


def test_a_film_of_another_shape_is_an_error(make_tables, united, config, tmp_path, film):
    for name in ("cut.png", "cut.tif"):
        film(tmp_path / name, 0, (64, 80))
        images, annotations = make_tables({"1": ["Mass"]}, path=str(tmp_path / name))
        view = make_view(images, annotations, split_all(images), united, config())
        with pytest.raises(DataError, match=rf"{name}: 64 x 80 pixels are not a resized copy of the 1024 x 1024"):
            write_yolo(view, tmp_path / "set", longest_side_px=None)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("damage", [b"", b"no image", "cut", None])
def test_a_damaged_or_missing_film_stops_the_step_and_leaves_nothing(view, tmp_path, damage):
    path = tmp_path / "raw" / "images" / "00000030_000.png"
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else damage)
    with pytest.raises(ImageError, match=re.escape(str(path))):
        write_yolo(view, tmp_path / "sets" / "set", longest_side_px=None)
    assert list((tmp_path / "sets").iterdir()) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device"), ImageError("x")])
@pytest.mark.parametrize("older", [True, False])
def test_an_interrupted_write_leaves_what_was_there(view, tmp_path, monkeypatch, problem, older):
    out = tmp_path / "sets" / "set"
    if older:
        write_yolo(view, out, longest_side_px=None)
    before = sorted(path.relative_to(out) for path in out.rglob("*"))
    calls = iter(range(10**6))
    place = yolo._place_image

    def failing(*args, **kwargs):
        if next(calls) == 20:
            raise problem
        return place(*args, **kwargs)

    monkeypatch.setattr(yolo, "_place_image", failing)
    expected = DataError if isinstance(problem, OSError) else type(problem)
    message = "cannot be written .No space left on device.; free" if expected is DataError else None
    with pytest.raises(expected, match=message):
        write_yolo(view, out, longest_side_px=None)
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == before
    assert [path.name for path in out.parent.iterdir()] == (["set"] if older else [])


def test_an_interruption_while_the_folders_are_swapped_leaves_the_old_one(view, tmp_path, monkeypatch):
    out = tmp_path / "sets" / "set"
    write_yolo(view, out, longest_side_px=None)
    marker = out / "labels" / "train.cache"
    marker.touch()
    replace = type(out).replace

    def failing(self, target):
        if self.name.startswith(".tmp-") and not self.name.startswith(".tmp-old-"):
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(type(out), "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        write_yolo(view, out, longest_side_px=None)
    monkeypatch.undo()
    assert marker.exists()
    assert is_complete(out)
    assert [path.name for path in out.parent.iterdir()] == ["set"]


def test_writing_again_replaces_the_whole_folder(view, tmp_path):
    out = tmp_path / "set"
    write_yolo(view, out, longest_side_px=None)
    (out / "labels" / "train.cache").touch()
    (out / "images" / "train" / "stranger.png").touch()
    write_yolo(view, out, longest_side_px=None)
    assert not (out / "labels" / "train.cache").exists()
    assert not (out / "images" / "train" / "stranger.png").exists()


def test_a_folder_with_something_else_in_it_is_never_replaced(view, tmp_path):
    out = tmp_path / "documents"
    out.mkdir()
    write_yolo(view, out, longest_side_px=None)  # an empty folder may be used
    shutil.rmtree(out)
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"documents: is not empty and has no data\.yaml, so it is not replaced"):
        write_yolo(view, out, longest_side_px=None)
    assert (out / "thesis.txt").read_text() == "mine"
    with pytest.raises(DataError, match=r"thesis\.txt: is a file; give a folder with --out"):
        write_yolo(view, out / "thesis.txt", longest_side_px=None)


def test_a_view_without_films_is_an_error(make_tables, united, config, tmp_path):
    images, annotations = make_tables({"1": [None]})
    view = make_view(images.iloc[:0], annotations, split_all(images.iloc[:0]), united, config())
    with pytest.raises(DataError, match="set: the view has no images"):
        write_yolo(view, tmp_path / "set", longest_side_px=None)


def test_a_lost_file_makes_a_set_incomplete(view, tmp_path):
    out = tmp_path / "set"
    assert not is_complete(out)
    write_yolo(view, out, longest_side_px=None)
    next((out / "labels" / "val").iterdir()).unlink()
    assert not is_complete(out)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("names: [a", "not valid YAML"),
        ("nc: 1", "names must be numbered 0, 1, 2"),
        ("names: {0: a, 2: b}", "names must be numbered 0, 1, 2"),
        ("names: {a: b}", "names must be numbered 0, 1, 2"),
    ],
)
def test_a_wrong_data_yaml_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DataError, match=rf"data\.yaml: {message}"):
        read_classes(tmp_path)


@pytest.mark.slow
def test_ultralytics_reads_every_image_and_box(view, tmp_path):
    data = pytest.importorskip("ultralytics.data", reason="ultralytics is not installed")
    from ultralytics.cfg import get_cfg
    from ultralytics.data.utils import check_det_dataset

    out = tmp_path / "set"
    write_yolo(view, out, longest_side_px=None)
    described = check_det_dataset(str(out / "data.yaml"))
    assert list(described["names"].values()) == list(view.classes)
    counts = view.counts()
    for split in SPLITS:
        dataset = data.YOLODataset(
            img_path=described[split], data=described, task="detect", augment=False, imgsz=64, hyp=get_cfg()
        )
        assert len(dataset) == counts[split]["images"]
        assert sum(len(label["cls"]) for label in dataset.labels) == counts[split]["boxes"]
        per_class = np.bincount(
            np.concatenate([label["cls"].ravel() for label in dataset.labels]).astype(int), minlength=7
        )
        assert per_class.tolist() == [counts[split][name] for name in view.classes]
