"""What each rule makes of a few boxes, and what all of them have in common."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.consensus.conftest import build_readings, random_readings
from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.readings import Readings, consensus_table

RULES = ("most_frequent_reader", "union", "wbf", "quorum", "em")
A, NEAR_A = (0, 0, 100, 100), (10, 0, 110, 100)
TOP, BOTTOM = (0, 0, 100, 55), (0, 45, 100, 100)
FAR = (500, 500, 600, 600)

# rule, (reader, box) of one image, expected (box, voters)
CASES = [
    *((rule, [], []) for rule in RULES),
    ("most_frequent_reader", [(0, A), (1, NEAR_A), (1, FAR)], [(NEAR_A, (0, 1)), (FAR, (1,))]),
    ("most_frequent_reader", [(1, NEAR_A), (2, A)], [(NEAR_A, (1, 2))]),
    ("union", [(0, A), (1, NEAR_A), (1, FAR)], [((5, 0, 105, 100), (0, 1)), (FAR, (1,))]),
    ("union", [(0, A), (1, TOP), (1, BOTTOM)], [(A, (0, 1))]),
    ("wbf", [(0, A), (1, NEAR_A), (1, FAR)], [((5, 0, 105, 100), (0, 1)), (FAR, (1,))]),
    ("quorum", [(0, A), (1, NEAR_A), (1, FAR)], [((5, 0, 105, 100), (0, 1))]),
    ("quorum", [(0, A), (0, NEAR_A)], []),
    ("em", [(0, A), (1, A), (2, A)], [(A, (0, 1, 2))]),
    ("em", [(0, A), (1, TOP), (1, BOTTOM), (2, A)], [(A, (0, 1, 2))]),
]


@pytest.mark.parametrize(("rule", "boxes", "expected"), CASES)
def test_a_few_boxes(rule, boxes, expected):
    consensus = merge(build_readings([(0, 0, reader, *box) for reader, box in boxes]), ConsensusConfig(rule=rule))
    voters = [tuple(np.flatnonzero(votes)) for votes in consensus.votes]
    assert voters == [by for _, by in expected]
    np.testing.assert_allclose(consensus.xyxy, np.reshape([box for box, _ in expected], (-1, 4)))
    assert (consensus.n_readers == 3).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(0, 1, 3), (2, 0, 3), (2, 1, 0), (0, 0, 0)], ids=str)
def test_nothing_gives_nothing(rule, shape):
    n_images, n_classes, n_readers = shape
    empty = build_readings([], n_images=n_images, n_classes=n_classes, n_readers=n_readers)
    consensus = merge(empty, ConsensusConfig(rule=rule))
    assert len(consensus) == 0
    assert consensus.xyxy.shape == (0, 4)
    assert len(consensus_table(consensus, empty)) == 0


@pytest.mark.parametrize(("readers", "kept"), [(1, 1), (2, 1), (3, 0)])
def test_a_quorum_is_never_more_than_all_readers(readers, kept):
    boxes = [(0, 0, reader, *A) for reader in range(min(readers, 2))]
    consensus = merge(build_readings(boxes, n_readers=readers), ConsensusConfig(rule="quorum", quorum=3))
    assert len(consensus) == kept


def test_spread_is_the_distance_of_the_voters_edges():
    readings = build_readings([(0, 0, 0, *A), (0, 0, 1, *NEAR_A), (0, 0, 2, *FAR)])
    mean = merge(readings, ConsensusConfig(rule="quorum", quorum=1))
    assert mean.spread_px[0] == pytest.approx(np.sqrt((4 * 25) / 8))
    assert np.isnan(mean.spread_px[1])
    assert np.isnan(mean.probability).all()


@pytest.mark.parametrize("rule", RULES)
def test_least_agreement_counts_silent_readers(rule):
    readings = build_readings([(0, 0, 0, *A), (0, 0, 1, *A), (0, 0, 0, *FAR)])
    for least, kept in ((0.0, 2), (2 / 3, 1), (0.67, 0)):
        config = ConsensusConfig(rule=rule, quorum=1, min_probability=0, min_agreement=least)
        assert len(merge(readings, config)) == kept


def test_classes_and_images_are_kept_apart():
    readings = build_readings([(0, 0, 0, *A), (0, 1, 1, *A), (1, 0, 2, *A)], n_images=2, n_classes=2)
    for rule in RULES:
        consensus = merge(readings, ConsensusConfig(rule=rule, quorum=1, min_probability=0))
        assert list(zip(consensus.image, consensus.class_id, strict=True)) == [(0, 0), (0, 1), (1, 0)]


@settings(max_examples=60, deadline=None)
@given(random_readings(), st.sampled_from(RULES), st.floats(0.1, 0.9))
def test_every_row_is_honest(readings, rule, iou):
    consensus = merge(readings, ConsensusConfig(rule=rule, iou=iou, quorum=1, min_probability=0))
    assert consensus.votes.any(axis=1).all()
    assert (consensus.votes <= readings.read[consensus.image]).all()
    assert (consensus.n_readers == readings.n_readers[consensus.image]).all()
    assert (consensus.xyxy[:, 2:] > consensus.xyxy[:, :2]).all()
    assert np.array_equal(np.isnan(consensus.spread_px), consensus.votes.sum(axis=1) == 1)
    known = consensus.probability[~np.isnan(consensus.probability)]
    assert len(known) == (len(consensus) if rule == "em" else 0)
    assert ((known >= 0) & (known <= 1)).all()
    rows = np.column_stack([consensus.image, consensus.class_id, consensus.xyxy])
    assert np.array_equal(rows, rows[np.lexsort(rows.T[::-1])])


@settings(max_examples=60, deadline=None)
@given(random_readings(), st.sampled_from(("union", "quorum", "em")), st.permutations(range(4)))
def test_readers_have_no_rank(readings, rule, order):
    config = ConsensusConfig(rule=rule, quorum=2, min_probability=0)
    new_name = np.array([name for name in order if name < len(readings.readers)])
    first, second = merge(readings, config), merge(renamed(readings, new_name), config)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.class_id, second.class_id)
    np.testing.assert_allclose(first.xyxy, second.xyxy, rtol=1e-6)
    np.testing.assert_allclose(first.probability, second.probability, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_the_same_readings_give_the_same_bits(rule, real_readings):
    some = real_readings.select(real_readings.image < 600)
    first, second = (merge(some, ConsensusConfig(rule=rule)) for _ in range(2))
    assert np.array_equal(first.xyxy, second.xyxy)
    assert np.array_equal(first.probability, second.probability, equal_nan=True)


def renamed(readings: Readings, new_name: np.ndarray) -> Readings:
    """The same boxes by readers of other names: reader `r` becomes `new_name[r]`."""
    reader = new_name[readings.reader]
    order = np.lexsort((*readings.xyxy.T[::-1], reader, readings.class_id, readings.image))
    read = np.empty_like(readings.read)
    read[:, new_name] = readings.read
    columns = {name: getattr(readings, name)[order] for name in ("image", "class_id", "xyxy")}
    return replace(readings, reader=reader[order], read=read, **columns)
