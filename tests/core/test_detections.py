import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections


def test_empty_has_a_size_and_no_records():
    empty = Detections.empty(width_px=30, height_px=20)
    assert (len(empty), empty.width_px, empty.height_px) == (0, 30, 20)
    assert empty.to_records(["a"]) == []


def test_records_are_best_first_and_rounded():
    found = Detections(
        np.array([[0, 0, 1, 1], [1.23456, 2, 3, 4]], np.float32),
        np.array([0.2, 0.8123456], np.float32),
        np.array([0, 1]),
        10,
        10,
    )
    assert found.to_records(["a", "b"]) == [
        {"class": "b", "score": 0.81235, "box": [1.23, 2.0, 3.0, 4.0]},
        {"class": "a", "score": 0.2, "box": [0.0, 0.0, 1.0, 1.0]},
    ]


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"got \(2, 4\), \(1,\), \(1,\)"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64), 5, 5)
