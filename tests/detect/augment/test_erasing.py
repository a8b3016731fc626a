"""Erasing hides something of the film and never a finding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.augment.erasing import MAX_COVERED, covered_share, erase

corner = st.tuples(st.floats(-20, 110), st.floats(-20, 80))
side = st.tuples(st.floats(0, 90), st.floats(0, 90))
boxes = st.lists(st.builds(lambda low, size: (*low, low[0] + size[0], low[1] + size[1]), corner, side), max_size=6)


def coloured(height: int, width: int) -> np.ndarray:
    """An image without a grey pixel: what is erased becomes grey."""
    return np.tile(np.array([0, 1, 0], np.uint8), (height, width, 1))


def is_grey(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] == pixels[..., 1]


@settings(max_examples=100, deadline=None)
@given(boxes=boxes, seed=st.integers(0, 2**32))
def test_no_box_is_hidden(boxes: list[tuple[float, float, float, float]], seed: int) -> None:
    xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    pixels = coloured(60, 90)
    erased = erase(pixels, xyxy, np.random.default_rng(seed))
    hidden = is_grey(erased)
    for x_min, y_min, x_max, y_max in xyxy.clip(0, [90, 60, 90, 60]):
        area = (x_max - x_min) * (y_max - y_min)
        inside = hidden[int(y_min) : int(np.ceil(y_max)), int(x_min) : int(np.ceil(x_max))]
        assert inside.sum() <= MAX_COVERED * area + 1e-9
    assert (erased[~hidden] == pixels[~hidden]).all()
    assert not is_grey(pixels).any()


def test_something_is_erased_where_there_is_room() -> None:
    shares = []
    for seed in range(50):
        erased = erase(coloured(100, 100), np.zeros((0, 4)), np.random.default_rng(seed))
        shares.append(is_grey(erased).mean())
    assert min(shares) > 0
    assert 0.03 < np.mean(shares) < 0.15


def test_a_box_over_the_whole_film_leaves_a_fifth_of_it() -> None:
    film = np.array([[0.0, 0.0, 50.0, 50.0]])
    shares = []
    for seed in range(100):
        erased = erase(coloured(50, 50), film, np.random.default_rng(seed))
        shares.append(is_grey(erased).mean())
    assert 0.1 < max(shares) <= MAX_COVERED


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((0, 0, 10, 10), 0.25),
        ((0, 0, 5, 5), 1.0),
        ((5, 5, 10, 10), 0.0),
        ((-5, -5, 5, 5), 1.0),
        ((4, 0, 6, 10), 0.25),
        ((20, 20, 30, 30), 0.0),
    ],
)
def test_covered_share(box: tuple[float, ...], share: float) -> None:
    covered = np.zeros((10, 10), np.bool_)
    covered[:5, :5] = True
    assert covered_share(covered, np.array([box], np.float64)).tolist() == pytest.approx([share])


def test_no_box_has_no_share() -> None:
    assert covered_share(np.ones((4, 4), np.bool_), np.zeros((0, 4))).shape == (0,)
