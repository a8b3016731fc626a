"""The localisation table by hand."""

import numpy as np
import pytest

from xray_chest_detection.core.localisation import THRESHOLDS, Located, Measure, iobb, locate
from xray_chest_detection.core.matching import BoxTable


def table(rows: list[tuple[int, tuple[float, float, float, float]]], n_images: int = 3) -> BoxTable:
    count = len(rows)
    xyxy = np.array([box for _, box in rows], float).reshape(-1, 4)
    return BoxTable(np.array([image for image, _ in rows], int), np.zeros(count, int), np.ones(count), xyxy, n_images)


REAL = table([(0, (0, 0, 10, 10)), (1, (0, 0, 10, 10))])


def accuracy(located: Located, threshold: float) -> float:
    return float(located.accuracy(np.ones((1, 3)))[THRESHOLDS.index(threshold), 0])


def false_positives(located: Located, threshold: float) -> float:
    return float(located.false_positives_per_image(np.ones((1, 3)))[THRESHOLDS.index(threshold), 0])


@pytest.mark.parametrize(
    ("drawn", "by_iobb", "by_iou"),
    [
        ((0, 0, 10, 10), 1.0, 1.0),
        ((2, 2, 4, 4), 1.0, 0.04),  # a small box inside
        ((0, 0, 20, 20), 0.25, 0.25),  # a box four times as large
        ((5, 0, 15, 10), 0.5, 1 / 3),
        ((20, 20, 30, 30), 0.0, 0.0),
    ],
)
def test_iobb_forgives_boxes_that_are_too_small(drawn: tuple[float, ...], by_iobb: float, by_iou: float) -> None:
    shown = table([(0, drawn)])
    measures: tuple[tuple[Measure, float], ...] = (("IoBB", by_iobb), ("IoU", by_iou))
    for measure, overlap in measures:
        found = locate(REAL, shown, measure=measure)
        for threshold in THRESHOLDS:
            assert accuracy(found, threshold) == (0.5 if overlap > threshold else 0), (measure, threshold)
            assert false_positives(found, threshold) == pytest.approx(0 if overlap > threshold else 1 / 3)


def test_false_positives_count_on_images_without_a_finding() -> None:
    found = locate(REAL, table([(2, (0, 0, 5, 5)), (2, (0, 0, 6, 6)), (0, (0, 0, 10, 10))]), measure="IoU")
    assert false_positives(found, 0.1) == pytest.approx(2 / 3)
    assert accuracy(found, 0.1) == 0.5


def test_a_second_box_on_a_located_finding_is_no_false_positive() -> None:
    found = locate(REAL, table([(0, (0, 0, 10, 10)), (0, (0, 0, 10, 9))]), measure="IoU")
    assert false_positives(found, 0.5) == 0


def test_weights_count_images_as_often_as_they_say() -> None:
    found = locate(REAL, table([(0, (0, 0, 10, 10)), (2, (0, 0, 5, 5))]), measure="IoU")
    weights = np.array([[3.0, 1, 0], [0, 0, 1]])
    assert found.accuracy(weights)[0].tolist()[0] == 0.75
    assert np.isnan(found.accuracy(weights)[0, 1])
    assert found.false_positives_per_image(weights)[0].tolist() == [0, 1]


def test_nothing_drawn_and_nothing_there() -> None:
    assert accuracy(locate(REAL, table([]), measure="IoBB"), 0.1) == 0
    assert np.isnan(accuracy(locate(table([]), table([]), measure="IoBB"), 0.1))
    assert iobb(np.array([[1.0, 1, 1, 1]]), np.array([[0.0, 0, 9, 9]])).tolist() == [[0.0]]
