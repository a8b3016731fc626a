"""Cutting findings out and fitting them in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.detect.augment.patches import (
    JITTER,
    LARGEST_SHARE,
    alpha_of,
    can_be_pasted,
    cut,
    find_place,
    grey_ranks,
    paste,
    touching,
)


def chest(*, height: int = 120, width: int = 100, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Two dark lungs in a bright body whose lower part is brighter still."""
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    lungs = sum(np.exp(-(((x - middle) / 0.14) ** 2) - ((y - 0.4) / 0.25) ** 2) for middle in (0.28, 0.72))
    grey = (150 + 60 * y - 110 * lungs) * gain + offset
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def with_nodule(
    film: np.ndarray, *, x: float = 0.28, y: float = 0.4, side: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """A film with a bright disc, and its box."""
    height, width = film.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot((columns - x * width) / (side * width / 2), (rows - y * height) / (side * height / 2))
    changed = film.astype(float) + 70 * np.clip(1.2 - radius, 0, 0.5)[..., None] * 2
    return changed.clip(0, 255).astype(np.uint8), np.array([x, y, side, side])


PASTEABLE = [
    ("a nodule", [[0.5, 0.5, 0.1, 0.1]], [True]),
    ("a heart", [[0.5, 0.6, 0.45, 0.3]], [False]),
    ("the largest patch", [[0.5, 0.5, 0.3, LARGEST_SHARE / 0.3 - 1e-6]], [True]),
    ("a hair", [[0.5, 0.5, 0.3, 0.004]], [False]),
    ("a point", [[0.5, 0.5, 0.0, 0.0]], [False]),
    ("a rim outside the film", [[0.06, 0.5, 0.1, 0.1]], [False]),
    ("two apart", [[0.3, 0.5, 0.1, 0.1], [0.7, 0.5, 0.1, 0.1]], [True, True]),
    ("two at one place", [[0.5, 0.5, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1]], [False, False]),
    ("one in the rim of the other", [[0.5, 0.5, 0.2, 0.2], [0.63, 0.5, 0.02, 0.02]], [False, True]),
    ("none", np.zeros((0, 4)), []),
]


@pytest.mark.parametrize(("boxes", "expected"), [row[1:] for row in PASTEABLE], ids=[row[0] for row in PASTEABLE])
def test_what_can_be_pasted(boxes: list[list[float]], expected: list[bool]) -> None:
    assert can_be_pasted(np.array(boxes, np.float32).reshape(-1, 4)).tolist() == expected


def test_a_patch_is_the_box_with_its_rim() -> None:
    film = chest()
    patch = cut(film, np.array([0.5, 0.5, 0.2, 0.1]))
    assert patch.pixels.shape == (18, 28)  # of 12 and 20 px, with rims of 2.4 and 4 px, to whole pixels
    assert patch.xyxy == pytest.approx([4, 3, 24, 15])
    assert (patch.pixels == film[51:69, 36:64, 0]).all()
    mirrored = patch.mirrored().mirrored()
    assert mirrored.xyxy == pytest.approx(patch.xyxy)
    assert (mirrored.pixels == patch.pixels).all()
    assert patch.mirrored().centre.tolist() == [0.5, 0.5]


def test_alpha_is_full_on_the_box_and_nothing_at_the_edge() -> None:
    patch = cut(chest(), np.array([0.5, 0.5, 0.4, 0.3]))
    alpha = alpha_of(patch)
    x_min, y_min, x_max, y_max = patch.xyxy.astype(int)
    assert alpha[(y_min + y_max) // 2, x_min:x_max].min() == 1
    assert alpha[y_min:y_max, (x_min + x_max) // 2].min() == 1
    assert alpha[y_min:y_max, x_min:x_max].mean() > 0.95
    assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 0.03
    assert np.abs(np.diff(alpha, axis=1)).max() < 0.5


def test_ranks_do_not_depend_on_exposure() -> None:
    film, dark = chest(), chest(gain=0.5, offset=10)
    ranks = grey_ranks(film)[film[..., 0]] - grey_ranks(dark)[dark[..., 0]]
    assert np.abs(ranks).max() < 0.03
    assert grey_ranks(np.full((8, 8, 3), 200, np.uint8))[[0, 200, 255]].tolist() == [0, 0.5, 1]


def test_a_nodule_keeps_its_contrast_in_another_exposure() -> None:
    film, box = with_nodule(chest())
    target = chest(gain=0.6, offset=60)
    patch = cut(film, box)
    x_min, y_min, *_ = patch.xyxy
    place = (round(0.28 * 100 - 5 - x_min), round(0.4 * 120 - 6 - y_min))
    changed = paste(target, patch, place).astype(int) - target
    expected = with_nodule(chest())[0].astype(int) - chest()
    assert changed.max() == pytest.approx(0.6 * expected.max(), rel=0.25)
    outside = np.ones(changed.shape[:2], np.bool_)
    height, width = patch.pixels.shape
    outside[place[1] : place[1] + height, place[0] : place[0] + width] = False
    assert (changed[outside] == 0).all()
    seam = changed[place[1], place[0] : place[0] + width]
    assert np.abs(seam).max() <= 2


def test_a_nodule_of_the_lung_is_placed_in_the_lung() -> None:
    film, box = with_nodule(chest())
    shifted = np.roll(chest(gain=0.8), 7, axis=1)  # a chest that stands elsewhere
    for seed in range(20):
        place = find_place(shifted, cut(film, box), np.zeros((0, 4)), np.random.default_rng(seed))
        assert place is not None
        patch = cut(film, box)
        middle = (patch.xyxy[:2] + patch.xyxy[2:]) / 2 + place
        assert np.abs(middle / (100, 120) - (0.28, 0.4)).max() <= JITTER + 0.01
        assert shifted[int(middle[1]), int(middle[0]), 0] < 90


def test_a_nodule_of_the_lung_is_not_placed_in_the_abdomen() -> None:
    film, box = with_nodule(chest())
    upside_down = chest()[::-1].copy()
    upside_down[:80] = 230
    assert find_place(upside_down, cut(film, box), np.zeros((0, 4)), np.random.default_rng(0)) is None


@settings(max_examples=60, deadline=None)
@given(
    corners=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 100)), min_size=1, max_size=4),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_no_box_is_covered(corners: list[tuple[int, int]], size: tuple[int, int], seed: int) -> None:
    film, box = with_nodule(chest())
    patch, target = cut(film, box), chest()
    boxes = np.array([(x, y, x + size[0], y + size[1]) for x, y in corners], np.float64)
    place = find_place(target, patch, boxes, np.random.default_rng(seed))
    if place is None:
        return
    pasted = (patch.xyxy + np.tile(place, 2))[None]
    assert not touching(pasted, boxes).any()
    changed = paste(target, patch, place)
    for x_min, y_min, x_max, y_max in boxes.astype(int):
        assert (changed[y_min:y_max, x_min:x_max] == target[y_min:y_max, x_min:x_max]).all()


def test_a_film_full_of_boxes_has_no_place() -> None:
    film, box = with_nodule(chest())
    full = np.array([[0, 0, 100, 120]])
    assert find_place(chest(), cut(film, box), full, np.random.default_rng(0)) is None


@pytest.mark.parametrize("size", [(0.01, 0.01), (0.01, 0.5), (0.5, 0.01), (0.31, 0.32)])
def test_every_shape_that_can_be_pasted_is_pasted_without_a_warning(size: tuple[float, float]) -> None:
    film, box = chest(), np.array([0.5, 0.5, *size])
    assert can_be_pasted(box[None]).all()
    patch = cut(film, box)
    place = find_place(film, patch, np.zeros((0, 4)), np.random.default_rng(0))
    assert place is not None
    assert paste(film, patch, place).shape == film.shape
