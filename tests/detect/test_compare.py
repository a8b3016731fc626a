"""The difference of two runs on the same patients."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xray_chest_detection.core.intervals import patient_weights, percentile_interval
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.numbers import Number
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.compare import (
    Comparison,
    compare,
    difference,
    p_value,
    require_same_truth,
    write_comparison,
)
from xray_chest_detection.detect.evaluate import evaluate, measure, score_candidates
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.runs import Run, open_run
from xray_chest_detection.detect.thresholds import show
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.errors import DataError
from xray_chest_detection.report.comparison import comparison_markdown

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

POINT = Thresholds(conf=0.3, iou=0.5)


def blinded(candidates: Candidates, share: float, seed: int = 0) -> Candidates:
    """The same candidates with a share of them gone."""
    rng = np.random.default_rng(seed)
    kept = tuple(found.select(rng.random(len(found)) >= share) for found in candidates.per_image)
    return Candidates(candidates.image_id, kept)


def numbers_of(split: LabelledSplit, candidates: Candidates, *, resamples: int = 300) -> dict[str, Number]:
    weights = patient_weights(split.patient, resamples=resamples)
    shown = show(candidates, POINT, split.classes)
    scores = score_candidates(split, candidates, shown, POINT, weights=weights)
    return {number.name: number for number in scores.numbers}


def test_a_model_that_lost_most_of_its_boxes_is_worse(make_scene) -> None:
    split, candidates = make_scene(1, n_images=60)
    whole, poor = numbers_of(split, candidates), numbers_of(split, blinded(candidates, 0.8))
    row = difference(whole["recall at the operating point"], poor["recall at the operating point"])
    assert row.difference is not None
    assert row.difference == pytest.approx(row.second - row.first, abs=2e-5)
    assert row.high < 0
    assert row.p_value < 0.01
    back = difference(poor["recall at the operating point"], whole["recall at the operating point"])
    assert (back.difference, back.low, back.high, back.p_value) == (
        -row.difference,
        -row.high,
        -row.low,
        row.p_value,
    )


def test_a_run_does_not_differ_from_itself(make_scene) -> None:
    split, candidates = make_scene(2, n_images=20)
    numbers = numbers_of(split, candidates)
    for number in numbers.values():
        row = difference(number, number)
        if row.difference is not None and row.p_value is not None:
            assert (row.difference, row.low, row.high, row.p_value) == (0, 0, 0, 1)


def test_pairing_makes_intervals_narrower_than_those_of_two_samples(make_scene) -> None:
    split, candidates = make_scene(3, n_images=60)
    name = "mAP40"
    first, second = (numbers_of(split, found)[name] for found in (candidates, blinded(candidates, 0.1)))
    row = difference(first, second)
    other_patients = np.random.default_rng(0).permutation(second.values[1:])
    low, high = percentile_interval(other_patients - first.values[1:])
    assert row.high - row.low < 0.7 * (high - low)


def test_runs_that_are_alike_seldom_differ(make_scene) -> None:
    """Two blindings of one model by the same share: p below 0.1 must be about as rare as it says."""
    values = []
    for seed in range(25):
        split, candidates = make_scene(seed, n_images=40)
        pair = [
            numbers_of(split, blinded(candidates, 0.5, seed=1000 * seed + which), resamples=100) for which in (0, 1)
        ]
        values.append(difference(*(numbers["recall at the operating point"] for numbers in pair)).p_value)
    assert np.mean(np.array(values) < 0.1) < 0.25
    assert np.median(values) > 0.2


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ([0.1, *[0.1] * 99], 0.02),
        ([-0.1, *[-0.1] * 99], 0.02),
        ([0.0, *[0.0] * 99], 1.0),
        ([0.1, *[0.1] * 89, *[-0.1] * 10], 0.22),
        ([0.1], None),
        ([np.nan, 0.1, 0.2], None),
        ([0.1, np.nan, np.nan, 0.2], None),
    ],
)
def test_p_value_by_hand(delta: list[float], expected: float | None) -> None:
    assert p_value(np.array(delta)) == (expected if expected is None else pytest.approx(expected, abs=1e-5))


@pytest.fixture
def second_run(random_run: Run) -> Run:
    """The same weights and data with another operating point."""
    tune_nms(random_run, device="cpu")
    folder = random_run.folder.with_name("other")
    shutil.copytree(random_run.folder, folder)
    thresholds = folder / "thresholds.yaml"
    text = thresholds.read_text()
    conf = next(line for line in text.splitlines() if line.strip().startswith("conf:"))
    thresholds.write_text(text.replace(conf, "  conf: 0.9999", 1))
    return open_run(folder)


def test_numbers_are_those_of_the_evaluations(random_run: Run, second_run: Run, tmp_path: Path) -> None:
    comparison = compare(random_run, second_run, resamples=50, device="cpu")
    rows = {row.name: row for row in comparison.differences}
    for run, of_run in ((random_run, "first"), (second_run, "second")):
        for metric in evaluate(run, resamples=0, device="cpu").metrics:
            assert getattr(rows[metric.name], of_run) == metric.value
    assert rows["mAP50"].difference == 0
    assert rows["false positives per image at the operating point"].second == 0
    paths = write_comparison(tmp_path, comparison, comparison_markdown(comparison))
    assert [path.name for path in paths] == ["comparison-tiny-other-test.json", "comparison-tiny-other-test.md"]
    content = json.loads(paths[0].read_text())
    assert (content["first"], content["second"], content["n_images"]) == ("tiny", "other", 6)
    assert len(content["differences"]) == len(rows)


def test_page_has_overall_numbers_first_and_leaves_the_long_table_to_the_file(make_scene) -> None:
    split, candidates = make_scene(4, n_images=20)
    first, second = numbers_of(split, candidates), numbers_of(split, blinded(candidates, 0.5))
    rows = tuple(difference(*pair) for pair in zip(first.values(), second.values(), strict=True))
    page = comparison_markdown(Comparison("old", "new", ("", ""), "val", ("a", "b"), 20, 20, 25, 300, rows))
    assert page.startswith(
        "# new against old on val\n\n20 images of 20 patients, 25 boxes. Differences are new less old"
    )
    assert page.index("| mAP50 |") < page.index("## Classes") < page.index("| AP50 a |")
    assert "localisation" not in page
    assert "300 resamples of the patients, the same for both runs" in page
    bare = replace(rows[0], low=None, high=None, p_value=None, difference=0.25)
    short = comparison_markdown(Comparison("old", "new", ("", ""), "val", ("a",), 20, 20, 25, 0, (bare,)))
    assert "| +0.250 | - |" in short
    assert "resamples" not in short


def test_runs_of_different_films_classes_or_boxes_are_refused(random_run: Run, make_scene) -> None:
    split, _ = make_scene(5, n_images=10)
    moved = replace(split.truth, xyxy=split.truth.xyxy + 1)
    fewer = split.truth.select(np.arange(1, len(split.truth)))
    others = {
        r"the images of the split 'val' differ \(10 and 10, 9 of them shared\)": replace(
            split, image_id=("new", *split.image_id[1:])
        ),
        r"the classes differ \(a, b and a, c\)": replace(split, classes=("a", "c")),
        "the patients of the split 'val' differ": replace(split, patient=("somebody",) * 10),
        "the true boxes of the split 'val' differ": replace(split, truth=moved),
        "the true boxes of the split 'val' differ;": replace(split, truth=fewer),
        "the true boxes of the split 'val' differ; compare": replace(split, unknown=~split.unknown),
    }
    for message, other in others.items():
        with pytest.raises(DataError, match=message) as error:
            require_same_truth((random_run, split), (random_run, other))
        assert "\n" not in str(error.value)


def test_images_built_in_another_size_are_the_same_films(random_run: Run, make_scene) -> None:
    split, candidates = make_scene(6, n_images=10)
    doubled = replace(split, sizes_px=((200, 200),) * 10, truth=replace(split.truth, xyxy=split.truth.xyxy * 2 + 0.01))
    require_same_truth((random_run, split), (random_run, doubled))
    assert measure("run", split, candidates, POINT, resamples=0).n_boxes == len(doubled.truth)
