import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.model_card import ModelCard, Thresholds, TrainingData
from xray_chest_detection.core.radiograph import Radiograph
from xray_chest_detection.inference.palette import MARKS, mark_of, marks
from xray_chest_detection.inference.render import DASHES, draw_detections, fit, four_panel, operating_point

NAMES = ("Cardiomegaly", "Effusion")
ORANGE = (0xE6, 0x9F, 0x00)
AMBER = (0xE3, 0xB0, 0x4B)


def found(*boxes: tuple[float, float, float, float], width: int = 300, height: int = 200) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.zeros(count, np.int64),
        width,
        height,
    )


def card(**thresholds: object) -> ModelCard:
    return ModelCard(
        name="multi",
        title="Multiclass",
        file="multi.onnx",
        sha256="0" * 64,
        architecture="none",
        image_size_px=64,
        classes=NAMES,
        thresholds=Thresholds(**{"conf": 0.2, "iou": 0.5, **thresholds}),
        training_data=TrainingData(name="none", source="none", licence="none", counts={}),
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.full((200, 300), 128, np.uint8)


def test_no_detection_leaves_the_film_as_it_is(pixels: np.ndarray) -> None:
    picture = np.asarray(draw_detections(pixels, found(), NAMES))
    assert picture.shape == (200, 300, 3)
    assert (picture == 128).all()


def test_a_box_is_drawn_in_its_colour_between_dark_halos(pixels: np.ndarray) -> None:
    picture = np.asarray(draw_detections(pixels, found((100, 60, 200, 140)), NAMES, labels=False))
    row = [tuple(int(value) for value in picture[100, column]) for column in range(97, 105)]
    grey, dark = (128, 128, 128), (0, 0, 0)
    assert row == [grey, dark, dark, ORANGE, ORANGE, dark, dark, grey]


def test_boxes_follow_a_film_that_is_scaled_down(pixels: np.ndarray) -> None:
    picture = draw_detections(pixels, found((100, 60, 200, 140)), NAMES, max_side_px=150, labels=False)
    assert picture.size == (150, 100)
    assert picture.getpixel((50, 50)) == ORANGE


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (-5, -5, 2, 2), (299, 199, 300, 200), (10, 10, 10, 10)], ids=str)
def test_boxes_at_the_border_are_drawn(pixels: np.ndarray, box: tuple[float, float, float, float]) -> None:
    picture = np.asarray(draw_detections(pixels, found(box), NAMES))
    assert (picture != 128).any()


def test_many_equal_boxes_and_a_tiny_film_are_drawn() -> None:
    boxes = [(1.0, 1.0, 30.0, 30.0)] * 40
    picture = draw_detections(np.zeros((32, 32), np.uint8), found(*boxes, width=32, height=32), NAMES)
    assert picture.size == (32, 32)


def test_a_film_is_never_enlarged(pixels: np.ndarray) -> None:
    assert fit(pixels, max_side_px=None).size == fit(pixels, max_side_px=999).size == (300, 200)
    assert fit(pixels, max_side_px=30).size == (30, 20)
    assert fit(np.zeros((4000, 2), np.uint8), max_side_px=100).size == (1, 100)


@pytest.mark.parametrize(("count", "columns", "rows"), [(0, 1, 0), (1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2)])
def test_panels_stand_two_in_a_row(pixels: np.ndarray, count: int, columns: int, rows: int) -> None:
    names = ["multi", "binary", "cardiomegaly", "mass_nodule"][:count]
    film = Radiograph(pixels, "film.png", "PNG")
    sheet = four_panel(film, dict.fromkeys(names, found((100, 60, 200, 140))), dict.fromkeys(names, card()))
    bare = four_panel(film, {}, {})
    assert sheet.width >= columns * 300
    assert rows * 200 < sheet.height <= rows * 320 + bare.height


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({}, "shown from score 0.20; NMS IoU 0.50"),
        ({"agnostic": True, "iou": 0.6}, "shown from score 0.20; NMS IoU 0.60 across classes"),
        ({"per_class": {"Effusion": 0.05}}, "shown from score 0.05 to 0.20 by class; NMS IoU 0.50"),
    ],
)
def test_the_operating_point_is_written_out(thresholds: dict[str, object], words: str) -> None:
    assert operating_point(card(**thresholds)) == words


def test_a_threshold_that_was_asked_for_stands_beside_the_tuned_one() -> None:
    words = "shown from score 0.05 as asked, tuned 0.20; NMS IoU 0.50"
    assert operating_point(card(), 0.05) == words


def test_the_picture_says_what_was_asked_for_and_what_must_be_known(pixels: np.ndarray) -> None:
    film = Radiograph(pixels, "film.png", "PNG")
    plain = four_panel(film, {"multi": found()}, {"multi": card()})
    asked = four_panel(film, {"multi": found()}, {"multi": card()}, conf={"multi": 0.05})
    assert (np.asarray(plain) == AMBER).all(axis=2).sum() == 0
    assert asked.height > plain.height, "the longer line below the title takes a second row"
    warned = four_panel(film, {"multi": found()}, {"multi": card()}, notes=["This is a cat. " * 20])
    assert (np.asarray(warned) == AMBER).all(axis=2).sum() > 100
    assert warned.width == plain.width
    assert warned.height > plain.height


def test_where_a_label_does_not_fit_its_letter_stands_alone() -> None:
    film = np.full((60, 160), 128, np.uint8)

    def letters(*boxes: tuple[float, float, float, float]) -> int:
        bare, full = (
            np.asarray(draw_detections(film, found(*boxes, width=160, height=60), NAMES, labels=labels))
            for labels in (False, True)
        )
        return int(((full == ORANGE).all(axis=2) & (bare != full).any(axis=2)).sum())

    chip = letters((40, 20, 120, 50))
    assert chip > 100
    assert letters(*[(0, 0, 160, 60)] * 40) > 4 * chip, "no more than three labels with words fit"


def test_a_label_wider_than_the_picture_keeps_its_letter() -> None:
    film = np.full((60, 100), 128, np.uint8)
    boxes = found((10, 20, 90, 50), width=100, height=60)
    bare, long = (
        np.asarray(draw_detections(film, boxes, ["Cardiomegaly with effusion"], labels=labels))
        for labels in (False, True)
    )
    changed = (bare != long).any(axis=2)
    assert changed.any()
    assert changed.any(axis=0).sum() < 30, "the letter alone"


def test_classes_of_one_scheme_have_their_own_letter_and_colour() -> None:
    united = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltrate", "Mass/Nodule", "Pneumonia", "Pneumothorax")
    nih = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltrate", "Mass", "Nodule", "Pneumonia", "Pneumothorax")
    for scheme in (united, nih):
        assert (
            len({MARKS[name].letter for name in scheme}) == len({MARKS[name].colour for name in scheme}) == len(scheme)
        )


def test_an_unforeseen_class_has_a_mark_too() -> None:
    assert mark_of("Fracture") == mark_of("Fracture")
    assert mark_of("").letter == "?"
    assert marks(["Effusion"]) == [{"name": "Effusion", "letter": "E", "colour": "#009e73"}]


def test_the_line_style_tells_the_model_even_when_it_stands_alone() -> None:
    film = Radiograph(np.zeros((240, 300), np.uint8), "film.png", "PNG")
    names = ("multi", "binary", "cardiomegaly", "mass_nodule")
    lit = {}
    for name in names:
        mark = found((40, 40, 260, 200), height=240)
        sheet = np.asarray(four_panel(film, {name: mark}, {name: card()}, order=names))
        lit[name] = int((sheet == ORANGE).all(-1).sum())
    assert lit["multi"] > lit["mass_nodule"] > lit["binary"] > lit["cardiomegaly"] > 0


@pytest.mark.parametrize("dash", DASHES[1:])
def test_dashes_run_once_around_the_box_in_their_proportion(dash: tuple[int, ...]) -> None:
    def pixels(style: tuple[int, ...]) -> np.ndarray:
        film = np.zeros((400, 500), np.uint8)
        picture = draw_detections(
            film, found((50, 50, 450, 350), width=500, height=400), NAMES, labels=False, dash=style
        )
        return (np.asarray(picture) == np.array(ORANGE)).all(-1)

    share = pixels(dash).sum() / pixels(()).sum()
    assert share == pytest.approx(sum(dash[::2]) / sum(dash), abs=0.25)
    assert not (pixels(dash) & ~pixels(())).any()
