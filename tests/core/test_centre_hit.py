"""Centre hits by hand."""

import numpy as np
import pytest

from xray_chest_detection.core.centre_hit import SMALL_SHARE, centre_overlap, is_small, match_centres
from xray_chest_detection.core.matching import BoxTable

NODULE, HEART = (10.0, 10.0, 20.0, 20.0), (30.0, 30.0, 80.0, 80.0)
TRUTH = BoxTable(np.array([0, 0]), np.zeros(2, int), np.ones(2), np.array([NODULE, HEART]), 2)
SMALL = np.array([True, False])


@pytest.mark.parametrize(
    ("mark", "found", "false_alarms"),
    [
        ((10, 10, 20, 20), 1, 0),
        ((0, 0, 30, 30), 1, 0),  # nine times too large, in the right place
        ((14, 14, 15, 15), 1, 0),
        ((21, 10, 31, 20), 0, 1),  # beside it: its centre is outside
        ((0, 0, 100, 100), 0, 0),  # the whole film: its centre is in the heart, which is not small
        ((85, 85, 99, 99), 0, 1),
        ((40, 40, 50, 50), 0, 0),  # on the heart
        ((0, 0, 20, 20), 1, 0),  # the border belongs to the box
    ],
)
def test_a_mark_counts_by_its_centre(mark: tuple[float, ...], found: int, false_alarms: int) -> None:
    marks = BoxTable(np.array([0]), np.array([0]), np.array([0.5]), np.array([mark], float), 2)
    record = match_centres(TRUTH, marks, SMALL)
    assert (record.n_positives, int(record.hit.sum())) == (1, found)
    assert len(record.score) - int(record.hit.sum()) == false_alarms


def test_one_finding_is_found_once_by_the_best_mark() -> None:
    marks = BoxTable(np.zeros(3, int), np.zeros(3, int), np.array([0.5, 0.9, 0.7]), np.array([NODULE] * 3), 2)
    record = match_centres(TRUTH, marks, SMALL)
    assert record.score.tolist() == [0.9, 0.7, 0.5]
    assert record.hit.tolist() == [[True, False, False]]


def test_of_two_findings_a_mark_takes_the_one_it_fits_best() -> None:
    real = np.array([[0.0, 0, 40, 40], [15, 15, 25, 25]])
    assert centre_overlap(np.array([[14.0, 14, 26, 26]]), real).argmax() == 1


def test_small_is_a_share_of_the_film() -> None:
    assert is_small(TRUTH, np.full(2, 100.0 / SMALL_SHARE)).tolist() == [False, False]
    assert is_small(TRUTH, np.full(2, 101.0 / SMALL_SHARE)).tolist() == [True, False]
