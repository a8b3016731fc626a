"""Which boxes are taken for one finding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.consensus.conftest import build_readings, random_readings
from xray_chest_detection.core import boxes
from xray_chest_detection.data.consensus.clusters import cluster_by_reader, cluster_connected, join_classes
from xray_chest_detection.data.consensus.halves import rejoin_halves

A, B, C = (0, 0, 100, 100), (0, 0, 100, 80), (0, 0, 100, 60)
UPPER, LOWER = (0, 0, 100, 55), (0, 45, 100, 100)
BIG, SMALL = (0, 0, 200, 200), (150, 150, 220, 220)


def one_image(*drawn):
    return build_readings([(0, 0, reader, *box) for reader, box in drawn])


@pytest.mark.parametrize(
    ("drawn", "clusters"),
    [
        ([], []),
        ([(0, A)], [1]),
        ([(0, A), (0, A)], [1, 1]),
        ([(0, A), (1, B), (2, C)], [3]),
        ([(0, A), (1, B), (1, A)], [2, 1]),
        ([(0, A), (0, C), (1, B), (2, B)], [3, 1]),
    ],
)
def test_a_cluster_has_at_most_one_box_of_a_reader(drawn, clusters):
    found = cluster_by_reader(one_image(*drawn), 0.4)
    assert sorted(found.votes.sum(axis=1), reverse=True) == clusters


def test_the_best_overlap_decides_which_box_of_a_reader_it_is():
    readings = one_image((0, C), (0, A), (1, A))
    found = cluster_by_reader(readings, 0.4)
    assert found.label[(readings.reader == 0) & (readings.xyxy[:, 3] == 100)] == found.label[readings.reader == 1]


@settings(max_examples=100, deadline=None)
@given(random_readings(), st.floats(0.1, 0.9))
def test_clusters_are_within_reach_of_each_other_and_none_is_left_over(readings, iou):
    found = cluster_by_reader(readings, iou)
    votes = np.zeros((len(found), len(readings.readers)), int)
    np.add.at(votes, (found.label, readings.reader), 1)
    assert votes.max(initial=0) <= 1
    group = readings.image * len(readings.classes) + readings.class_id
    mean = {}
    for first in range(len(found)):
        for second in range(first, len(found)):
            rows, others = found.label == first, found.label == second
            if len(set(group[rows | others])) == 1:
                overlaps = boxes.iou(readings.xyxy[rows], readings.xyxy[others])
                mean[first, second] = overlaps.mean() if first != second else overlaps.sum()
    for (first, second), overlap in mean.items():
        if first != second and not (found.votes[first] & found.votes[second]).any():
            assert overlap < iou + 1e-8


def test_a_chain_of_overlaps_between_readers_is_connected():
    step = [(0, (0, 0, 100, 100)), (1, (30, 0, 130, 100)), (2, (60, 0, 160, 100)), (0, (90, 0, 190, 100))]
    assert len(cluster_connected(one_image(*step), 0.5)) == 1
    assert len(cluster_connected(one_image(*step), 0.6)) == 4
    assert len(cluster_connected(one_image((0, A), (0, A)), 0.5)) == 2


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        ([(0, 0, A), (1, 1, A)], 1),
        ([(0, 0, A), (0, 1, A)], 2),
        ([(0, 0, A), (0, 1, A), (1, 1, A)], 2),
        ([(0, 0, A), (1, 1, C)], 2),
        ([(0, 0, A), (1, 1, A), (2, 0, LOWER)], 2),
    ],
    ids=["another name", "one reader sees both", "a vote for both", "too far", "a class once a place"],
)
def test_clusters_of_several_classes_share_a_place(rows, places):
    readings = build_readings([(0, class_id, reader, *box) for reader, class_id, box in rows], n_classes=2)
    found = cluster_by_reader(readings, 0.65)
    assert len(np.unique(join_classes(readings, found, 0.65))) == places


@pytest.mark.parametrize(
    ("drawn", "joined"),
    [
        ([(0, UPPER), (0, LOWER), (1, A)], True),
        ([(0, UPPER), (0, LOWER), (1, A), (2, A)], True),
        ([(0, UPPER), (0, LOWER)], False),
        ([(0, UPPER), (0, LOWER), (1, UPPER), (1, LOWER), (2, A)], False),
        ([(0, BIG), (0, SMALL), (1, BIG)], False),
        ([(0, BIG), (0, SMALL), (1, BIG), (1, SMALL)], False),
    ],
    ids=["one against one", "all others", "nobody else", "most drew two", "big beside small", "both drew both"],
)
def test_two_boxes_become_one_where_the_others_drew_one(drawn, joined):
    readings = one_image(*drawn)
    whole = rejoin_halves(readings, 0.4)
    assert len(whole) == len(readings) - joined
    if joined:
        assert whole.xyxy[whole.reader == 0].tolist() == [list(A)]


@settings(max_examples=60, deadline=None)
@given(random_readings())
def test_rejoining_keeps_what_was_drawn_inside(readings):
    whole = rejoin_halves(readings, 0.4)
    assert len(whole) <= len(readings)
    for column in ("image", "class_id", "reader"):
        assert set(getattr(whole, column)) == set(getattr(readings, column))
    for row in range(len(readings)):
        same = (
            (whole.image == readings.image[row])
            & (whole.class_id == readings.class_id[row])
            & (whole.reader == readings.reader[row])
        )
        inside = (whole.xyxy[:, :2] <= readings.xyxy[row, :2]) & (whole.xyxy[:, 2:] >= readings.xyxy[row, 2:])
        assert (inside.all(axis=1) & same).any()
