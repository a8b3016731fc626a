import gzip
import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.config.vinbigdata import VinBigDataConfig
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.readings import EDGES, readings_of
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.data.tables import read_tables, write_tables
from xray_chest_detection.data.vinbigdata import find_table, read_vinbigdata
from xray_chest_detection.data.vinbigdata_table import FINDINGS, read_readings_csv, read_train_csv
from xray_chest_detection.errors import ConfigError, DataError, ImageError

HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
READERS = ("R8", "R9", "R10")


def mass(name, reader="R8", xyxy="10,20,30,50"):
    return f"{name},Nodule/Mass,8,{reader},{xyxy}"


def nothing(name, *readers):
    return [f"{name},No finding,14,{reader},,,," for reader in readers or READERS]


@pytest.fixture
def root(tmp_path, film):
    """Two images with findings, `b` and `d`, and three without; every film has 64 x 80 pixels."""
    lines = [
        *nothing("a"),
        mass("b"),
        mass("b", "R9", "12,20,30,50"),
        "b,ILD,5,R9,0,0,64,80",
        *nothing("b", "R10"),
        *nothing("c"),
        mass("d", "R10"),
        *nothing("d", "R8", "R9"),
        *nothing("e"),
    ]
    folder = tmp_path / "raw"
    for seed, name in enumerate("abcde"):
        film(folder / "train" / f"{name}.png", seed, (64, 80))
    (folder / "train.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def add(root, *lines):
    with (root / "train.csv").open("a") as stream:
        stream.writelines(line + "\n" for line in lines)


def read(root, tmp_path, **options):
    return read_vinbigdata(VinBigDataConfig(root=root, out=tmp_path / "out", **options))


def test_every_readers_box_and_everyone_who_looked(root, tmp_path):
    tables = read(root, tmp_path)
    write_tables(tmp_path / "out", tables.images, tables.annotations)
    images, annotations = read_tables(tmp_path / "out")
    assert images.drop(columns=["path", "known", "view"]).to_numpy().tolist() == [
        ["a", "a", "vinbigdata", 64, 80, "No finding", True, "R8|R9|R10"],
        ["b", "b", "vinbigdata", 64, 80, "ILD|Nodule/Mass", False, "R8|R9|R10"],
        ["c", "c", "vinbigdata", 64, 80, "No finding", True, "R8|R9|R10"],
        ["d", "d", "vinbigdata", 64, 80, "Nodule/Mass", False, "R8|R9|R10"],
        ["e", "e", "vinbigdata", 64, 80, "No finding", True, "R8|R9|R10"],
    ]
    assert images["path"].tolist() == [str(root / "train" / f"{name}.png") for name in "abcde"]
    assert images[["known", "view"]].isna().all(axis=None)
    assert annotations[["image_id", "class_name", *EDGES, "reader", "n_readers"]].to_numpy().tolist() == [
        ["b", "ILD", 0, 0, 64, 80, "R9", 3],
        ["b", "Nodule/Mass", 10, 20, 30, 50, "R8", 3],
        ["b", "Nodule/Mass", 12, 20, 30, 50, "R9", 3],
        ["d", "Nodule/Mass", 10, 20, 30, 50, "R10", 3],
    ]
    assert annotations[["votes", "agreement", "probability", "spread_px"]].isna().all(axis=None)
    assert tables.counts == {
        "rows_read": 16,
        "repeated_rows_left_out": 0,
        "images": 5,
        "readings": 15,
        "boxes": 4,
        "readers": 3,
        "images_not_read_by_3": 0,
        "images_with_findings_missing": 0,
        "finding_free_images_missing": 0,
        "images_with_findings": 2,
        "background_images": 3,
        "images_used_as_dicom": 0,
        "copies_taken_for_originals": 5,
        "copies_with_another_aspect": 0,
        "boxes_of_these_images": 4,
        "boxes_cut_at_border": 0,
        "groups_of_copies": 0,
        "images_in_groups_of_copies": 0,
    }
    assert tables.unusual == []
    assert tables.cut == []


def test_a_shuffled_table_gives_the_same_files(root, tmp_path):
    add(root, mass("b", "R11", "40,20,50,50"), mass("b", "R11", "9,20,50,50"), mass("d", "R2"))
    header, *lines = (root / "train.csv").read_text().splitlines()
    written = set()
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(lines) if seed else lines
        (root / "train.csv").write_text("\n".join([header, *shuffled]) + "\n")
        tables = read(root, tmp_path, group_copies=False)
        write_tables(tmp_path / "out", tables.images, tables.annotations)
        written.add(tuple(path.read_bytes() for path in sorted((tmp_path / "out").iterdir())))
    assert len(written) == 1
    assert tables.annotations["reader"].tolist() == ["R9", "R8", "R9", "R11", "R11", "R2", "R10"]
    assert tables.annotations["x_min"].tolist() == [0, 10, 12, 9, 40, 10, 10]


def test_background_is_capped_and_depends_on_the_seed(root, tmp_path):
    chosen = {
        seed: tuple(read(root, tmp_path, background=1, seed=seed).images.query("healthy")["image_id"])
        for seed in range(20)
    }
    assert chosen[0] == tuple(read(root, tmp_path, background=1).images.query("healthy")["image_id"])
    assert set(chosen.values()) == {("a",), ("c",), ("e",)}
    assert read(root, tmp_path, background=0).images["image_id"].tolist() == ["b", "d"]


def test_copies_of_one_image_have_one_patient(root, tmp_path):
    shutil.copy(root / "train" / "b.png", root / "train" / "e.png")
    Image.open(root / "train" / "b.png").save(root / "train" / "d.jpg", quality=70)
    (root / "train" / "d.png").unlink()
    tables = read(root, tmp_path)
    assert tables.images.set_index("image_id")["patient_id"].to_dict() == dict(zip("abcde", "abcbb", strict=True))
    assert (tables.counts["groups_of_copies"], tables.counts["images_in_groups_of_copies"]) == (1, 3)
    apart = read(root, tmp_path, group_copies=False)
    assert apart.images["patient_id"].tolist() == list("abcde")
    assert apart.counts["images_in_groups_of_copies"] == 0


def test_nothing_is_decoded_when_copies_are_not_grouped(root, tmp_path):
    for path in (root / "train").iterdir():
        content = path.read_bytes()
        pixels = content.index(b"IDAT") + 4
        path.write_bytes(content[:pixels] + bytes(len(content) - pixels - 16) + content[-16:])
    assert len(read(root, tmp_path, group_copies=False).images) == 5
    with pytest.raises(ImageError, match=r"/train/a\.png: "):
        read(root, tmp_path)
    assert not (tmp_path / "out").exists()


def test_images_with_one_or_seven_readers_are_taken_and_named(root, tmp_path):
    add(root, *nothing("b", *(f"R{number}" for number in range(11, 15))), mass("f", "R1"))
    shutil.copy(root / "train" / "a.png", root / "train" / "f.png")
    tables = read(root, tmp_path, group_copies=False)
    assert tables.annotations.groupby("image_id")["n_readers"].agg(set).to_dict() == {"b": {7}, "d": {3}, "f": {1}}
    assert tables.images.set_index("image_id").loc["f", "readers"] == "R1"
    assert tables.unusual == [
        {"line": 5, "image_id": "b", "readers": 7},
        {"line": 22, "image_id": "f", "readers": 1},
    ]


def test_a_missing_image_with_findings_is_an_error_or_is_dropped(root, tmp_path):
    (root / "train" / "b.png").unlink()
    (root / "train" / "c.png").unlink()
    with pytest.raises(
        DataError,
        match=r"raw: 1 images with findings are missing, first 'b' \(train\.csv: line 5\); .* pass --missing drop",
    ):
        read(root, tmp_path)
    tables = read(root, tmp_path, missing="drop")
    assert tables.counts["images_with_findings_missing"] == tables.counts["finding_free_images_missing"] == 1
    assert tables.images["image_id"].tolist() == ["a", "d", "e"]
    assert set(tables.annotations["image_id"]) == {"d"}


def test_a_folder_without_the_images_is_an_error_even_when_dropping(root, tmp_path):
    for name in "bd":
        (root / "train" / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"raw: none of the 2 images with findings is here; unpack .* --copies"):
        read(root, tmp_path, missing="drop")


def test_boxes_over_the_border_of_a_known_size_are_cut_counted_and_named(root, tmp_path):
    (root / "train_meta.csv").write_text("image_id,dim0,dim1\n" + "".join(f"{name},80,64\n" for name in "abcde"))
    add(root, mass("b", "R8", "-3,40,20,90.5"))
    tables = read(root, tmp_path)
    assert tables.counts["boxes_cut_at_border"] == 1
    assert [0, 40, 20, 80] in tables.annotations[EDGES].to_numpy().tolist()
    assert tables.cut == [
        {"line": 18, "image_id": "b", "class_name": "Nodule/Mass", "box": "-3,40,20,90.5", "image_px": "64 x 80"}
    ]
    assert [path.name for path in tables.inputs] == ["train.csv", "train_meta.csv"]


def test_a_box_outside_its_image_is_an_error(root, tmp_path):
    (root / "train_meta.csv").write_text("image_id,dim0,dim1\n" + "".join(f"{name},80,64\n" for name in "abcde"))
    add(root, mass("b", "R8", "64,40,90,60"))
    with pytest.raises(DataError, match=r"train\.csv: line 18: 'b,.*': the box lies outside its image; is it of"):
        read(root, tmp_path)


def test_a_resized_copy_without_the_size_of_the_original_is_refused(root, tmp_path):
    add(root, mass("b", "R8", "100,40,120,90"), mass("d", "R10", "100,40,120,90"))
    message = (
        r"train\.csv: line 18: 'b,.*': the box leaves .*/train/b\.png, 64 x 80 pixels: a resized copy; "
        r"name its train_meta\.csv \(image_id,dim0,dim1\) with --train-meta, .* \(2 such lines\)"
    )
    with pytest.raises(DataError, match=message):
        read(root, tmp_path)
    meta = tmp_path / "sizes.csv"
    meta.write_text("image_id,dim0,dim1\n" + "".join(f"{name},160,128\n" for name in "abcde"))
    tables = read(root, tmp_path, train_meta=meta)
    assert set(tables.images["width"]) == {128}
    assert tables.counts["boxes_cut_at_border"] == 0


def test_the_table_is_found_in_a_sub_folder_and_zipped(tmp_path):
    with pytest.raises(DataError, match=r"no file train\.csv; see datasets/README\.md"):
        find_table(tmp_path)
    (tmp_path / "csv").mkdir()
    for name in ("csv/train.csv.gz", "csv/train.csv", "train.csv.gz", "train.csv"):
        (tmp_path / name).touch()
        assert find_table(tmp_path) == tmp_path / name


def test_the_root_and_the_copies_are_named_when_they_are_not_there(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XRAY_VINBIGDATA_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"XRAY_VINBIGDATA_ROOT: no folder .*nowhere; see datasets/README\.md"):
        read_vinbigdata(VinBigDataConfig())
    monkeypatch.setenv("XRAY_VINBIGDATA_ROOT", str(root))
    assert len(read_vinbigdata(VinBigDataConfig(out=tmp_path / "out")).images) == 5
    with pytest.raises(ConfigError, match=r"copies: no folder .*; make them with data_prep\.dicom_to_png"):
        read(root, tmp_path, copies=tmp_path / "nowhere")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=12, size_px=128), folder)
    return folder / "vinbigdata"


def test_the_synthetic_set_from_dicom_files(synthetic, tmp_path):
    tables = read(synthetic, tmp_path)
    assert tables.counts["images"] == tables.counts["images_used_as_dicom"] == len(tables.images) == 12
    assert set(tables.images["width"]) == {128}
    assert set(tables.images["view"]) <= {"PA", "AP"}
    tables_readings = readings_of(tables.images, tables.annotations, FINDINGS)
    direct = read_readings_csv(synthetic / "train.csv")
    assert (tables_readings.images, tables_readings.readers) == (direct.images, direct.readers)
    assert np.array_equal(tables_readings.xyxy, direct.xyxy)
    assert np.array_equal(tables_readings.read, direct.read)


def test_the_synthetic_set_from_reduced_copies_with_the_sizes_of_the_dicom_files(synthetic, tmp_path):
    for path in (synthetic / "train").iterdir():
        target = tmp_path / "png" / f"{path.stem}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(read_image(path).pixels).resize((64, 64)).save(target)
    tables = read(synthetic, tmp_path, copies=tmp_path / "png")
    assert tables.counts["images_used_as_dicom"] == 0
    assert set(tables.images["width"]) == {128}
    assert all(Path(path).parent == tmp_path / "png" for path in tables.images["path"])
    assert tables.annotations.equals(read(synthetic, tmp_path).annotations)


@pytest.mark.slow
def test_the_full_table_with_invented_sizes(tmp_path):
    """15,000 links to one film and 15,000 sizes take their time; the sizes are invented, large enough for all boxes."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package torchxrayvision, which carries the full table, is not installed")
    packed = Path(spec.submodule_search_locations[0]) / "data" / "vinbigdata-train.csv.gz"
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "train.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    names = sorted(set(read_train_csv(packed).readings["image_id"]))
    meta = ["image_id,dim0,dim1", *(f"{name},3500,3500" for name in names)]
    (tmp_path / "raw" / "train_meta.csv").write_text("\n".join(meta) + "\n")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "film.png")
    for name in names:
        os.link(tmp_path / "film.png", tmp_path / "raw" / f"{name}.png")
    tables = read(tmp_path / "raw", tmp_path, background=4400, group_copies=False)
    assert (len(tables.images), len(tables.annotations)) == (8_794, 36_096)
    assert (tables.counts["background_images"], tables.counts["boxes_cut_at_border"]) == (4_400, 0)
    write_tables(tmp_path / "out", tables.images, tables.annotations)
    assert len(readings_of(*read_tables(tmp_path / "out"), FINDINGS)) == 36_096
