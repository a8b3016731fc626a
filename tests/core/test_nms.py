import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.nms import MAX_CANDIDATES, nms


def detections(xyxy, score, class_id=None):
    count = len(score)
    return Detections(
        np.asarray(xyxy, np.float32).reshape(count, 4),
        np.asarray(score, np.float32),
        np.zeros(count, np.int64) if class_id is None else np.asarray(class_id, np.int64),
        200,
        200,
    )


def random_detections(seed, count, *, ties=False):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (count, 2))
    score = rng.integers(1, 4, count) / 4 if ties else rng.permutation(np.linspace(0.01, 0.99, count))
    return detections(
        np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], axis=1), score, rng.integers(0, 3, count)
    )


def same(first, second):
    return (
        np.array_equal(first.xyxy, second.xyxy)
        and np.array_equal(first.score, second.score)
        and np.array_equal(first.class_id, second.class_id)
    )


def test_nothing_stays_nothing():
    assert len(nms(Detections.empty(width_px=10, height_px=10), conf=0.1, iou=0.5)) == 0


@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5, 0.6, 0.8])
def test_equals_torchvision_when_no_scores_tie(iou, agnostic):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    found = random_detections(3, 200)
    xyxy, score = torch.from_numpy(found.xyxy), torch.from_numpy(found.score)
    if agnostic:
        expected = ops.nms(xyxy, score, iou)
    else:
        expected = ops.batched_nms(xyxy, score, torch.from_numpy(found.class_id), iou)
    assert same(nms(found, conf=0.0, iou=iou, agnostic=agnostic), found.select(expected.numpy()))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.booleans(), st.randoms(use_true_random=False))
def test_result_does_not_depend_on_the_order_even_of_ties(seed, count, agnostic, random):
    found = random_detections(seed, count, ties=True)
    order = list(range(count))
    random.shuffle(order)
    shuffled = found.select(np.array(order, np.int64))
    assert same(nms(found, conf=0.3, iou=0.5, agnostic=agnostic), nms(shuffled, conf=0.3, iou=0.5, agnostic=agnostic))


def test_classes_suppress_each_other_only_when_agnostic():
    found = detections([[0, 0, 10, 10], [0, 0, 10, 10]], [0.9, 0.8], [0, 1])
    assert len(nms(found, conf=0.1, iou=0.5)) == 2
    assert nms(found, conf=0.1, iou=0.5, agnostic=True).class_id.tolist() == [0]


def test_threshold_keeps_equal_scores_and_overlap_keeps_equal_overlaps():
    found = detections([[0, 0, 10, 10], [0, 5, 10, 10], [50, 50, 60, 60]], [0.5, 0.4, 0.25])
    kept = nms(found, conf=0.25, iou=0.5)
    assert kept.score.tolist() == pytest.approx([0.5, 0.4, 0.25])


def test_at_most_max_detections_are_kept():
    assert len(nms(random_detections(0, 50), conf=0, iou=1.0, max_detections=7)) == 7


def test_only_the_best_candidates_are_compared():
    corner = np.arange(MAX_CANDIDATES + 10) * 20.0
    xyxy = np.stack([corner, corner, corner + 10, corner + 10], axis=1)
    found = detections(xyxy, np.linspace(0.1, 0.9, len(corner)))
    assert nms(found, conf=0, iou=0.5, max_detections=10**6).score.min() > 0.1
