"""What each reader drew, and the estimates of the consensus on images on which somebody drew something."""

import numpy as np
import pytest

from tests.data.readings_by_hand import CLASSES, box, by_hand
from xray_chest_detection.data.reader_table import on_images_with_boxes, reader_rows


def simulated(*, films, empty):
    """R1 finds 95 % of the findings, R2 60 %; R3 finds 95 % and invents a box on every second film."""
    rng = np.random.default_rng(0)
    drawn = {}
    for film in range(films):
        truth = [box(str(rng.choice(CLASSES)), 30 * place) for place in range(3)]
        chance = {"R1": 0.95, "R2": 0.6, "R3": 0.95}
        drawn[f"f{film}"] = {
            reader: [finding for finding in truth if rng.random() < found] for reader, found in chance.items()
        }
        if film % 2:
            drawn[f"f{film}"]["R3"].append(box(str(rng.choice(CLASSES)), 200 + rng.uniform(0, 300)))
    for film in range(empty):
        drawn[f"g{film}"] = {"R2": [], "R3": [], "R4": []}
    return by_hand(drawn)


def test_estimates_are_near_the_truth_and_not_moved_by_healthy_films():
    for empty in (0, 3000):
        rows, _ = reader_rows(simulated(films=200, empty=empty))
        sensitivity = {row.reader: row.sensitivity for row in rows}
        assert sensitivity["R1"] == pytest.approx(0.95, abs=0.05)
        assert sensitivity["R2"] == pytest.approx(0.6, abs=0.08)
        assert {row.reader: row.false_positives for row in rows}["R3"] == pytest.approx(0.5, abs=0.1)


def test_counts_and_readers_who_drew_nothing():
    rows, per_class = reader_rows(simulated(films=40, empty=10))
    assert [row.reader for row in rows] == ["R1", "R2", "R3", "R4"]
    third, fourth = rows[2], rows[3]
    assert (third.images, third.images_drawn_on) == (50, 40)
    assert (fourth.images, fourth.images_drawn_on, fourth.boxes) == (10, 0, 0)
    estimates = (fourth.sensitivity, fourth.false_positives, fourth.right_name, fourth.edge_error)
    assert estimates == (None, None, None, None)
    assert [row.reader for row in per_class] == ["R1"] * 3 + ["R2"] * 3 + ["R3"] * 3
    assert sum(row.boxes for row in per_class if row.reader == "R3") == third.boxes


def test_nobody_drew_anything():
    rows, per_class = reader_rows(by_hand({"a": {"R1": [], "R2": []}}))
    assert [(row.images, row.boxes, row.sensitivity) for row in rows] == [(1, 0, None)] * 2
    assert per_class == []


def test_images_without_a_box_are_left_out():
    readings = simulated(films=5, empty=3)
    kept = on_images_with_boxes(readings)
    assert kept.images == ("f0", "f1", "f2", "f3", "f4")
    assert kept.readers == readings.readers
    assert [kept.images[row] for row in kept.image] == [readings.images[row] for row in readings.image]
