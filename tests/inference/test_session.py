import numpy as np
import pytest

from xray_chest_detection.core.letterbox import letterbox
from xray_chest_detection.core.model_card import read_card, write_card
from xray_chest_detection.core.nms import MAX_CANDIDATES
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.session import DetectorSession

PIXELS = np.full((100, 200), 128, np.uint8)  # in a 64-pixel input: 64 x 32, 16 rows of padding above and below


def head(*rows):
    """Rows of centre x, centre y, width, height, score of class 0, score of class 1."""
    return np.array(rows, np.float32).T


def test_boxes_come_out_in_pixels_of_the_image(tmp_path, make_model):
    session = DetectorSession(make_model(tmp_path, head=head([32, 32, 16, 16, 0.9, 0.0])))
    found = session.detect(PIXELS)
    np.testing.assert_allclose(found.xyxy, [[75, 25, 125, 75]], atol=1e-3)
    assert (found.width_px, found.height_px, found.class_id.tolist()) == (200, 100, [0])
    assert found.score[0] == pytest.approx(0.9)
    assert (found.xyxy.dtype, found.score.dtype, found.class_id.dtype) == (np.float32, np.float32, np.int64)


def test_raw_has_a_row_per_class_above_the_floor_best_first(tmp_path, make_model):
    model = make_model(tmp_path, head=head([32, 32, 8, 8, 0.3, 0.6], [20, 30, 8, 8, 0.0005, 0.001]))
    found = DetectorSession(model).raw(PIXELS)
    np.testing.assert_allclose(found.score, [0.6, 0.3, 0.001], rtol=1e-6)
    assert found.class_id.tolist() == [1, 0, 1]
    assert len(DetectorSession(model).raw(PIXELS, floor=0.5)) == 1


def test_boxes_are_clipped_and_those_outside_the_image_or_not_finite_are_dropped(tmp_path, make_model):
    rows = ([0, 32, 20, 60, 0.9, 0], [32, 4, 8, 8, 0.9, 0], [np.nan, 32, 8, 8, 0.9, 0], [9, 32, 8, 8, np.nan, 0])
    found = DetectorSession(make_model(tmp_path, head=head(*rows))).raw(PIXELS)
    np.testing.assert_allclose(found.xyxy, [[0, 0, 31.25, 100]], atol=1e-3)


def test_no_detection_is_an_empty_answer(tmp_path, make_model):
    found = DetectorSession(make_model(tmp_path)).detect(PIXELS)
    assert (len(found), found.width_px, found.height_px) == (0, 200, 100)


def test_candidates_are_capped_at_the_best(tmp_path, make_model):
    places = MAX_CANDIDATES + 50
    many = head(*([32, 32, 8, 8, 0.2 + 0.5 * i / places, 0] for i in range(places)))
    found = DetectorSession(make_model(tmp_path, head=many)).raw(PIXELS)
    assert len(found) == MAX_CANDIDATES
    assert found.score.min() > 0.2 + 0.5 * 49 / places


TWO_CLASSES_TWO_PLACES = head(
    [20, 32, 10, 10, 0.30, 0.0], [21, 32, 10, 10, 0.28, 0.0], [44, 32, 10, 10, 0.0, 0.30], [20, 32, 10, 10, 0.0, 0.29]
)


@pytest.mark.parametrize(
    ("thresholds", "conf", "expected"),
    [
        ({"conf": 0.25, "iou": 0.5}, None, [(0, 0.30), (1, 0.30), (1, 0.29)]),
        ({"conf": 0.25, "iou": 0.99}, None, [(0, 0.30), (1, 0.30), (1, 0.29), (0, 0.28)]),
        ({"conf": 0.25, "iou": 0.5, "agnostic": True}, None, [(0, 0.30), (1, 0.30)]),
        ({"conf": 0.9, "iou": 0.5, "per_class": {"Cardiomegaly": 0.2}}, None, [(0, 0.30)]),
        ({"conf": 0.2, "iou": 0.5, "agnostic": True, "per_class": {"Cardiomegaly": 0.9}}, None, [(1, 0.30), (1, 0.29)]),
        ({"conf": 0.9, "iou": 0.5, "per_class": {"Effusion": 0.95}}, 0.295, [(0, 0.30), (1, 0.30)]),
        ({"conf": 0.25, "iou": 0.5}, 0.95, []),
        ({"conf": 0.30, "iou": 0.5}, None, [(0, 0.30), (1, 0.30)]),
    ],
    ids=["card", "iou", "agnostic", "per class below", "per class above", "conf replaces all", "none", "equal score"],
)
def test_thresholds_of_the_card_and_of_the_call(tmp_path, make_model, thresholds, conf, expected):
    session = DetectorSession(make_model(tmp_path, head=TWO_CLASSES_TWO_PLACES, **thresholds))
    found = session.detect(PIXELS, conf=conf)
    rows = zip(found.class_id.tolist(), found.score.round(3).tolist(), strict=True)
    assert [(kind, pytest.approx(score)) for kind, score in rows] == expected


@pytest.mark.parametrize("half", [False, True])
def test_the_input_is_the_letterboxed_image_from_0_to_1(tmp_path, make_model, half):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 40)).astype(np.uint8)
    model = make_model(tmp_path, head=head([32, 32, 8, 8, 0.1, 0]), half=half, follow_input=True)
    expected = 0.1 + letterbox(pixels, 64)[0].mean() / 255
    assert DetectorSession(model, threads=1).raw(pixels, floor=0.5).score[0] == pytest.approx(expected, abs=3e-3)


def test_free_sizes_in_the_model_are_accepted(tmp_path, make_model):
    model = make_model(
        tmp_path,
        head=head([32, 32, 16, 16, 0.9, 0.0]),
        input_shape=("batch", 3, "height", "width"),
        output_shape=("batch", 6, "places"),
    )
    assert len(DetectorSession(model).detect(PIXELS)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (1, 3, 32, 32)}, r"m\.onnx: takes tensor\(float\) \[1, 3, 32, 32\], but its card says float "),
        ({"input_shape": (1, 1, 64, 64)}, r"but its card says float \(1, 3, 64, 64\); export the model again$"),
        ({"head": np.zeros((7, 3))}, r"m\.onnx: gives \[1, 7, 3\], but the 2 classes of its card need \(1, 6, N\)"),
        ({"head": np.zeros((7, 3)), "output_shape": ("a", "b", "c")}, r"gives \[1, 7, 3\], but the 2 classes"),
        ({"per_class": {"Hernia": 0.5}}, r"m\.card\.yaml: thresholds\.per_class: no class 'Hernia' \(known: Cardiomeg"),
    ],
)
def test_a_model_that_does_not_fit_its_card_is_refused(tmp_path, make_model, options, message):
    with pytest.raises(ModelError, match=message) as caught:
        DetectorSession(make_model(tmp_path, "m", **options)).detect(PIXELS)
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_refused(tmp_path, make_model):
    card = make_model(tmp_path, "m")
    with (tmp_path / "m.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match=r"sha256 .* is not the card's"):
        DetectorSession(card)


def test_a_file_that_is_not_onnx_is_refused_in_one_line(tmp_path, make_model):
    from xray_chest_detection.core.files import sha256_of

    card = make_model(tmp_path, "m")
    (tmp_path / "m.onnx").write_bytes(b"not onnx")
    write_card(card, read_card(card).model_copy(update={"sha256": sha256_of(tmp_path / "m.onnx")}))
    with pytest.raises(ModelError, match=r"m\.onnx: cannot be opened as ONNX \(.*\); fetch or export") as caught:
        DetectorSession(card)
    assert "\n" not in str(caught.value)
