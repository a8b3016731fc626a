"""Choosing thresholds of a run."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from xray_chest_detection.core import boxes
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import letterbox
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import Candidates, predict_split
from xray_chest_detection.detect.runs import Run, create_run
from xray_chest_detection.detect.thresholds import TunedThresholds, read_thresholds, thresholds_path
from xray_chest_detection.detect.tune_nms import tune, tune_nms
from xray_chest_detection.detect.tuning.grid import Axes, choose
from xray_chest_detection.detect.tuning.objectives import RECALL_MAP, Objective
from xray_chest_detection.errors import DataError, ModelError
from xray_chest_detection.inference.decode import to_unit

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_thresholds_are_written_and_read(random_run: Run) -> None:
    tuned, points = tune_nms(random_run, device="cpu")
    scores = [point.score for point in points[1:]]
    assert points[0].score == max(point.score for point in points)
    assert scores == sorted(scores, reverse=True)
    best = choose(points, RECALL_MAP)
    assert read_thresholds(random_run) == tuned.thresholds
    assert (tuned.thresholds.conf, tuned.thresholds.iou) == (best.conf, best.iou)
    assert (random_run.folder / "nms_grid.csv").is_file()
    written = TunedThresholds.model_validate(yaml.safe_load(thresholds_path(random_run).read_text()))
    assert written == tuned
    assert sum(tuned.thresholds.n_boxes.values()) == tuned.n_boxes == 4


def test_a_second_grid_needs_no_forward_pass(random_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tune_nms(random_run, device="cpu")
    monkeypatch.setattr(
        "xray_chest_detection.detect.predict.load_model", lambda *_, **__: pytest.fail("predicts again")
    )
    _, points = tune_nms(random_run, axes=Axes((0.2, 0.4), (0.5,)), objective=Objective("sensitivity", rate=3))
    assert {(point.conf, point.iou) for point in points} == {(0.2, 0.5), (0.4, 0.5)}


def test_thresholds_from_before_boxes_were_counted_are_read(random_run: Run) -> None:
    tuned, _ = tune_nms(random_run, device="cpu")
    old = {"conf": 0.4, "iou": 0.3, "agnostic": False, "per_class": {}, "chosen_on": "val", "objective": "F1"}
    content = {"thresholds": old, "score": 0.2, "weights_sha256": tuned.weights_sha256, "n_images": 5, "n_boxes": 4}
    thresholds_path(random_run).write_text(yaml.safe_dump(content))
    assert read_thresholds(random_run) == Thresholds(conf=0.4, iou=0.3, objective="F1")


def test_missing_thresholds_name_the_command(random_run: Run) -> None:
    with pytest.raises(ModelError, match=r"no thresholds chosen yet; run `xray tune-nms .*` first"):
        read_thresholds(random_run)


def test_thresholds_of_other_weights_are_refused(random_run: Run) -> None:
    tune_nms(random_run, device="cpu")
    random_run.best.write_bytes(random_run.best.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"thresholds.yaml: chosen for other weights"):
        read_thresholds(random_run)


def test_damaged_thresholds_are_refused(random_run: Run) -> None:
    thresholds_path(random_run).write_text("thresholds: [")
    with pytest.raises(ModelError, match=r"thresholds.yaml: damaged"):
        read_thresholds(random_run)


def test_validation_split_without_boxes_is_refused(tmp_path, make_dataset, make_config, make_weights) -> None:
    run = create_run(make_config(tmp_path, make_dataset(tmp_path / "empty", boxed=False)))
    make_weights(run.best)
    with pytest.raises(DataError, match=r"the split 'val' has no boxes"):
        tune_nms(run, device="cpu")
    assert not thresholds_path(run).exists()


def test_split_is_read_as_it_was_written(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "train")
    assert len(split.image_id) == 16
    assert split.boxes_per_class.sum() == len(split.truth)
    assert split.patient[0] == "nih:train0"


@pytest.mark.slow  # ultralytics validates six times
@pytest.mark.parametrize("agnostic", [False, True])
def test_grid_agrees_with_val_of_ultralytics_on_the_same_inputs(
    random_run: Run, tmp_path: Path, agnostic: bool
) -> None:
    from ultralytics import YOLO

    from xray_chest_detection.detect.dataset import reading_like_the_demo
    from xray_chest_detection.detect.trainer import switch_off_integrations

    split, candidates = label_with_predictions(random_run)
    _, points = tune(candidates, split, axes=Axes((0.03, 0.2, 0.4), (0.05, 0.6)))
    switch_off_integrations()
    fixed = {"imgsz": 64, "rect": False, "plots": False, "verbose": False, "device": "cpu", "workers": 0}
    place = {"data": str(absolute_data(random_run)), "project": str(tmp_path / "val")}
    compared = [point for point in points if point.agnostic == agnostic]
    assert len(compared) == 6
    assert max(point.map50 for point in compared) > 0.2
    assert len({round(point.map50, 3) for point in compared}) > 3
    for point in compared:
        options = {"conf": point.conf, "iou": point.iou, "agnostic_nms": agnostic}
        with reading_like_the_demo():
            found = YOLO(random_run.best).val(**options, **fixed, **place)
        assert point.map50 == pytest.approx(found.box.map50, abs=1e-3), point
        assert point.best_recall == pytest.approx(found.box.mr, abs=1e-3), point


def label_with_predictions(run: Run) -> tuple[LabelledSplit, Candidates]:
    """True boxes near what a network of random weights finds on them."""
    rng, data = np.random.default_rng(0), run.config.data
    spread_scores(run)
    split = read_labelled_split(data, "val")
    candidates = predict_split(run, split, device="cpu")
    shown = candidates.suppressed(conf=0.01, iou=0.4, agnostic=False)
    for path, found, (width, height) in zip(split.files, shown, split.sizes_px, strict=True):
        some = found.select(np.sort(rng.permutation(min(40, len(found)))[:15]))
        moved = boxes.clip(some.xyxy.astype(np.float64) + rng.normal(0, 0.6, (len(some), 4)), width, height)
        sane = (moved[:, 2] > moved[:, 0] + 1) & (moved[:, 3] > moved[:, 1] + 1)
        rows = np.column_stack([some.class_id, boxes.to_cxcywhn(moved, width, height)])[sane]
        lines = "".join(f"{int(row[0])} " + " ".join(f"{value:.6f}" for value in row[1:]) + "\n" for row in rows)
        (data / "labels" / "val" / f"{path.stem}.txt").write_text(lines)
    return read_labelled_split(data, "val"), candidates


def spread_scores(run: Run) -> None:
    """Normalise the activations of random weights, so that scores differ from place to place."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    paths = read_labelled_split(run.config.data, "val").files
    films = [to_unit(letterbox(read_image(path).pixels, 64)[0])[None].repeat(3, axis=0) for path in paths]
    checkpoint = torch.load(run.best, weights_only=False)
    model = checkpoint["model"].train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the plain mean of what it sees
    head = model.model[-1]
    for sides in head.cv2:  # small boxes: others reach beyond the film, where the demo clips and `model.val` does not
        sides[-1].bias.data.copy_(-1.3 * torch.arange(16.0).repeat(4))
        sides[-1].weight.data.mul_(0.3)
    with torch.no_grad():
        model(torch.from_numpy(np.stack(films)))
    torch.save(checkpoint | {"model": model.eval()}, run.best)


def absolute_data(run: Run) -> Path:
    """The data set's file for ultralytics, which looks for relative folders in its own settings."""
    path = run.config.data / "data.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"path": str(run.config.data.resolve())}))
    return path
