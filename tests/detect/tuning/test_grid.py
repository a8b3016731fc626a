"""Every point of the grid from a few records."""

from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.thresholds import show
from xray_chest_detection.detect.tuning.grid import (
    GRIDS,
    Axes,
    GridPoint,
    choose,
    grid_csv,
    grid_points,
    make_records,
    match_marks,
)
from xray_chest_detection.detect.tuning.objectives import RECALL_MAP, Objective, measure
from xray_chest_detection.errors import ConfigError

ORIGINAL = GRIDS["original"]


def grid(candidates, split, *, axes: Axes = ORIGINAL, objective: Objective = RECALL_MAP) -> tuple[GridPoint, ...]:
    return grid_points(make_records(candidates, split, axes), axes.confs, objective)


def test_grids_have_the_sizes_they_are_known_by() -> None:
    assert [(len(axes.confs), len(axes.ious)) for axes in GRIDS.values()] == [(7, 5), (40, 9)]


@pytest.mark.parametrize(
    ("confs", "ious", "message"),
    [
        ((), (0.5,), "score thresholds of the grid: expected numbers from 0.001 to 1, got none"),
        ((0.0,), (0.5,), "score thresholds of the grid: expected numbers from 0.001 to 1, got 0"),
        ((0.1,), (0.5, 1.5), "overlaps of the grid: expected numbers from 0 to 1, got 1.5"),
        ((float("nan"),), (0.5,), "score thresholds of the grid: expected numbers from 0.001 to 1, got nan"),
    ],
)
def test_axes_outside_their_range_are_refused(confs, ious, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Axes(confs, ious)
    assert str(error.value) == message


def test_every_point_equals_a_computation_of_its_own(make_scene) -> None:
    split, candidates = make_scene()
    points = grid(candidates, split)
    assert len(points) == 7 * 5 * 2
    for point in points[::7]:
        shown = show(candidates, Thresholds(conf=point.conf, iou=point.iou, agnostic=point.agnostic), split.classes)
        marks = matching.BoxTable.from_detections(shown)
        at = measure(match_marks(marks, split))
        assert vars(at).items() <= vars(point).items()
        per_class = matching.match_classes(split.truth, marks, n_classes=2, max_detections=300)
        assert point.recall == pytest.approx(metrics.counts(matching.pool(per_class)).recall)
        assert point.score == pytest.approx((point.map50 + point.best_recall) / 2)
        low = matching.match_classes(split.truth, marks, n_classes=2, ious=(0.4,), max_detections=300)
        assert point.sensitivity40 == metrics.counts(matching.pool(low)).recall


def test_one_class_has_one_mode(make_scene) -> None:
    split, candidates = make_scene(classes=("a",))
    assert {point.agnostic for point in grid(candidates, split)} == {False}


def test_a_record_of_some_images_is_that_of_a_smaller_split(make_scene) -> None:
    split, candidates = make_scene(3, n_images=12)
    images = np.arange(12) % 3 != 0
    rows = np.flatnonzero(images)
    kept = split.truth.select(images[split.truth.image])
    truth = matching.BoxTable(np.searchsorted(rows, kept.image), kept.class_id, kept.score, kept.xyxy, len(rows))
    names = tuple(np.array(split.image_id)[images])
    part = replace(split, image_id=names, patient=names, truth=truth, unknown=split.unknown[images])
    fewer = Candidates(names, tuple(candidates.per_image[row] for row in rows))
    records = [record.on_images(images) for record in make_records(candidates, split, ORIGINAL)]
    assert grid_points(records, ORIGINAL.confs, RECALL_MAP) == grid(fewer, part)


def test_unknown_classes_count_neither_as_found_nor_as_missed(make_scene) -> None:
    split, candidates = make_scene(8, n_images=20)
    unknown = np.ones((20, 2), np.bool_)
    unknown[split.truth.image, split.truth.class_id] = False
    before, after = grid(candidates, split), grid(candidates, replace(split, unknown=unknown))
    assert sum(point.false_alarms_per_image for point in after) < sum(point.false_alarms_per_image for point in before)
    assert [point.recall for point in after] == [point.recall for point in before]
    nothing = grid(candidates, replace(split, unknown=np.ones((20, 2), np.bool_)))
    assert {(point.recall, point.false_alarms_per_image) for point in nothing} == {(0.0, 0.0)}


def test_suppression_is_chosen_by_ranking_and_the_threshold_by_f1(make_scene) -> None:
    split, candidates = make_scene()
    objective = Objective("map_then_f1")
    points = grid(candidates, split, objective=objective)
    best = choose(points, objective)
    lowest = [point for point in points if point.conf == min(ORIGINAL.confs)]
    alike = [point for point in points if (point.iou, point.agnostic) == (best.iou, best.agnostic)]
    assert max(point.map50 for point in lowest) == next(point.map50 for point in lowest if point in alike)
    assert best.f1 == max(point.f1 for point in alike)


def test_the_most_sensitive_point_within_the_limit_is_chosen(make_scene) -> None:
    split, candidates = make_scene(n_images=20)
    objective = Objective("sensitivity", rate=1.0)
    points = grid(candidates, split, objective=objective)
    best = choose(points, objective)
    assert best.false_alarms40 <= 1.0
    within = [point for point in points if point.false_alarms40 <= 1.0]
    assert 0 < len(within) < len(points)
    assert best.sensitivity40 == max(point.sensitivity40 for point in within)
    assert [point.allowed for point in points] == [point in within for point in points]


def test_when_nothing_is_quiet_enough_the_quietest_is_chosen(make_scene) -> None:
    split, candidates = make_scene(n_images=20)
    objective = Objective("sensitivity", rate=1e-6)
    axes = Axes((0.1, 0.3), (0.5, 0.8))
    points = grid(candidates, split, axes=axes, objective=objective)
    assert choose(points, objective).false_alarms40 == min(point.false_alarms40 for point in points) > 0


def test_of_equal_points_the_quieter_one_is_chosen() -> None:
    def point(conf: float, iou: float, agnostic: bool, score: float) -> GridPoint:
        return GridPoint(*(score,) * 8, conf=conf, iou=iou, agnostic=agnostic, score=score, allowed=True)

    points = [
        point(0.1, 0.5, False, 0.3),
        point(0.2, 0.5, False, 0.3),
        point(0.2, 0.3, False, 0.3),
        point(0.6, 0.1, True, 0.2),
    ]
    assert choose(points, RECALL_MAP) is points[2]


def test_csv_has_every_point_in_order(make_scene) -> None:
    split, candidates = make_scene()
    points = grid(candidates, split)
    lines = grid_csv(points).splitlines()
    assert lines[0].startswith("conf,iou,agnostic,map50")
    assert lines[0].endswith("score,allowed")
    assert [float(line.split(",")[-2]) for line in lines[1:]] == [round(point.score, 5) for point in points]
