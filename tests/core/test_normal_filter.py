import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.normal_filter import NormalFilter, abnormality, filter_normals

SCORES = st.lists(st.floats(0, 1, width=32), max_size=8)
FILTERS = st.builds(
    NormalFilter, rule=st.sampled_from(["max", "noisy_or"]), threshold=st.floats(0, 1), power=st.floats(0, 4)
)


def marks(*scores):
    count = len(scores)
    xyxy = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    return Detections(xyxy, np.array(scores, np.float32), np.arange(count) % 2, 90, 80)


@pytest.mark.parametrize(
    ("scores", "highest", "noisy_or"),
    [((), 0, 0), ((0.4,), 0.4, 0.4), ((0.5, 0.5), 0.5, 0.75), ((1.0, 0.1), 1, 1), ((0.2, 0.1, 0.5), 0.5, 0.64)],
)
def test_abnormality(scores, highest, noisy_or):
    assert abnormality(marks(*scores), "max") == pytest.approx(highest)
    assert abnormality(marks(*scores), "noisy_or") == pytest.approx(noisy_or, abs=1e-6)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (NormalFilter(), [0.5, 0.2]),
        (NormalFilter(threshold=0.5), [0.5, 0.2]),
        (NormalFilter(threshold=0.51), []),
        (NormalFilter(power=1), [0.25, 0.1]),
        (NormalFilter(rule="noisy_or", power=2), [0.5 * 0.36, 0.2 * 0.36]),
        (NormalFilter(rule="noisy_or", threshold=0.6, power=0.5), [0.5 * 0.6**0.5, 0.2 * 0.6**0.5]),
    ],
)
def test_marks_are_weakened_or_removed(chosen, expected):
    found = filter_normals(marks(0.5, 0.2), chosen)
    assert found.score.tolist() == pytest.approx(expected, abs=1e-6)
    assert (found.width_px, found.height_px) == (90, 80)


def test_classifier_decides():
    chosen = NormalFilter(rule="given", threshold=0.3, power=1)
    assert filter_normals(marks(0.9), chosen, given=0.5).score.tolist() == pytest.approx([0.45])
    assert len(filter_normals(marks(0.9), chosen, given=0.29)) == 0
    with pytest.raises(ValueError, match="the rule 'given' needs the score of a classifier"):
        filter_normals(marks(0.9), chosen)


@given(SCORES, FILTERS)
def test_no_mark_is_moved_strengthened_or_put_before_a_better_one(scores, chosen):
    before = marks(*scores)
    after = filter_normals(before, chosen)
    assert after.score.dtype == np.float32
    assert len(after) in (0, len(before))
    if len(after):
        assert np.array_equal(after.xyxy, before.xyxy)
        assert np.array_equal(after.class_id, before.class_id)
        assert (after.score <= before.score).all()
        assert (np.diff(after.score[np.argsort(-before.score, kind="stable")]) <= 0).all()


@pytest.mark.parametrize("wrong", [{"threshold": 1.1}, {"power": -1}, {"rule": "mean"}, {"strength": 1}])
def test_filters_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        NormalFilter(**wrong)
