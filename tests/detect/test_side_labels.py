"""Which of a data set's side files a configuration uses, and what is refused."""

import pytest

from xray_chest_detection.detect.side_labels import read_side_labels
from xray_chest_detection.errors import DataError

UNKNOWN = """file,class_name,reason
images/train/film_000.png,Bar,not_labelled
images/train/film_001.png,Disc,not_located
"""
WEIGHTS = "file,line,weight\nimages/train/film_001.png,1,0.5\n"
BAR, DISC = {"images/train/film_000.png": [1]}, {"images/train/film_001.png": [0]}
HALF = {"images/train/film_001.png": {1: 0.5}}


@pytest.mark.parametrize(
    ("switches", "unknown", "weights"),
    [
        ({}, BAR | DISC, HALF),
        ({"mask_unknown": False}, DISC, HALF),
        ({"mask_unlocated": False}, BAR, HALF),
        ({"label_weights": False}, BAR | DISC, {}),
        ({"mask_unknown": False, "mask_unlocated": False}, {}, HALF),
    ],
)
def test_switches(switches: dict[str, bool], unknown, weights, tmp_path, dataset, make_config) -> None:
    (dataset / "unknown.csv").write_text(UNKNOWN)
    (dataset / "label_weights.csv").write_text(WEIGHTS)
    side = read_side_labels(make_config(tmp_path, dataset, **switches))
    assert side is not None
    assert (side.unknown, side.weights, side.n_classes) == (unknown, weights, 2)


@pytest.mark.parametrize("reason", ["cut_off", "guessed"])
@pytest.mark.parametrize(("masked", "found"), [(True, BAR), (False, {})])
def test_findings_that_a_patch_cuts_off_or_a_model_guessed_are_masked_like_those_nobody_located(
    masked: bool, found, reason: str, tmp_path, dataset, make_config
) -> None:
    (dataset / "unknown.csv").write_text(f"file,class_name,reason\nimages/train/film_000.png,Bar,{reason}\n")
    side = read_side_labels(make_config(tmp_path, dataset, mask_unlocated=masked))
    assert (side.unknown if side else {}) == found


def test_nothing_to_use(tmp_path, dataset, make_config) -> None:
    assert read_side_labels(make_config(tmp_path, dataset)) is None
    (dataset / "unknown.csv").write_text(UNKNOWN)
    off = {"mask_unknown": False, "mask_unlocated": False}
    assert read_side_labels(make_config(tmp_path, dataset, **off)) is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("unknown.csv", "file,class_name,reason\nimages/train/no.png,Bar,not_labelled\n"),
        ("label_weights.csv", "file,line,weight\nimages/train/no.png,1,0.5\n"),
    ],
)
def test_image_that_is_not_there(file: str, content: str, tmp_path, dataset, make_config) -> None:
    (dataset / file).write_text(content)
    with pytest.raises(DataError) as error:
        read_side_labels(make_config(tmp_path, dataset))
    assert str(error.value) == (
        f"{dataset / file}: no image 'images/train/no.png' in this data set; "
        "build the data set again with data_prep.build_yolo"
    )
