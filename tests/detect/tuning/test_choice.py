"""Thresholds of single classes."""

from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core.matching import Matches
from xray_chest_detection.detect.tuning.choice import MIN_CLASS_BOXES, choose_thresholds, shrunk
from xray_chest_detection.detect.tuning.grid import Axes, Record, grid_points
from xray_chest_detection.detect.tuning.objectives import Objective

F1 = Objective("f1")
CONFS = (0.1, 0.5)


def class_record(*, right_from: float, n_boxes: int) -> Matches:
    """Marks at 0.05, 0.1, ... 0.95 in turn; those from a score up are right, the others wrong."""
    score = np.linspace(0.95, 0.05, 19).repeat(n_boxes)
    hit = np.zeros(len(score), np.bool_)
    hit[np.flatnonzero(score >= right_from)[:n_boxes]] = True
    image = np.zeros(len(score), np.int64)
    return Matches(np.array([0.5, 0.4]), score, image, np.stack([hit, hit]), np.array([n_boxes]))


def low_and_high(n_low: int, n_high: int) -> Record:
    """A class whose finds lie at score 0.3, all right, and one whose finds lie near 0.95."""
    low = Matches(
        np.array([0.5, 0.4]),
        np.full(n_low, 0.3),
        np.zeros(n_low, np.int64),
        np.ones((2, n_low), np.bool_),
        np.array([n_low]),
    )
    return Record(0.5, False, (low, class_record(right_from=0.9, n_boxes=n_high)))


def choice(record: Record, *, per_class: bool = True):
    axes = Axes(CONFS, (0.5,))
    points = grid_points([record], axes.confs, F1)
    classes = ("low", "high")
    return choose_thresholds([record], points, classes=classes, confs=CONFS, objective=F1, per_class=per_class)


def test_a_class_with_enough_boxes_gets_its_own_threshold_drawn_to_the_shared_one() -> None:
    chosen = choice(low_and_high(n_low=30, n_high=60))
    assert chosen.conf == 0.5
    assert chosen.per_class == {"low": shrunk(0.1, 0.5, 30)} == {"low": 0.26}
    assert chosen.n_boxes == {"low": 30, "high": 60}


def test_a_threshold_that_gains_nothing_after_shrinking_is_left_out() -> None:
    assert shrunk(0.1, 0.5, MIN_CLASS_BOXES) == 0.3
    record = low_and_high(n_low=MIN_CLASS_BOXES, n_high=60)
    assert choice(record).per_class == {"low": 0.3}
    weaker = replace(record.per_class[0], score=np.full(MIN_CLASS_BOXES, 0.2))
    assert choice(Record(0.5, False, (weaker, record.per_class[1]))).per_class == {}


@pytest.mark.parametrize("n_low", [1, MIN_CLASS_BOXES - 1])
def test_a_class_with_few_boxes_keeps_the_shared_threshold(n_low: int) -> None:
    assert choice(low_and_high(n_low=n_low, n_high=60)).per_class == {}


def test_without_per_class_there_are_none() -> None:
    assert choice(low_and_high(n_low=400, n_high=60), per_class=False).per_class == {}


def test_more_boxes_move_a_threshold_further() -> None:
    moved = [shrunk(0.1, 0.5, count) for count in (0, 20, 60, 10**9)]
    assert moved == [0.5, 0.3, 0.2, 0.1]
