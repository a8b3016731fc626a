"""Figures of what is in a data set, and the numbers behind the heat maps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from xray_chest_detection.data.box_sources import BoxSource
from xray_chest_detection.report.data_figures import draw_sources, source_colours
from xray_chest_detection.report.position_figures import coverage


def source_of(key="nih", *, boxes=40, sizes=True, readers=False):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 500, (boxes, 2))
    return BoxSource(
        key,
        ("Mass", "Nodule", "Effusion"),
        np.arange(boxes) % 3,
        np.arange(boxes) // 2,
        np.concatenate([low, low + rng.uniform(20, 400, (boxes, 2))], axis=1),
        np.full((boxes, 2), 1000.0) if sizes else None,
        n_images=60 if sizes else None,
        labels={"Mass": 20, "Hernia": 3} if sizes else {},
        per_reading=rng.integers(0, 30, 90) if readers else None,
        who_drew=rng.integers(0, 4, 30) if readers else None,
    )


NAMES = ["boxes-classes.png", "boxes-per-image.png", "boxes-shapes.png", "boxes-positions.png"]


def test_every_figure_shows_every_source_in_its_colour(tmp_path):
    sources = [source_of("vinbigdata", sizes=False, readers=True), source_of("one", boxes=9), source_of("two", boxes=8)]
    drawn = draw_sources(sources, tmp_path)
    assert [path.name for path in drawn] == [*NAMES, *(f"boxes-correlogram-{source.key}.png" for source in sources)]
    colours = source_colours(sources)
    assert len(set(colours)) == len(sources)
    for path in drawn:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        alone = [colour for source, colour in zip(sources, colours, strict=True) if path.stem.endswith(source.key)]
        for colour in alone or colours:
            near = np.abs(pixels - ImageColor.getrgb(colour)).max(axis=2) < 40
            assert near.sum() > 50, f"{path.name}: no {colour}"


def test_one_box_a_class_is_drawn_the_same_every_time(tmp_path):
    sources = [source_of(boxes=3)]
    first = [path.read_bytes() for path in draw_sources(sources, tmp_path / "a")]
    assert [path.read_bytes() for path in draw_sources(sources, tmp_path / "b")] == first


edges = st.lists(st.tuples(*[st.floats(-0.2, 1.2)] * 4), max_size=12)


@given(edges, st.integers(1, 9))
def test_coverage_counts_the_boxes_over_each_cell(rows, cells):
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows]).reshape(-1, 4)
    expected = np.zeros((cells, cells))
    for x_min, y_min, x_max, y_max in np.clip(boxes, 0, 1) * cells:
        left, top = min(int(x_min), cells - 1), min(int(y_min), cells - 1)
        right, bottom = max(int(np.ceil(x_max)), left + 1), max(int(np.ceil(y_max)), top + 1)
        expected[top:bottom, left:right] += 1
    np.testing.assert_allclose(coverage(boxes, cells), expected / max(len(boxes), 1))


def test_no_box_covers_nothing():
    assert coverage(np.empty((0, 4)), 3).tolist() == [[0, 0, 0]] * 3
