"""Simulated readers: the truth is one, the habits are those that were asked for."""

from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core import boxes
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data import reader_simulation as module
from xray_chest_detection.data.reader_simulation import (
    CAREFUL,
    CLASSES,
    SCENARIOS,
    Profile,
    Scenario,
    score_against_truth,
    simulate,
)
from xray_chest_detection.data.readings import Consensus, Readings

PERFECT = Profile(jitter=0.0, sensitivity=1.0, false_positives=0.0)


def one(profile: Profile, *, n_images: int = 400, seed: int = 0) -> tuple[Readings, BoxTable]:
    return simulate(Scenario((profile,)), n_images=n_images, seed=seed)


def as_consensus(table: BoxTable, probability: float = np.nan) -> Consensus:
    count = len(table)
    votes, ones = np.ones((count, 1), np.bool_), np.ones(count)
    return Consensus(table.image, table.class_id, table.xyxy, votes, ones.astype(int), probability * ones, ones)


@pytest.mark.parametrize("name", SCENARIOS)
def test_boxes_are_ordered_whole_pixels_inside_the_film(name: str) -> None:
    readings, truth = simulate(SCENARIOS[name], n_images=150, seed=1)
    for xyxy in (readings.xyxy, truth.xyxy):
        assert (xyxy == np.round(xyxy)).all()
        assert (xyxy >= 0).all()
        assert (xyxy[:, 2:] <= [module.WIDTH_PX, module.HEIGHT_PX]).all()
        assert (xyxy[:, 2:] - xyxy[:, :2] >= module.MIN_SIDE_PX).all()
    keys = (*readings.xyxy.T[::-1], readings.reader, readings.class_id, readings.image)
    assert (np.lexsort(keys) == np.arange(len(readings))).all()
    assert readings.read.any(axis=1).all()


def test_same_seed_same_readings_and_the_truth_is_one_for_all_scenarios() -> None:
    first, truth = simulate(SCENARIOS["mixed quality"], n_images=100, seed=3)
    again, _ = simulate(SCENARIOS["mixed quality"], n_images=100, seed=3)
    other, same_truth = simulate(SCENARIOS["like VinBigData"], n_images=100, seed=3)
    assert np.array_equal(first.xyxy, again.xyxy)
    assert np.array_equal(truth.xyxy, same_truth.xyxy)
    assert len(other) != len(first)
    assert not np.array_equal(simulate(SCENARIOS["mixed quality"], n_images=100, seed=4)[1].xyxy, truth.xyxy)


def test_truth_looks_like_chest_films() -> None:
    _, truth = one(PERFECT, n_images=2000)
    sick = len(np.unique(truth.image)) / truth.n_images
    assert sick == pytest.approx(0.7, abs=0.03)
    assert 2 < len(truth) / (sick * truth.n_images) < 2.6
    side = {name: np.median(np.sqrt(boxes.area(truth.of_class(k).xyxy))) for k, name in enumerate(CLASSES)}
    assert side["Cardiomegaly"] > 5 * side["Nodule/Mass"]
    hearts = truth.of_class(CLASSES.index("Cardiomegaly"))
    assert len(np.unique(hearts.image)) == len(hearts)


def test_true_boxes_of_a_class_lie_apart() -> None:
    _, truth = one(PERFECT, n_images=300)
    for image in range(300):
        for class_id in range(len(CLASSES)):
            rows = (truth.image == image) & (truth.class_id == class_id)
            overlaps = np.triu(boxes.iou(truth.xyxy[rows], truth.xyxy[rows]), k=1)
            assert overlaps.max(initial=0) <= module.SAME_PLACE


def test_a_perfect_reader_draws_the_truth() -> None:
    readings, truth = one(PERFECT)
    assert np.array_equal(readings.image, truth.image)
    assert np.array_equal(readings.class_id, truth.class_id)
    order = np.lexsort((*truth.xyxy.T[::-1], truth.class_id, truth.image))
    assert np.array_equal(readings.xyxy, truth.xyxy[order])


@pytest.mark.parametrize(
    ("habit", "count"),
    [
        (replace(PERFECT, sensitivity=0.5), lambda truth: 0.5 * len(truth)),
        (replace(PERFECT, split=0.3), lambda truth: 1.3 * len(truth)),
        (replace(PERFECT, confusion=1.0), lambda truth: len(truth)),
    ],
    ids=["misses", "splits", "confusions"],
)
def test_a_habit_changes_the_number_of_boxes_as_it_says(habit: Profile, count) -> None:
    readings, truth = one(habit, n_images=2000)
    assert len(readings) == pytest.approx(count(truth), rel=0.05)


def test_inventions_are_as_many_as_asked_for_on_healthy_films() -> None:
    inventor = Scenario((replace(PERFECT, false_positives=0.7),))
    readings, truth = simulate(inventor, n_images=3000, seed=0, healthy=1.0)
    assert len(truth) == 0
    assert len(readings) == pytest.approx(0.7 * 3000, rel=0.05)


def test_a_confuser_swaps_look_alikes_only() -> None:
    readings, truth = one(replace(PERFECT, confusion=1.0))
    drawn = np.bincount(readings.class_id, minlength=len(CLASSES))
    real = np.bincount(truth.class_id, minlength=len(CLASSES))
    heart, fibrosis = CLASSES.index("Cardiomegaly"), CLASSES.index("Pulmonary fibrosis")
    thickening, effusion = CLASSES.index("Pleural thickening"), CLASSES.index("Pleural effusion")
    assert drawn[heart] == real[heart]
    assert drawn[fibrosis] == real[thickening]
    assert drawn[thickening] == real[fibrosis] + real[effusion]


def test_inventions_lie_on_no_true_box_and_meet_by_chance_or_when_they_are_shared() -> None:
    inventor = replace(PERFECT, sensitivity=0.0, false_positives=0.5)
    meetings = {}
    for shared in (0.0, 0.9):
        scenario = Scenario((inventor, inventor), shared_false_positives=shared)
        readings, truth = simulate(scenario, n_images=1000, seed=0)
        assert score_against_truth(as_consensus(table_of(readings)), truth).recall == 0
        mine, theirs = (table_of(readings.select(readings.reader == k)) for k in (0, 1))
        meetings[shared] = score_against_truth(as_consensus(mine), theirs).recall
    assert 0 < meetings[0.0] < 0.06
    assert meetings[0.9] > 0.2


def test_assignment_gives_most_films_to_the_busy_readers() -> None:
    readings, _ = simulate(SCENARIOS["like VinBigData"], n_images=2000, seed=0)
    assert (readings.n_readers == 3).all()
    share = readings.read.mean(axis=0)
    assert share[7:10].min() > 0.4
    assert np.delete(share, [7, 8, 9]).max() < 0.2
    assert np.delete(share, [7, 8, 9]).min() > 0.05


def test_score_of_the_truth_of_nothing_and_of_half() -> None:
    _, truth = one(CAREFUL)
    perfect = score_against_truth(as_consensus(truth), truth)
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.iou) == (1, 1, 1, 1)
    none = score_against_truth(as_consensus(truth.select(np.zeros(len(truth), np.bool_))), truth)
    assert (none.recall, none.f1) == (0, 0)
    assert np.isnan([none.precision, none.iou]).all()
    half = truth.select(np.arange(len(truth)) % 2 == 0)
    score = score_against_truth(as_consensus(half), truth)
    assert score.precision == 1
    assert score.recall == pytest.approx(len(half) / len(truth))
    assert score.f1 == pytest.approx(2 * score.recall / (1 + score.recall))


def test_score_counts_a_second_box_on_a_finding_as_wrong_and_measures_the_better_one() -> None:
    truth = BoxTable(np.array([0]), np.array([0]), np.ones(1), np.array([[0.0, 0, 100, 100]]), 1)
    two = BoxTable(np.array([0, 0]), np.zeros(2, int), np.ones(2), np.array([[0.0, 0, 100, 80], [0, 0, 100, 90]]), 1)
    consensus = replace(as_consensus(two), probability=np.array([0.6, 0.9]))
    score = score_against_truth(consensus, truth)
    assert (score.precision, score.recall) == (0.5, 1)
    assert score.iou == pytest.approx(0.9)


def table_of(readings: Readings) -> BoxTable:
    columns = readings.image, readings.class_id, np.ones(len(readings)), readings.xyxy
    return BoxTable(*columns, len(readings.images))
