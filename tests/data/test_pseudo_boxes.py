"""Guessed boxes: the best of each class, how often they hit, and what a data set makes of them."""

import numpy as np
import pandas as pd
import pytest

from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.data.pseudo_boxes import HitRate, best_boxes, guess_boxes, hit_rates, is_guess
from xray_chest_detection.data.pseudo_tables import gather_films
from xray_chest_detection.data.views import make_view
from xray_chest_detection.errors import DataError

EDGES = ["x_min", "y_min", "x_max", "y_max"]


@pytest.fixture
def united(project_root):
    return read_scheme(project_root / "configs" / "schemes" / "united7.yaml")


def found(rows, width_px=100, height_px=50):
    xyxy, score, class_id = zip(*rows, strict=True) if rows else ((), (), ())
    columns = np.array(xyxy, np.float32).reshape(-1, 4), np.array(score, np.float32), np.array(class_id, np.int64)
    return Detections(*columns, width_px, height_px)


def test_best_box_of_every_class_in_pixels_of_the_reference():
    seen = found(
        [
            ([10, 10, 30, 20], 0.9, 1),
            ([0, 0, 5, 5], 0.8, 1),
            ([90, 40, 100, 50], 0.7, 0),
            ([40, 10, 40.05, 30], 0.6, 2),  # half a pixel of the reference wide
            ([40, 10, 60, 30], 0.5, 2),
            ([40, 10, 60, 30], 0.01, 3),
        ]
    )
    best = best_boxes(seen, ("a", "b", "c", "d"), width=1000, height=500)
    assert {name: box.round(3).tolist() for name, box in best.items()} == {
        "b": [100, 100, 300, 200],
        "a": [900, 400, 1000, 500],
        "c": [400, 100, 600, 300],
    }
    assert best_boxes(found([]), ("a",), width=10, height=10) == {}


def test_hits_are_counted_by_class_and_film():
    truth = pd.DataFrame(
        [
            ("1", "a", 0, 0, 10, 10),
            ("1", "a", 50, 50, 60, 60),
            ("2", "a", 0, 0, 10, 10),
            ("3", "a", 0, 0, 10, 10),
            ("3", "b", 0, 0, 10, 10),
        ],
        columns=["image_id", "class", *EDGES],
    )
    box = np.array([50.0, 50, 60, 58])
    best = {"1": {"a": box}, "2": {"a": box}, "3": {"b": np.array([0.0, 0, 10, 4])}, "4": {"a": box}}
    assert hit_rates(best, truth, ("a", "b", "c"), iou=0.4) == (
        HitRate("a", films=3, shown=2, hits=1),
        HitRate("b", films=1, shown=1, hits=1),
        HitRate("c", films=0, shown=0, hits=0),
    )
    assert hit_rates(best, truth, ("b",), iou=0.41)[0].hits == 0


@pytest.mark.parametrize(
    ("shown", "hits", "weight", "is_enough"),
    [(0, 0, 0.5, False), (4, 4, 5 / 6, False), (5, 2, 3 / 7, True), (10, 2, 0.25, False), (10, 10, 11 / 12, True)],
)
def test_what_a_guess_counts(shown, hits, weight, is_enough):
    rate = HitRate("a", films=20, shown=shown, hits=hits)
    assert rate.weight == pytest.approx(weight)
    assert rate.is_enough(0.35) is is_enough


def several_labels(make_tables):
    """Films of one patient each: t1 has a box of its first label only, t2 has none; the same in val."""
    images, annotations = make_tables({"t1": ["Cardiomegaly"], "t2": ["Nodule"], "v1": ["Effusion"], "v2": ["Mass"]})
    labels = {"t1": "Cardiomegaly|Infiltration", "t2": "Nodule|Pneumonia", "v1": "Effusion|Infiltration"}
    images["labels"] = images["patient_id"].map(labels).fillna(images["labels"])
    split = images[["image_id", "patient_id", "source"]].assign(split=["train", "train", "val", "val"])
    boxed = annotations[~annotations["image_id"].eq("t2_000")]
    mine = images["image_id"].ne("t2_000")
    return images[mine].reset_index(drop=True), boxed, split[mine.to_numpy()], images


@pytest.mark.parametrize(
    ("everyone", "pairs"),
    [
        (False, [("t1_000", "Infiltrate"), ("t2_000", "Mass/Nodule"), ("t2_000", "Pneumonia")]),
        (
            True,
            [("t1_000", "Infiltrate"), ("t2_000", "Mass/Nodule"), ("t2_000", "Pneumonia"), ("v1_000", "Infiltrate")],
        ),
    ],
)
def test_what_nobody_located(make_tables, united, everyone, pairs):
    images, annotations, split, more = several_labels(make_tables)
    films = gather_films(images, annotations, split, more, united, everyone=everyone)
    assert list(films.unlocated) == pairs
    assert films.images["image_id"].tolist() == ["t1_000", "t2_000", "v1_000", "v2_000"]
    assert films.split["split"].tolist() == ["train", "train", "val", "val"]
    assert set(films.truth["class"]) == {"Effusion", "Mass/Nodule"}
    assert films.asked_for == {name for name, _ in pairs} | {"v1_000", "v2_000"}


@pytest.mark.parametrize("everyone", [False, True])
def test_further_films_go_where_their_patient_is(make_tables, united, everyone):
    images, annotations, split, _ = several_labels(make_tables)
    more, _ = make_tables({"t1": ["Mass"] * 2, "v1": ["Mass"] * 2, "new": ["Mass", None]})
    films = gather_films(images, annotations, split, more, united, everyone=everyone)
    parts = dict(zip(films.split["image_id"], films.split["split"], strict=True))
    of_val = {"v1_001": "val"} if everyone else {}
    assert {name: parts[name] for name in parts if name not in set(split["image_id"])} == {
        "t1_001": "train",
        "new_000": "train",
    } | of_val
    assert set(films.images["image_id"]) == set(parts)


def test_nothing_to_locate(make_tables, united):
    images, annotations = make_tables({"1": ["Mass"], "2": ["Effusion"]})
    split = images[["image_id", "patient_id", "source"]].assign(split=["train", "val"])
    with pytest.raises(
        DataError, match=r"every finding that the labels name has a box; add films with `data_prep.nih --"
    ):
        gather_films(images, annotations, split, images, united)


@pytest.fixture
def guessed(make_tables, united):
    """Tables with guesses on t1 (beside a box) and t2, and their split."""
    films = gather_films(*several_labels(make_tables), united)
    best = {
        "t1_000": {"Infiltrate": np.array([1.0, 2, 30, 40]), "Mass/Nodule": np.array([5.0, 5, 9, 9])},
        "t2_000": {"Mass/Nodule": np.array([100.0, 100, 200, 300])},
    }
    weights = {"Infiltrate": 0.5, "Mass/Nodule": 0.4, "Pneumonia": 0.9}
    guesses = guess_boxes(films.images, films.unlocated, best, weights, united, model="multi abc")
    return films, guesses


def test_another_model_guesses_anew(guessed, united):
    films, guesses = guessed
    annotations = pd.concat([films.annotations, guesses], ignore_index=True)
    again = gather_films(films.images, annotations, films.split, films.images, united)
    assert again.unlocated == films.unlocated
    assert len(again.annotations) == len(films.annotations)


def test_guesses_are_spelled_as_their_image_is(guessed):
    _, guesses = guessed
    assert guesses.to_dict("records") == [
        {"image_id": "t1_000", "class_name": "Infiltration", "x_min": 1, "y_min": 2, "x_max": 30, "y_max": 40}
        | {"reader": "model:multi abc", "probability": 0.5},
        {"image_id": "t2_000", "class_name": "Nodule", "x_min": 100, "y_min": 100, "x_max": 200, "y_max": 300}
        | {"reader": "model:multi abc", "probability": 0.4},
    ]
    assert is_guess(guesses).all()


def view_of(guessed, united, tmp_path, **changes):
    films, guesses = guessed
    annotations = pd.concat([films.annotations, guesses], ignore_index=True)
    return make_view(films.images, annotations, films.split, united, YoloConfig(out=tmp_path, **changes))


def test_a_guessed_class_is_unknown_but_for_its_box(guessed, united, tmp_path):
    view = view_of(guessed, united, tmp_path)
    rows = view.labels[["image_id", "class_id", "weight"]].sort_values(["image_id", "class_id"])
    names = [view.classes[index] for index in rows["class_id"]]
    assert list(zip(rows["image_id"], names, rows["weight"], strict=True)) == [
        ("t1_000", "Cardiomegaly", 1),
        ("t1_000", "Infiltrate", 0.5),
        ("t2_000", "Mass/Nodule", 0.4),
        ("v1_000", "Effusion", 1),
        ("v2_000", "Mass/Nodule", 1),
    ]
    assert sorted(view.unknown.itertuples(index=False, name=None)) == [
        ("t1_000", "Infiltrate", "guessed"),
        ("t2_000", "Mass/Nodule", "guessed"),
        ("t2_000", "Pneumonia", "not_located"),
        ("v1_000", "Infiltrate", "not_located"),
    ]
    assert [view.counts()[part]["guessed"] for part in ("train", "val", "test")] == [2, 0, 0]


def test_guesses_in_a_binary_data_set(guessed, united, tmp_path):
    """On a film with a drawn box a finding is known; on one with guesses alone it is not, but for the guess."""
    view = view_of(guessed, united, tmp_path, kind="binary")
    assert view.unknown.to_numpy().tolist() == [["t2_000", "Finding", "guessed"]]
    assert len(view.labels) == 5


@pytest.mark.parametrize(
    ("name", "films", "unknown"),
    [
        ("Mass/Nodule", ["t1_000", "t2_000", "v1_000", "v2_000"], [["t2_000", "Mass/Nodule", "guessed"]]),
        ("Pneumonia", ["t1_000", "v1_000", "v2_000"], []),
        ("Infiltrate", ["t1_000", "t2_000", "v2_000"], [["t1_000", "Infiltrate", "guessed"]]),
    ],
)
def test_guesses_in_a_data_set_of_one_class(guessed, united, tmp_path, name, films, unknown):
    view = view_of(guessed, united, tmp_path, kind="one_class", class_name=name)
    assert view.images["image_id"].tolist() == films
    assert view.unknown.to_numpy().tolist() == unknown


def test_nobody_is_judged_by_a_guess(make_tables, united, tmp_path):
    films = gather_films(*several_labels(make_tables), united, everyone=True)
    best = {"v1_000": {"Infiltrate": np.array([1.0, 2, 30, 40])}}
    guesses = guess_boxes(films.images, films.unlocated, best, {"Infiltrate": 0.5}, united, model="multi abc")
    with pytest.raises(
        DataError, match=r"a model guessed a box on image 'v1_000', which is not in train \(1 such boxes\)"
    ):
        view_of((films, guesses), united, tmp_path)
    guessed_in_train = set()
    for seed in range(20):  # of v1 and v2 one stays in val
        view = view_of((films, guesses), united, tmp_path, everything_but=1, seed=seed)
        part = dict(zip(view.images["image_id"], view.images["split"], strict=True))["v1_000"]
        reason = dict(view.unknown[["image_id", "reason"]].to_numpy())["v1_000"]
        guessed_in_train.add((part, len(view.labels), reason))
    assert guessed_in_train == {("train", 4, "guessed"), ("val", 3, "not_located")}
