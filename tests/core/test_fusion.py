"""Two views of a film as one list: by hand, its invariants, and against a reference implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.fusion import SAME_IOU, fuse_views
from xray_chest_detection.core.nms import nms

SIDE = 200


def view(*rows: tuple[float, ...]) -> Detections:
    """Candidates of one view: (class id, score, x_min, y_min, x_max, y_max)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        table[:, 2:].astype(np.float32), table[:, 1].astype(np.float32), table[:, 0].astype(np.int64), SIDE, SIDE
    )


def random_view(seed: int, *, classes: int = 3, n: int = 30) -> Detections:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 8, (n, 2)) * 12
    xyxy = np.concatenate([corner, corner + rng.integers(20, 80, (n, 2))], axis=1).astype(np.float32)
    return Detections(xyxy, rng.random(n).astype(np.float32), rng.integers(0, classes, n), SIDE, SIDE)


def rows_of(found: Detections) -> np.ndarray:
    rows = np.column_stack([found.class_id, found.score, found.xyxy]).round(3)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], []),
        ([(0, 0.8, 10, 10, 50, 50)], [], [(0, 0.4, 10, 10, 50, 50)]),
        ([], [(1, 0.6, 10, 10, 50, 50)], [(1, 0.3, 10, 10, 50, 50)]),
        ([(0, 0.8, 10, 10, 50, 50)], [(0, 0.4, 10, 10, 50, 50)], [(0, 0.6, 10, 10, 50, 50)]),
        ([(0, 0.9, 0, 0, 60, 60)], [(0, 0.3, 4, 0, 64, 60)], [(0, 0.6, 1, 0, 61, 60)]),
        ([(0, 0.8, 10, 10, 50, 50)], [(1, 0.8, 10, 10, 50, 50)], [(0, 0.4, 10, 10, 50, 50), (1, 0.4, 10, 10, 50, 50)]),
        ([(0, 0.8, 0, 0, 40, 40)], [(0, 0.8, 20, 0, 60, 40)], [(0, 0.4, 0, 0, 40, 40), (0, 0.4, 20, 0, 60, 40)]),
    ],
    ids=["nothing", "first only", "second only", "agreement", "weighted mean", "other class", "too far apart"],
)
def test_by_hand(first, second, expected):
    np.testing.assert_allclose(rows_of(fuse_views(view(*first), view(*second))), rows_of(view(*expected)), atol=1e-3)


def test_each_box_has_one_partner_and_the_best_pair_comes_first():
    one = view((0, 0.9, 0, 0, 100, 40), (0, 0.5, 36, 0, 136, 40))
    other = view((0, 0.7, 18, 0, 118, 40))
    found = fuse_views(one, other)
    assert found.score.tolist() == pytest.approx([0.8, 0.25])


def test_a_view_is_suppressed_before_the_fusion():
    one = view((0, 0.9, 0, 0, 100, 100), (0, 0.8, 2, 0, 102, 100))
    assert fuse_views(one, one).score.tolist() == pytest.approx([0.9])


@given(st.integers(0, 10_000))
def test_the_order_of_the_views_makes_no_difference(seed):
    one, other = random_view(seed), random_view(seed + 1)
    np.testing.assert_allclose(rows_of(fuse_views(one, other)), rows_of(fuse_views(other, one)), atol=2e-3)


@given(st.integers(0, 10_000))
def test_a_view_fused_with_itself_is_the_suppressed_view(seed):
    one = random_view(seed)
    np.testing.assert_allclose(rows_of(fuse_views(one, one)), rows_of(nms(one, conf=0, iou=0.5)), atol=2e-3)


@given(st.integers(0, 10_000))
def test_scores_fall_and_their_sum_is_kept(seed):
    one, other = random_view(seed), random_view(seed + 1)
    found = fuse_views(one, other)
    assert (np.diff(found.score) <= 0).all()
    before = sum(float(nms(each, conf=0, iou=0.5).score.sum()) for each in (one, other))
    assert float(found.score.sum()) == pytest.approx(before / 2, rel=1e-4)


def test_agrees_with_weighted_boxes_fusion_where_groups_are_clear():
    """ensemble-boxes has no limit of one box per view, so findings lie far apart here."""
    reference = pytest.importorskip("ensemble_boxes", reason="ensemble-boxes is not installed")
    rng = np.random.default_rng(0)
    corners = np.array([(x, y) for x in (5, 75, 140) for y in (5, 75, 140)], float)[:7]
    views = []
    for keep in (slice(0, 5), slice(2, 7)):
        place = corners[keep] + rng.uniform(0, 3, (5, 2))
        views.append(view(*((n % 2, rng.uniform(0.1, 0.9), *xy, *(xy + 45)) for n, xy in enumerate(place, keep.start))))
    boxes, scores, labels = reference.weighted_boxes_fusion(
        [(one.xyxy / SIDE).tolist() for one in views],
        [one.score.tolist() for one in views],
        [one.class_id.tolist() for one in views],
        iou_thr=SAME_IOU,
    )
    expected = Detections((boxes * SIDE).astype(np.float32), scores.astype(np.float32), labels.astype(int), SIDE, SIDE)
    assert len(expected) == 7
    np.testing.assert_allclose(rows_of(fuse_views(*views)), rows_of(expected), atol=2e-2)
