from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.nms import MAX_CANDIDATES, nms
from xray_chest_detection.core.tiling import Tiles, Window, merge_views

GRID = Tiles(side=0.5, overlap=0.25)  # of 400 x 400: tiles of 200 at 0, 100, 200; complete up to 50
grids = st.builds(Tiles, side=st.floats(0.2, 1), overlap=st.floats(0.1, 0.75))
sides = st.integers(1, 300)


def found_in(window, *rows):
    """Detections of a tile or the whole image, (class id, score, x_min, y_min, x_max, y_max) in its own pixels."""
    left, top, right, bottom = window
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        table[:, 2:].astype(np.float32),
        table[:, 1].astype(np.float32),
        table[:, 0].astype(int),
        right - left,
        bottom - top,
    )


WHOLE = (0, 0, 400, 400)


def seen_by(box, *, score=0.5):
    """What a perfect network says about one finding in the whole image and in every tile that shows some of it."""
    parts = []
    for window in GRID.windows(400, 400):
        low = np.maximum(box[:2], window[:2]) - window[:2]
        high = np.minimum(box[2:], window[2:]) - window[:2]
        rows = [(0, score, *low, *high)] if (high > low).all() else []
        parts.append((window, found_in(window, *rows)))
    return found_in(WHOLE, (0, score, *box)), parts


@given(grids, sides, sides)
def test_tiles_cover_every_pixel_and_nothing_else(grid, width, height):
    windows = grid.windows(width, height)
    covered = np.zeros((height, width), np.int64)
    for window in windows:
        part = window.of(covered)
        assert part.shape == (window.bottom - window.top, window.right - window.left)
        part += 1
    assert (covered > 0).all() or windows == ()
    assert all(0 <= w.left < w.right <= width and 0 <= w.top < w.bottom <= height for w in windows)


@given(grids, sides, sides)
def test_tiles_are_equal_and_neighbours_share_what_was_asked_for(grid, width, height):
    windows, side = grid.windows(width, height), grid.side_px(width, height)
    assert len({(w.right - w.left, w.bottom - w.top) for w in windows}) <= 1
    for first, last in (("left", "right"), ("top", "bottom")):
        starts = sorted({(getattr(w, first), getattr(w, last)) for w in windows})
        for (_, end), (start, _) in pairwise(starts):
            assert end - start >= grid.overlap * side or side == 1  # a tile of one pixel cannot share one


@given(grids, sides, sides, st.data())
def test_what_is_not_larger_than_the_overlap_lies_complete_in_a_tile(grid, width, height, data):
    windows = grid.windows(width, height)
    longest = int(grid.overlap * grid.side_px(width, height))
    if not windows or longest < 1:
        return
    across, down = (data.draw(st.integers(1, min(longest, length))) for length in (width, height))
    left, top = data.draw(st.integers(0, width - across)), data.draw(st.integers(0, height - down))
    assert any(w.left <= left and w.top <= top and left + across <= w.right and top + down <= w.bottom for w in windows)


@pytest.mark.parametrize("size_px", [(1, 1), (100, 100), (100, 7)])
def test_one_tile_over_the_whole_image_is_none(size_px):
    assert Tiles(side=1).windows(*size_px) == ()


def test_a_tile_is_a_square_that_a_narrow_image_cuts():
    assert Tiles(side=0.5, overlap=0.1).windows(100, 30) == (
        Window(0, 0, 50, 30),
        Window(25, 0, 75, 30),
        Window(50, 0, 100, 30),
    )


@pytest.mark.parametrize("values", [{"side": 0.1}, {"side": 1.1}, {"overlap": 0.0}, {"overlap": 0.9}, {"size": 1}])
def test_other_grids_are_refused(values):
    with pytest.raises(ValidationError):
        Tiles(**values)


def test_without_tiles_the_whole_image_is_the_answer():
    whole = found_in(WHOLE, (0, 0.5, 10, 10, 20, 20))
    assert merge_views(whole, [], GRID) is whole


@pytest.mark.parametrize(
    ("window", "box", "expected"),
    [
        ((0, 0, 200, 200), (20, 30, 50, 60), (20, 30, 50, 60)),
        ((100, 200, 300, 400), (20, 30, 50, 60), (120, 230, 150, 260)),
    ],
)
def test_boxes_come_back_to_their_place(window, box, expected):
    tile = Window(*window)
    merged = merge_views(found_in(WHOLE), [(tile, found_in(tile, (1, 0.25, *box)))], GRID)
    assert merged.xyxy.tolist() == [list(expected)]
    assert (merged.score.tolist(), merged.class_id.tolist()) == ([0.25], [1])
    assert (merged.width_px, merged.height_px) == (400, 400)


@pytest.mark.parametrize(
    ("window", "box", "kept"),
    [
        ((0, 0, 200, 200), (0, 0, 30, 30), True),  # at the border of the image itself
        ((0, 0, 200, 200), (170, 50, 199, 80), False),
        ((0, 0, 200, 200), (170, 50, 197, 80), True),
        ((0, 0, 200, 200), (50, 170, 80, 199), False),
        ((200, 200, 400, 400), (170, 170, 200, 200), True),
        ((200, 200, 400, 400), (1, 50, 30, 80), False),
        ((200, 200, 400, 400), (50, 1, 80, 30), False),
        ((200, 200, 400, 400), (50, 50, 101, 80), False),  # larger than what every place of has complete
        ((200, 200, 400, 400), (50, 50, 100, 80), True),
    ],
)
def test_parts_of_findings_are_left_out(window, box, kept):
    tile = Window(*window)
    merged = merge_views(found_in(WHOLE), [(tile, found_in(tile, (0, 0.9, *box)))], GRID)
    assert len(merged) == kept


def test_a_heart_over_several_tiles_is_found_once_and_by_the_whole_image():
    heart = (120, 180, 330, 350)
    whole, parts = seen_by(heart)
    assert sum(len(found) for _, found in parts) >= 6
    merged = nms(merge_views(whole, parts, GRID), conf=0.1, iou=0.5)
    assert merged.xyxy.tolist() == [list(heart)]


@given(st.integers(0, 370), st.integers(0, 370))
def test_a_small_finding_in_overlapping_tiles_is_found_once(left, top):
    nodule = (left, top, left + 30, top + 30)
    _, parts = seen_by(nodule)
    merged = nms(merge_views(found_in(WHOLE), parts, GRID), conf=0.1, iou=0.5)
    assert merged.xyxy.tolist() == [list(nodule)]


def test_the_best_candidates_of_all_views_are_kept_best_first():
    rng = np.random.default_rng(0)
    whole = found_in(WHOLE, *((0, score, 10, 10, 40, 40) for score in rng.random(MAX_CANDIDATES)))
    tile = Window(0, 0, 200, 200)
    part = found_in(tile, *((1, score, 10, 10, 40, 40) for score in rng.random(50) + 1))
    merged = merge_views(whole, [(tile, part)], GRID)
    assert len(merged) == MAX_CANDIDATES
    assert merged.class_id[:50].tolist() == [1] * 50
    assert (np.diff(merged.score) <= 0).all()
