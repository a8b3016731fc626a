"""Matches of two readers and findings of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.data.readings_by_hand import box, by_hand, random_readings
from xray_chest_detection.core import boxes
from xray_chest_detection.data.box_pairs import findings_of, matched_pairs, overlapping_pairs
from xray_chest_detection.data.readings import Readings


def named(readings, rows):
    return [(readings.readers[readings.reader[row]], readings.classes[readings.class_id[row]]) for row in rows]


def test_no_boxes_no_pairs():
    readings = by_hand({"a": {"R1": [], "R2": []}})
    assert len(overlapping_pairs(readings, iou=0.4).iou) == 0
    assert findings_of(readings, iou=0.4).tolist() == []


def test_pairs_are_of_one_image_and_two_readers():
    readings = by_hand(
        {"a": {"R1": [box("Mass", 0), box("Mass", 1)], "R2": [box("ILD", 0)]}, "b": {"R2": [box("Mass", 0)]}}
    )
    pairs = overlapping_pairs(readings, iou=0.4)
    assert [named(readings, pair) for pair in zip(pairs.first, pairs.second, strict=True)] == [
        [("R1", "Mass"), ("R2", "ILD")],
        [("R1", "Mass"), ("R2", "ILD")],
    ]
    assert pairs.iou.tolist() == [1.0, pytest.approx(9 / 11)]


def test_each_box_has_one_partner_per_reader_and_the_closest_first():
    readings = by_hand(
        {"a": {"R1": [box("Mass", 0), box("Mass", 2)], "R2": [box("Mass", 1.9)], "R3": [box("Mass", 0)]}}
    )
    matches = matched_pairs(readings, iou=0.4)
    left = readings.xyxy[:, 0]
    found = {(left[one], left[other], int(readings.reader[other])) for one, other, _ in zip(*matches, strict=True)}
    assert found == {(2.0, 1.9, 1), (0.0, 0.0, 2), (1.9, 0.0, 2)}


def test_other_classes_do_not_match():
    readings = by_hand({"a": {"R1": [box("Mass", 0)], "R2": [box("ILD", 0)]}})
    assert len(matched_pairs(readings, iou=0.4).iou) == 0
    assert findings_of(readings, iou=0.4).tolist() == [0, 0]


def test_of_two_boxes_on_one_place_the_one_of_the_same_class_is_the_finding():
    readings = by_hand({"a": {"R1": [box("ILD", 1), box("Mass", 0)], "R2": [box("ILD", 0), box("Mass", 1)]}})
    finding = findings_of(readings, iou=0.4)
    assert finding[0] == finding[1] != finding[2] == finding[3]  # rows are ordered by class, then reader


def test_a_finding_has_one_box_of_each_reader():
    readings = by_hand(
        {"a": {"R1": [box("Mass", 0), box("Mass", 1)], "R2": [box("Mass", 0.4)], "R3": [box("Mass", 1)]}}
    )
    assert findings_of(readings, iou=0.4).tolist() == [0, 1, 0, 1]


@given(st.integers(0, 10_000))
def test_the_order_of_the_readers_decides_nothing(seed):
    readings = random_readings(seed)
    renamed = 2 - readings.reader
    order = np.lexsort((*readings.xyxy.T[::-1], renamed, readings.class_id, readings.image))
    columns = (readings.image[order], readings.class_id[order], renamed[order], readings.xyxy[order])
    mirrored = Readings(readings.images, readings.classes, readings.readers, *columns, readings.read[:, ::-1])
    assert len(matched_pairs(mirrored, iou=0.4).iou) == len(matched_pairs(readings, iou=0.4).iou)
    here, there = findings_of(readings, iou=0.4)[order], findings_of(mirrored, iou=0.4)
    assert ((here[:, None] == here) == (there[:, None] == there)).all()


@given(st.integers(0, 10_000))
def test_matches_at_a_higher_overlap_are_a_part_of_those_at_a_lower_one(seed):
    readings = random_readings(seed)
    low, high = matched_pairs(readings, iou=0.4), matched_pairs(readings, iou=0.6)
    assert set(zip(*high, strict=True)) == {pair for pair in zip(*low, strict=True) if pair[2] >= 0.6}


def test_a_film_of_separate_findings_is_matched_as_the_best_assignment_does():
    rng = np.random.default_rng(3)
    places = [(x, y) for x in (0, 40, 80) for y in (0, 40, 80)]
    drawn = [[box("Mass", x + rng.normal(0, 1.5), y=y + rng.normal(0, 1.5)) for x, y in places] for _ in range(2)]
    readings = by_hand({"a": {"R1": drawn[0], "R2": drawn[1]}})
    overlap = boxes.iou(readings.xyxy[readings.reader == 0], readings.xyxy[readings.reader == 1])
    rows, columns = linear_sum_assignment(-overlap)
    assert len(matched_pairs(readings, iou=0.4).iou) == (overlap[rows, columns] >= 0.4).sum() > 0
