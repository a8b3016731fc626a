"""Tables and figures from an evaluation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.report.tables import markdown_table, with_interval

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.detect.evaluate import measure
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.report import curves, figures, training_figures
from xray_chest_detection.report.evaluation_page import evaluation_markdown, evaluation_summary

CLASSES = ("Cardiomegaly", "Mass/Nodule", "Pneumothorax")


def split_of(folder: Path, *, n_images: int = 6) -> LabelledSplit:
    rng = np.random.default_rng(0)
    files, truth = [], []
    for number in range(n_images):
        files.append(folder / f"film_{number}.png")
        Image.fromarray(rng.integers(0, 255, (64, 80)).astype(np.uint8)).save(files[-1])
        count = 0 if number == 4 else 1
        box = np.array([[10, 12, 30 + number, 40]], np.float32)[:count]
        truth.append(Detections(box, np.ones(count, np.float32), np.array([number % 2])[:count], 80, 64))
    names = tuple(path.stem for path in files)
    sizes = ((80, 64),) * n_images
    all_known = np.zeros((n_images, len(CLASSES)), np.bool_)
    boxes = BoxTable.from_detections(truth)
    return LabelledSplit("test", CLASSES, names, names, tuple(files), sizes, boxes, all_known)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    split = split_of(tmp_path)
    found = tuple(
        Detections(
            np.array([[11, 12, 31, 41], [50, 50, 60, 60]], np.float32),
            np.array([0.8, 0.4], np.float32),
            np.array([number % 2, 2]),
            80,
            64,
        )
        for number in range(6)
    )
    return measure("run", split, Candidates(split.image_id, found), Thresholds(conf=0.3, iou=0.5), resamples=50)


def test_every_figure_is_a_picture(evaluation: Evaluation, tmp_path: Path) -> None:
    drawn = figures.draw_evaluation(evaluation, tmp_path / "figures")
    drawn.append(training_figures.draw_boxes(evaluation.evidence.split, tmp_path / "figures" / "boxes.png"))
    epochs = [(1, {"train/box_loss": 2.0, "metrics/mAP50(B)": 0.1}), (2, {"train/box_loss": 1.5})]
    drawn.append(training_figures.draw_training(epochs, tmp_path / "figures" / "training.png", title="run"))
    for path in drawn:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L"))
        assert min(pixels.shape) > 200, path
        assert pixels.std() > 5, path


def test_a_figure_is_the_same_every_time(evaluation: Evaluation, tmp_path: Path) -> None:
    first = curves.draw_froc(evaluation, tmp_path / "a.png").read_bytes()
    assert curves.draw_froc(evaluation, tmp_path / "b.png").read_bytes() == first


def test_films_are_spread_over_classes_and_end_with_a_free_one(tmp_path: Path) -> None:
    split = split_of(tmp_path)
    assert figures.spread_images(split, 4) == [0, 1, 2, 4]
    assert figures.spread_images(split, 99) == [0, 1, 2, 3, 5, 4]


def test_page_names_what_was_measured(evaluation: Evaluation) -> None:
    page = evaluation_markdown(evaluation)
    assert page.startswith("# run on test\n\n6 images of 6 patients, 5 boxes. Operating point: score from 0.3")
    assert "| Pneumothorax | 0 | - | - | - | - |" in page
    assert "| Pneumothorax | 0 | 6 | 0 | 0.000" in page
    assert "Without a box in this split, and left out of every mean: Pneumothorax." in page
    assert "95 % intervals from 50 resamples" in page


def test_summary_is_short(evaluation: Evaluation) -> None:
    lines = evaluation_summary(evaluation).splitlines()
    assert lines[0] == "test: 6 images, 5 boxes (95 % intervals in brackets)"
    assert len(lines) < 16


def test_markdown_table_and_intervals() -> None:
    assert markdown_table(["a", "b"], [["x", None], ["y", 0.12345]]).splitlines()[-1] == "| y | 0.123 |"
    assert markdown_table(["a"], []) == "| a |\n| --- |"
    assert with_interval(None, 0.1, 0.2) == "-"
    assert with_interval(0.5, None, None) == "0.500"
