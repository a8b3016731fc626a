"""The finding-free filter where it must help, where it cannot, and what it is chosen from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.normal_filter import NormalFilter
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.normal_filter import FilterChoice, Marked, choose_filter, effects
from xray_chest_detection.errors import DataError

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.detect.normal_filter_files import read_scores, write_choice
from xray_chest_detection.report.normal_filter import describe, filter_markdown

BOX = np.array([[10, 10, 40, 40]], np.float32)
ELSEWHERE = np.array([[60, 60, 90, 90]], np.float32)


def images(seed: int, *, normal_score: float, n_images: int = 60) -> tuple[LabelledSplit, tuple[Detections, ...]]:
    """Every second image has a box, found with scores between 0.2 and 0.9; all have a wrong mark of another place.

    On normal images the wrong mark scores `normal_score`, on the others 0.1.
    """
    rng = np.random.default_rng(seed)
    marks, truth = [], []
    for number in range(n_images):
        abnormal = number % 2 == 0
        scores = [rng.uniform(0.2, 0.9), 0.1] if abnormal else [normal_score]
        xyxy = np.concatenate([BOX, ELSEWHERE]) if abnormal else ELSEWHERE
        marks.append(Detections(xyxy, np.array(scores, np.float32), np.zeros(len(scores), np.int64), 100, 100))
        truth.append(marks[-1].select(np.array([True, False])) if abnormal else marks[-1].select(np.array([False])))
    names = tuple(f"film_{number:02d}" for number in range(n_images))
    known = np.zeros((n_images, 1), np.bool_)
    table = BoxTable.from_detections(truth)
    return LabelledSplit("val", ("Mass",), names, names, (), ((100, 100),) * n_images, table, known), tuple(marks)


def classifier(split: LabelledSplit, *, right: bool) -> Any:
    """A classifier that is always right, or one that knows nothing."""
    if not right:
        return np.full(len(split.image_id), 0.5)
    values = np.full(len(split.image_id), 0.1)
    values[split.truth.image] = 0.9
    return values


FOLDS = np.arange(60) // 2 % 5


def test_good_classifier_is_used_and_helps() -> None:
    split, marks = images(0, normal_score=0.6)
    marked = Marked(split, marks, classifier(split, right=True))
    choice, filtered = choose_filter(marked, FOLDS)
    assert choice.before < 0.9
    assert choice.after == choice.out_of_fold == pytest.approx(1)
    assert choice.helps
    assert choice.auroc == 1
    assert choice.filter.rule == "given"
    after = {effect.name: effect for effect in effects(marked, filtered, resamples=50)}
    assert after["mAP40"].after == after["mAP40"].perfect == pytest.approx(1)
    assert after["mAP40"].before == choice.before
    assert after["mAP40"].low is not None
    assert after["mAP40"].low > 0


def test_classifier_that_knows_nothing_leaves_the_marks() -> None:
    split, marks = images(0, normal_score=0.6)
    choice, filtered = choose_filter(Marked(split, marks, classifier(split, right=False)), FOLDS)
    assert choice.filter.changes_nothing
    assert not choice.helps
    assert (choice.gain_low, choice.gain_high) == (0, 0)
    assert all(a is b for a, b in zip(filtered, marks, strict=True))


@pytest.mark.parametrize("objective", ["mAP40", "sensitivity"])
def test_marks_that_are_in_order_already_are_left(objective: Any) -> None:
    split, marks = images(0, normal_score=0.05)
    choice, _ = choose_filter(Marked(split, marks), FOLDS, objective=objective)
    assert choice.before == choice.after == choice.out_of_fold == 1
    assert choice.filter.changes_nothing


def test_a_choice_on_noise_is_exposed_by_the_other_patients() -> None:
    split, marks = images(3, normal_score=0.55)
    choice, _ = choose_filter(Marked(split, marks, np.random.default_rng(4).random(60)), FOLDS)
    assert choice.after > choice.before > choice.out_of_fold
    assert not choice.helps


def test_luck_out_of_fold_is_no_help() -> None:
    split, marks = images(3, normal_score=0.55)
    choice, _ = choose_filter(Marked(split, marks, np.random.default_rng(2).random(60)), FOLDS)
    assert choice.out_of_fold > choice.before
    assert choice.gain_low <= 0
    assert not choice.helps


def test_each_fold_has_the_filter_chosen_without_it() -> None:
    """The classifier is right but for one fold, where it is the wrong way round."""
    split, marks = images(0, normal_score=0.6)
    given = classifier(split, right=True)
    given[FOLDS == 2] = 1 - given[FOLDS == 2]
    choice, filtered = choose_filter(Marked(split, marks, given), FOLDS)
    for number in np.flatnonzero(FOLDS == 2)[::2]:  # with boxes, and found normal by the classifier
        assert filtered[number].score.sum() < 0.6 * marks[number].score.sum()
    assert choice.out_of_fold < 1


def test_unknown_classes_count_neither_way() -> None:
    split, marks = images(0, normal_score=0.6)
    unknown = split.unknown.copy()
    unknown[1::2] = True
    choice, _ = choose_filter(Marked(replace(split, unknown=unknown), marks), FOLDS)
    assert choice.before == 1
    assert choice.filter.changes_nothing


def test_scores_of_a_classifier(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("image_id,score\nb,0.25\nother,7\na,1\n")
    assert read_scores(path, ("a", "b")).tolist() == [1, 0.25]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scores.csv: cannot be read .*; give a table image_id,score"),
        ("image,score\na,1\n", "no column 'image_id'; give a table image_id,score"),
        ("image_id,score\na,1\nb,1.5\n", r"line 3: score '1.5', expected a number in \[0, 1\]"),
        ("image_id,score\na,nan\nb,1\n", "line 2: score 'nan', expected a number"),
        ("image_id,score\na,1\na,1\nb,1\n", "line 3: image 'a' stands twice"),
        ("image_id,score\na,1\n", r"no score of image 'b' \(1 such images\)"),
    ],
)
def test_scores_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "scores.csv", ("a", "b"))


def test_files_and_page(tmp_path: Path) -> None:
    split, marks = images(0, normal_score=0.6)
    marked = Marked(split, marks, classifier(split, right=True))
    choice, filtered = choose_filter(marked, FOLDS, weights_sha256="ab")
    found = effects(marked, filtered, resamples=20)
    page = filter_markdown("tiny", choice, found, measured="The same images.")
    assert f"mAP40 without a filter {choice.before:.3f}; with the best one 1.000" in page
    assert "**It helps.**" in page
    assert f"| mAP40 | {choice.before:.3f} | 1.000 | +{1 - choice.before:.3f} (+0." in page
    paths = write_choice(tmp_path, choice, found, page, on="test")
    assert [path.name for path in paths] == ["normal_filter.yaml", "normal_filter-test.json", "normal_filter-test.md"]
    assert FilterChoice.model_validate(yaml.safe_load(paths[0].read_text())) == choice


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (NormalFilter(), "no filter does better."),
        (NormalFilter(threshold=0.2), "abnormality is best score of its marks; images below 0.2 lose all marks."),
        (
            NormalFilter(rule="noisy_or", threshold=0.2, power=0.5),
            "abnormality is noisy-or of its marks; images below 0.2 lose all marks, scores are multiplied by it to the "
            "power 0.5.",
        ),
    ],
)
def test_filter_in_words(chosen: NormalFilter, words: str) -> None:
    assert describe(chosen) == words
