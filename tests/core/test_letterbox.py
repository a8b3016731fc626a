import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xray_chest_detection.core.letterbox import FILL, Letterbox, letterbox, scale_to_fit

sides = st.integers(1, 5000)


@given(sides, sides, st.integers(32, 1280), arrays(np.float64, (3, 4), elements=st.floats(-100, 6000)))
def test_boxes_come_back(width_px, height_px, size_px, xyxy):
    frame = Letterbox.fit(width_px, height_px, size_px)
    np.testing.assert_allclose(frame.to_image(frame.to_input(xyxy)), xyxy, atol=1e-6)


@given(sides, sides, st.integers(32, 1280))
def test_the_image_fits_and_is_centred(width_px, height_px, size_px):
    frame = Letterbox.fit(width_px, height_px, size_px)
    left, top, right, bottom = frame.to_input(np.array([[0, 0, width_px, height_px]]))[0]
    assert 0 <= left < right <= size_px + 1e-9
    assert 0 <= top < bottom <= size_px + 1e-9
    assert abs(left - (size_px - right)) <= 1 + 1e-9
    assert abs(top - (size_px - bottom)) <= 1 + 1e-9
    assert max(right - left, bottom - top) == pytest.approx(size_px)


@given(sides, sides, st.integers(32, 200))
def test_a_square_gets_the_shape_of_the_image_it_was_made_of(width_px, height_px, size_px):
    frame = Letterbox.fit(width_px, height_px, size_px)
    shape = scale_to_fit(np.zeros((64, 64), np.uint8), size_px, aspect=(width_px, height_px)).shape
    assert shape == (round(frame.gain_y * height_px), round(frame.gain_x * width_px))


def test_no_boxes_stay_no_boxes():
    assert Letterbox.fit(10, 20, 32).to_image(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize(("height", "width"), [(100, 200), (200, 100), (64, 64), (37, 401), (1, 300)])
def test_a_bright_rectangle_lands_where_its_box_does(height, width):
    pixels = np.zeros((height, width), np.uint8)
    box = np.array([[width // 4, height // 4, max(width // 2, 1), max(height // 2, 1)]])
    pixels[box[0, 1] : box[0, 3], box[0, 0] : box[0, 2]] = 255
    square, frame = letterbox(pixels, 128, fill=0)
    rows, columns = np.nonzero(square > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(found, frame.to_input(box)[0], atol=1.01)


def test_the_border_is_filled_and_the_image_is_not():
    square, frame = letterbox(np.full((100, 50), 200, np.uint8), 64)
    assert (square.shape, square.dtype) == ((64, 64), np.uint8)
    assert set(np.unique(square[:, : frame.pad_left])) == {FILL}
    assert set(np.unique(square[:, frame.pad_left : frame.pad_left + 32])) == {200}


def test_an_image_of_the_right_size_is_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    np.testing.assert_array_equal(letterbox(pixels, 64)[0], pixels)


def test_the_padding_is_that_of_the_trainer():
    data = pytest.importorskip("ultralytics.data.augment", reason="ultralytics is not installed")
    for width, height in [(1024, 1024), (640, 521), (521, 640), (2539, 3050), (37, 401)]:
        pixels = np.full((height, width), 255, np.uint8)
        theirs = data.LetterBox((640, 640), auto=False)(image=np.repeat(pixels[..., None], 3, axis=2))[..., 0]
        ours, _ = letterbox(pixels, 640)
        np.testing.assert_array_equal(ours == 255, theirs == 255)
