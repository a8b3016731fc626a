"""Readings of a few boxes, and random ones."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from xray_chest_detection.data.readings import Readings
from xray_chest_detection.data.vinbigdata_table import read_readings_csv

Row = tuple[int, int, int, float, float, float, float]


def build_readings(
    rows: list[Row], *, n_images: int = 1, n_classes: int = 1, n_readers: int = 3, read: object = None
) -> Readings:
    table = np.array(rows, np.float64).reshape(-1, 7)
    image, class_id, reader = table[:, :3].T.astype(np.int64)
    xyxy = table[:, 3:]
    order = np.lexsort((*xyxy.T[::-1], reader, class_id, image))
    return Readings(
        tuple(f"i{number}" for number in range(n_images)),
        tuple(f"c{number}" for number in range(n_classes)),
        tuple(f"R{number}" for number in range(n_readers)),
        image[order],
        class_id[order],
        reader[order],
        xyxy[order],
        np.ones((n_images, n_readers), np.bool_) if read is None else np.array(read, np.bool_),
    )


@st.composite
def random_readings(draw: st.DrawFn, *, side: int = 24) -> Readings:
    """Up to 4 readers, 3 images, 2 classes and 14 boxes on a coarse grid, so that equal and touching boxes are common.

    Boxes lie around three places, or most of them would overlap nothing.
    """
    n_readers = draw(st.integers(1, 4))
    rows = []
    for _ in range(draw(st.integers(0, 14))):
        where = draw(st.sampled_from((0, side // 2, side)))
        x_min, y_min = (where + draw(st.integers(0, 5)) for _ in range(2))
        width, height = (draw(st.integers(4, side // 2)) for _ in range(2))
        head = draw(st.integers(0, 2)), draw(st.integers(0, 1)), draw(st.integers(0, n_readers - 1))
        rows.append((*head, x_min, y_min, x_min + width, y_min + height))
    return build_readings(rows, n_images=3, n_classes=2, n_readers=n_readers)


@pytest.fixture
def make_readings() -> Callable[..., Readings]:
    """Builds readings: (rows of image, class, reader and edges; n_images, n_classes, n_readers, read)."""
    return build_readings


@pytest.fixture(scope="session")
def real_readings() -> Readings:
    """The whole table of VinBigData, as the package torchxrayvision carries it; it is found, not imported."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or spec.origin is None:
        pytest.skip("the package torchxrayvision, which carries the full table, is not installed")
    return read_readings_csv(Path(spec.origin).parent / "data" / "vinbigdata-train.csv.gz")
