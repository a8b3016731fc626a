import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xray_chest_detection.config.data import NihConfig, PatchesConfig, SplitConfig, YoloConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import scale_to_fit
from xray_chest_detection.data.audit import audit
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.patches import PLACE, cut_patches, write_patches
from xray_chest_detection.data.side_files import read_label_weights, read_unknown
from xray_chest_detection.data.splits import make_split, write_split
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.data.views import View
from xray_chest_detection.data.yolo import is_complete, read_index
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.errors import DataError

EDGES = ["x_min", "y_min", "x_max", "y_max"]
ALL = PatchesConfig(side=0.5, overlap=0.25, min_visible=0.5, empty_per_boxed=None)
NO_UNKNOWN = pd.DataFrame(columns=["image_id", "class_name", "reason"])


def view_of(rows, *, size_px=(400, 400), unknown=NO_UNKNOWN, classes=("Mass", "Effusion"), films=("a",), split="train"):
    """A view of films of one size; rows are (film, class id, x_min, y_min, x_max, y_max)."""
    width, height = map(float, size_px)
    images = pd.DataFrame(
        [(name, f"p{name}", "nih", f"/raw/{name}.png", width, height, split) for name in films],
        columns=["image_id", "patient_id", "source", "path", "width", "height", "split"],
    )
    labels = pd.DataFrame(rows, columns=["image_id", "class_id", *EDGES]).astype(dict.fromkeys(EDGES, float))
    return View(classes, images, labels.assign(weight=1.0), unknown, merged=0)


def boxes_in(patches):
    """Patch to its rows (class id, x_min, y_min, x_max, y_max)."""
    rows = patches.labels[["image_id", "class_id", *EDGES]].itertuples(index=False, name=None)
    found = {}
    for name, *row in rows:
        found.setdefault(name, []).append(tuple(row))
    return found


def test_a_film_becomes_overlapping_patches_that_know_where_they_lie():
    patches = cut_patches(view_of([], size_px=(400, 200)), ALL, seed=0)
    assert patches.images[["image_id", "film", "patient_id", *PLACE]].to_numpy().tolist() == [
        ["a_patch000", "a", "pa", 0, 0, 200, 200],
        ["a_patch001", "a", "pa", 100, 0, 300, 200],
        ["a_patch002", "a", "pa", 200, 0, 400, 200],
    ]
    assert set(zip(patches.images["width"], patches.images["height"], strict=True)) == {(200, 200)}
    assert patches.counts()["train"]["images"] == 3


@pytest.mark.parametrize(
    ("min_visible", "found", "unknown"),
    [
        (0.5, {0: (190, 10, 200, 30), 1: (90, 10, 110, 30), 2: (0, 10, 10, 30)}, []),
        (0.6, {1: (90, 10, 110, 30)}, [0, 2]),
    ],
)
def test_a_box_is_cut_at_the_border_or_its_class_unknown(min_visible, found, unknown):
    config = ALL.model_copy(update={"min_visible": min_visible})
    patches = cut_patches(view_of([("a", 1, 190, 10, 210, 30)], size_px=(400, 200)), config, seed=0)
    assert boxes_in(patches) == {f"a_patch00{number}": [(1, *box)] for number, box in found.items()}
    assert patches.unknown.to_numpy().tolist() == [[f"a_patch00{n}", "Effusion", "cut_off"] for n in unknown]


def test_a_patch_may_show_one_finding_whole_and_another_of_the_class_cut():
    patches = cut_patches(view_of([("a", 0, 190, 10, 215, 30), ("a", 0, 50, 50, 60, 60)]), ALL, seed=0)
    assert boxes_in(patches)["a_patch000"] == [(0, 50, 50, 60, 60)]
    assert ["a_patch000", "Mass", "cut_off"] in patches.unknown.to_numpy().tolist()


def test_what_is_unknown_on_a_film_is_unknown_on_its_patches():
    unknown = pd.DataFrame([("a", "Effusion", "not_labelled")], columns=NO_UNKNOWN.columns)
    patches = cut_patches(view_of([], size_px=(400, 200), unknown=unknown), ALL, seed=0)
    assert patches.unknown.to_numpy().tolist() == [[f"a_patch00{n}", "Effusion", "not_labelled"] for n in range(3)]


def test_patches_that_would_teach_nothing_are_left_out():
    view = view_of([("a", 0, 190, 10, 215, 30)], size_px=(400, 200), classes=("Mass",))
    patches = cut_patches(view, ALL, seed=0)
    assert patches.images["image_id"].tolist() == ["a_patch001", "a_patch002"]
    assert len(patches.unknown) == 0


def test_only_training_films_are_cut():
    for split in ("val", "test"):
        patches = cut_patches(view_of([("a", 0, 10, 10, 30, 30)], split=split), ALL, seed=0)
        assert (len(patches.images), len(patches.labels), len(patches.unknown)) == (0, 0, 0)


def test_empty_patches_are_drawn_by_seed():
    view = view_of([(name, 0, 10, 10, 30, 30) for name in "abcd"], films=tuple("abcd"))
    drawn = [
        cut_patches(view, ALL.model_copy(update={"empty_per_boxed": 2.0}), seed=seed).images["image_id"].tolist()
        for seed in (0, 0, 1)
    ]
    assert [len(names) for names in drawn] == [12, 12, 12]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {f"{name}_patch000" for name in "abcd"} <= set(drawn[0])


def test_equal_boxes_of_a_patch_become_one_of_the_larger_weight():
    view = view_of([("a", 0, 150, 10, 250, 30), ("a", 0, 150, 10, 240, 30)], size_px=(400, 200))
    view.labels["weight"] = [0.5, 0.8]
    patches = cut_patches(view, ALL, seed=0)
    first = patches.labels[patches.labels["image_id"] == "a_patch000"]
    assert first[[*EDGES, "weight"]].to_numpy().tolist() == [[150, 10, 200, 30, 0.8]]
    assert patches.merged == 1


@settings(deadline=None, max_examples=50)
@given(
    st.integers(20, 90),
    st.integers(20, 90),
    st.sampled_from([0.2, 0.5, 0.7]),
    st.sampled_from([0.1, 0.5]),
    st.integers(0, 1000),
)
def test_boxes_and_unknown_classes_follow_the_visible_pixels(width, height, side, overlap, seed):
    config = PatchesConfig(side=side, overlap=overlap, min_visible=0.4, empty_per_boxed=None)
    rng = np.random.default_rng(seed)
    low = rng.integers(0, [width - 5, height - 5])
    high = low + rng.integers(1, [width - low[0], height - low[1]])
    patches = cut_patches(view_of([("a", 0, *low, *high)], size_px=(width, height)), config, seed=0)
    film = np.zeros((height, width), np.bool_)
    film[low[1] : high[1], low[0] : high[0]] = True
    found, unknown = boxes_in(patches), set(patches.unknown["image_id"])
    assert len(patches.images) == len(config.windows(width, height))
    for name, left, top, right, bottom in patches.images[["image_id", *PLACE]].itertuples(index=False):
        visible = film[top:bottom, left:right]
        boxed = visible.sum() >= 0.4 * film.sum()
        assert (name in found, name in unknown) == (boxed, bool(visible.any() and not boxed))
        if boxed:
            rows, columns = np.nonzero(visible)
            expected = (0, columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert found[name] == [expected]


# --- files ---


def placed(name, place, reference):
    columns = ["image_id", "film_width", "film_height", *PLACE]
    return pd.DataFrame([(name, *reference, *place)], columns=columns)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_patch_is_cut_from_the_pixels_of_a_film_of_any_size(tmp_path, film, scale):
    film(tmp_path / "a.png", 0, (100 * scale, 60 * scale))
    files = write_patches(tmp_path / "a.png", placed("b", (10, 20, 50, 60), (100, 60)), tmp_path, longest_side_px=None)
    assert files == {"b": tmp_path / "b.png"}
    expected = read_image(tmp_path / "a.png").pixels[20 * scale : 60 * scale, 10 * scale : 50 * scale]
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, expected)


def test_large_patches_are_reduced_after_they_are_cut(tmp_path, film):
    film(tmp_path / "a.png", 0, (200, 120))
    write_patches(tmp_path / "a.png", placed("b", (20, 40, 100, 120), (200, 120)), tmp_path, longest_side_px=40)
    expected = scale_to_fit(read_image(tmp_path / "a.png").pixels[40:120, 20:100], 40)
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, expected)


def test_a_patch_that_shows_next_to_nothing_is_refused(tmp_path, film):
    film(tmp_path / "a.png", 0, (100, 60))
    message = r"a\.png: a patch of 40 x 31 pixels shows too little, at least 32 a side are needed; raise patches\.side"
    with pytest.raises(DataError, match=message):
        write_patches(tmp_path / "a.png", placed("b", (10, 20, 50, 51), (100, 60)), tmp_path, longest_side_px=None)


def test_a_squeezed_film_gets_its_shape_back_before_it_is_cut(tmp_path, film):
    film(tmp_path / "a.png", 0, (80, 80))
    write_patches(tmp_path / "a.png", placed("b", (0, 0, 100, 100), (200, 100)), tmp_path, longest_side_px=None)
    expected = scale_to_fit(read_image(tmp_path / "a.png").pixels, 80, aspect=(200, 100))[:, :40]
    np.testing.assert_array_equal(read_image(tmp_path / "b.png").pixels, expected)


@pytest.fixture
def config(tmp_path, nih_root, project_root):
    """A configuration whose tables and split are there: 80 films of 64 px, boxes in pixels of 1024."""
    tables = read_nih(NihConfig(root=nih_root))
    annotations = tables.annotations.assign(agreement=0.5, n_readers=2.0)
    write_tables(tmp_path / "tables", tables.images, annotations)
    write_split(tmp_path / "split", make_split(tables.images, tables.annotations, SplitConfig()))
    return YoloConfig(
        tables=tmp_path / "tables",
        split=tmp_path / "split",
        scheme=project_root / "configs" / "schemes" / "united7.yaml",
        out=tmp_path / "set",
        weights="agreement",
        patches=PatchesConfig(min_visible=0.9, empty_per_boxed=2),
    )


def test_a_data_set_with_patches_is_whole_and_passes_the_audit(config, tmp_path):
    view, written = build_dataset(config)
    assert written
    assert not build_dataset(config)[1]
    index = read_index(config.out)
    whole, patches = index[index["patch"] == ""], index[index["patch"] != ""]
    assert whole["image_id"].tolist() == view.images["image_id"].tolist()
    assert set(patches["split"]) == {"train"}
    assert set(patches["image_id"]) <= set(whole.loc[whole["split"] == "train", "image_id"])
    reports = audit([config.out])
    places = {check.name: list(check.places) for one in reports for check in one.checks if check.result == "error"}
    assert places.keys() <= {"class without a box in train"}  # few classes are drawn
    pixels = [check for check in reports[-1].checks if "pixels" in check.name or "duplicates" in check.name]
    assert [list(check.places) for check in pixels] == [[], [], [], []]


def test_side_files_and_labels_of_patches_agree_with_those_of_their_films(config):
    view, _ = build_dataset(config)
    index = read_index(config.out)
    unknown = read_unknown(config.out, view.classes, reasons=["cut_off"])
    weights = read_label_weights(config.out)
    assert unknown.keys() <= set(index.loc[index["patch"] != "", "file"])
    assert unknown
    patches = cut_patches(view, config.patches, seed=config.seed)
    seen = 0
    for name, film, left, top, file in patches.images.merge(
        index[["patch", "file"]], left_on="image_id", right_on="patch"
    )[["image_id", "film", "left", "top", "file"]].itertuples(index=False):
        lines = (config.out / "labels" / "train" / f"{name}.txt").read_text().splitlines()
        rows = np.array([line.split() for line in lines], float).reshape(-1, 5)
        of_film = view.labels.loc[view.labels["image_id"] == film, EDGES].to_numpy(float)
        inside = boxes.clip(of_film - [left, top, left, top], 512, 512)
        np.testing.assert_allclose(boxes.from_cxcywhn(rows[:, 1:], 512, 512), inside[: len(rows)], atol=1e-3)
        assert weights.get(file, {}) == dict.fromkeys(range(1, len(rows) + 1), 0.5)
        seen += len(rows)
        with Image.open(config.out / file) as picture:
            assert picture.size == (32, 32)
    assert seen == len(patches.labels) > 0


def test_evaluation_sees_whole_films_only(config):
    view, _ = build_dataset(config)
    split = read_labelled_split(config.out, "train")
    assert list(split.image_id) == view.images.loc[view.images["split"] == "train", "image_id"].tolist()
    assert set(split.sizes_px) == {(64, 64)}


def test_val_and_test_are_those_of_the_data_set_without_patches(config, tmp_path):
    build_dataset(config)
    plain = config.model_copy(update={"patches": None, "out": tmp_path / "plain"})
    build_dataset(plain)
    for split in ("val", "test"):
        for kind in ("images", "labels"):
            ours, theirs = (folder / kind / split for folder in (config.out, plain.out))
            assert {path.name: path.read_bytes() for path in ours.iterdir()} == {
                path.name: path.read_bytes() for path in theirs.iterdir()
            }
    assert "patch" not in (plain.out / "index.csv").read_text().splitlines()[0]


def test_a_lost_patch_makes_the_data_set_incomplete(config):
    build_dataset(config)
    next((config.out / "labels" / "train").glob("*_patch*.txt")).unlink()
    assert not is_complete(config.out)
    assert build_dataset(config)[1]


def test_one_tile_for_the_whole_film_makes_no_patches(config):
    _, _ = build_dataset(config.model_copy(update={"patches": PatchesConfig(side=1)}))
    assert set(read_index(config.out)["patch"]) == {""}
