import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xray_chest_detection.core import boxes

coordinates = arrays(np.float64, st.tuples(st.integers(0, 8), st.just(4)), elements=st.floats(0, 3000))


def sorted_corners(values):
    return np.concatenate([np.minimum(values[:, :2], values[:, 2:]), np.maximum(values[:, :2], values[:, 2:])], axis=1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (np.zeros((0, 4)), np.array([[0, 0, 1, 1.0]]), np.zeros((0, 1))),
        (np.array([[0, 0, 2, 2.0]]), np.array([[0, 0, 2, 2.0]]), [[1]]),
        (np.array([[0, 0, 2, 2.0]]), np.array([[2, 0, 4, 2.0]]), [[0]]),
        (np.array([[0, 0, 4, 4.0]]), np.array([[1, 1, 3, 3.0]]), [[0.25]]),
        (np.array([[1, 1, 1, 1.0]]), np.array([[1, 1, 1, 1.0]]), [[0]]),
    ],
    ids=["empty", "equal", "touching", "inside", "two points"],
)
def test_iou_of_known_pairs(first, second, expected):
    np.testing.assert_allclose(boxes.iou(first, second), expected)


@given(coordinates, coordinates)
def test_iou_is_symmetrical_and_between_0_and_1(first, second):
    first, second = sorted_corners(first), sorted_corners(second)
    overlap = boxes.iou(first, second)
    np.testing.assert_allclose(overlap, boxes.iou(second, first).T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-9)).all()


@given(coordinates)
def test_paired_iou_is_the_diagonal_of_all_pairs(values):
    first, second = sorted_corners(values), sorted_corners(values[::-1])
    np.testing.assert_allclose(boxes.paired_iou(first, second), np.diag(boxes.iou(first, second)), atol=1e-12)


def test_iou_equals_torchvision():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ops = pytest.importorskip("torchvision.ops", reason="torchvision is not installed")
    corners = sorted_corners(np.random.default_rng(0).uniform(0, 100, (40, 4)))
    expected = ops.box_iou(torch.from_numpy(corners), torch.from_numpy(corners)).numpy()
    np.testing.assert_allclose(boxes.iou(corners, corners), expected, atol=1e-12)


@given(coordinates, st.integers(1, 4000), st.integers(1, 4000))
def test_label_format_round_trip(values, width_px, height_px):
    xyxy = sorted_corners(values)
    there = boxes.to_cxcywhn(xyxy, width_px, height_px)
    np.testing.assert_allclose(boxes.from_cxcywhn(there, width_px, height_px), xyxy, atol=1e-8)


@given(coordinates, st.integers(1, 4000), st.integers(1, 4000))
def test_clipped_boxes_lie_in_the_image(values, width_px, height_px):
    clipped = boxes.clip(values, width_px, height_px)
    assert clipped.shape == values.shape
    assert (clipped >= 0).all()
    assert (clipped[:, [0, 2]] <= width_px).all()
    assert (clipped[:, [1, 3]] <= height_px).all()


def test_inverted_boxes_have_no_area():
    np.testing.assert_array_equal(boxes.area(np.array([[5.0, 5.0, 1.0, 9.0], [0.0, 0.0, 2.0, 3.0]])), [0, 6])
