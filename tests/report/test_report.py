"""Tables and figures from an evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.agreement_results import Estimate
from xray_chest_detection.data.human_ceiling import WEIGHTED_MEAN, CeilingRow
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.report.marks import draw_boxes_on
from xray_chest_detection.report.tables import markdown_table, metric_text, with_interval

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.detect.ceiling import Ceiling
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


def test_page_has_every_kind_of_number_with_its_interval(evaluation: Evaluation) -> None:
    page = evaluation_markdown(evaluation)
    value = evaluation.by_name["AUROC Cardiomegaly"]
    assert f"| Cardiomegaly | {value.value:.3f} ({value.low:.3f}-{value.high:.3f}) |" in page
    for text in ("| mAP30 |", "| ECE at IoU 0.4 |", "T(IoBB)", "T(IoU)", "| small findings |", "| mean AUROC |"):
        assert text in page, text
    assert "readers" not in page


def test_page_says_where_classes_were_unknown(evaluation: Evaluation) -> None:
    split = evaluation.evidence.split
    unknown = np.zeros((6, 3), np.bool_)
    unknown[:2, 2] = True
    candidates = Candidates(split.image_id, evaluation.evidence.shown)
    partly = measure("run", replace(split, unknown=unknown), candidates, evaluation.thresholds, resamples=0)
    page = evaluation_markdown(partly)
    assert "On 2 of the images nobody looked for some classes (Pneumothorax on 2): there, marks of these" in page
    assert "nobody looked" not in evaluation_markdown(evaluation)
    assert "resamples" not in page


def test_readers_stand_beside_the_model(evaluation: Evaluation, tmp_path: Path) -> None:
    def row(reader: str, class_name: str, *, rate: float, sensitivity: float) -> CeilingRow:
        point = (Estimate(sensitivity, 0.5, 0.9), Estimate(rate, 0.1, 0.6))
        return CeilingRow(
            reader, class_name, 50, 20, 30, 40, Estimate(0.31, 0.2, 0.4), Estimate(0.29, 0.2, 0.4), *point
        )

    rows = [row(reader, "all classes", rate=0.01, sensitivity=0.7) for reader in ("R1", "R2", WEIGHTED_MEAN)]
    rows += [row(WEIGHTED_MEAN, "Cardiomegaly", rate=0.0, sensitivity=0.8)]
    ceiling = Ceiling("a report", same_images=False, rows=tuple(rows))
    split = evaluation.evidence.split
    candidates = Candidates(split.image_id, evaluation.evidence.shown)
    beside = measure("run", split, candidates, evaluation.thresholds, resamples=20, ceiling=ceiling)
    page = evaluation_markdown(beside)
    assert "Readers: a report, each against the consensus of the others. These are other images than" in page
    assert "0.310 (0.200-0.400) |\n| mAP50" in page
    there = metric_text(beside.by_name["sensitivity at the readers' false positives per image, IoU 0.4"])
    assert f"| all classes | 0.010 (0.100-0.600) | 0.700 (0.500-0.900) | {there} |" in page
    assert "| Cardiomegaly | 0.000 (0.100-0.600) | 0.800 (0.500-0.900) |" in page
    assert beside.to_dict()["human_ceiling"]["rows"][0]["reader"] == "R1"
    without = curves.draw_froc(evaluation, tmp_path / "without.png").read_bytes()
    assert curves.draw_froc(beside, tmp_path / "with.png").read_bytes() != without


def test_names_on_a_film_cover_neither_its_edge_nor_each_other() -> None:
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots()
    axes.imshow(np.zeros((640, 640)))
    corner = np.array([[600, 5, 630, 30], [600, 5, 630, 30], [300, 300, 400, 400], [305, 302, 400, 400]], np.float64)
    draw_boxes_on(axes, corner, ["Cardiomegaly", "Mass/Nodule", "Pneumothorax", "Effusion"], None)
    renderer = FigureCanvasAgg(figure).get_renderer()
    frame = axes.get_window_extent()
    places = [text.get_window_extent(renderer) for text in axes.texts]
    for number, place in enumerate(places):
        assert frame.x0 - 1 <= place.x0
        assert place.x1 <= frame.x1 + 1
        assert not any(place.overlaps(other) for other in places[:number])


def test_summary_is_short(evaluation: Evaluation) -> None:
    lines = evaluation_summary(evaluation).splitlines()
    assert lines[0] == "test: 6 images, 5 boxes (95 % intervals in brackets)"
    assert len(lines) < 16


def test_markdown_table_and_intervals() -> None:
    assert markdown_table(["a", "b"], [["x", None], ["y", 0.12345]]).splitlines()[-1] == "| y | 0.123 |"
    assert markdown_table(["a"], []) == "| a |\n| --- |"
    assert with_interval(None, 0.1, 0.2) == "-"
    assert with_interval(0.5, None, None) == "0.500"
