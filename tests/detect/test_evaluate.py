"""Measuring a run."""

import json
from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.evaluate import evaluate, labelled_without_box, measure
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.results import Kept, read_kept, write_evaluation
from xray_chest_detection.detect.runs import Run, create_run
from xray_chest_detection.detect.thresholds import show
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.errors import DataError, ModelError
from xray_chest_detection.report.evaluation_page import class_table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

POINT = Thresholds(conf=0.3, iou=0.5)


def as_candidates(truth: BoxTable, *, score: float = 0.9) -> Candidates:
    per_image = []
    for image in range(truth.n_images):
        rows = truth.image == image
        count = int(rows.sum())
        per_image.append(
            Detections(
                truth.xyxy[rows].astype(np.float32), np.full(count, score, np.float32), truth.class_id[rows], 100, 100
            )
        )
    return Candidates(tuple(str(image) for image in range(truth.n_images)), tuple(per_image))


def test_perfect_predictions(make_scene) -> None:
    split, _ = make_scene(3, n_images=20)
    result = measure("run", split, as_candidates(split.truth), POINT, resamples=100)
    for name in ("mAP50", "mAP40", "mAP50-95", "F1 at the operating point"):
        assert result.value(name) == pytest.approx(1.0), name
    assert result.value("false positives per image at the operating point") == 0
    metric = next(metric for metric in result.metrics if metric.name == "mAP50")
    assert (metric.low, metric.high, metric.n_boxes) == (pytest.approx(1.0), pytest.approx(1.0), len(split.truth))


def test_average_precision_ignores_the_operating_point(make_scene) -> None:
    split, candidates = make_scene(4)
    strict = measure("run", split, candidates, Thresholds(conf=0.6, iou=0.5), resamples=0)
    loose = measure("run", split, candidates, Thresholds(conf=0.1, iou=0.5), resamples=0)
    assert strict.value("mAP50") == loose.value("mAP50")
    name = "false positives per image at the operating point"
    assert strict.value(name) < loose.value(name)


def test_class_without_boxes_is_undefined_and_left_out_of_the_mean(make_scene) -> None:
    split, candidates = make_scene(5, classes=("a",))
    wider = LabelledSplit(
        "test",
        ("a", "never"),
        split.image_id,
        split.patient,
        (),
        split.sizes_px,
        split.truth,
        np.zeros((len(split.image_id), 2), np.bool_),
    )
    result = measure("run", wider, candidates, POINT, resamples=50)
    assert result.value("AP50 never") is None
    assert result.value("mAP50") == result.value("AP50 a")
    assert "never" not in result.evidence.scores.pr_curves


def test_intervals_hold_the_value_and_can_be_left_out(make_scene) -> None:
    split, candidates = make_scene(6, n_images=40)
    result = measure("run", split, candidates, POINT, resamples=300)
    for metric in result.metrics:
        assert metric.low is not None and metric.high is not None and metric.value is not None  # noqa: PT018
        assert metric.low <= metric.value + 0.02
        assert metric.high >= metric.value - 0.02
    assert all(metric.low is None for metric in measure("run", split, candidates, POINT, resamples=0).metrics)


def test_thresholds_per_class_decide_what_is_shown(make_scene) -> None:
    _, candidates = make_scene(7)
    shown = show(candidates, Thresholds(conf=0.2, iou=0.5, per_class={"b": 0.8}), ("a", "b"))
    scores = np.concatenate([found.score[found.class_id == 1] for found in shown])
    assert len(scores)
    assert scores.min() >= 0.8
    assert min(found.score.min(initial=1) for found in shown) < 0.8


def test_kept_evaluation_belongs_to_weights_and_thresholds(random_run: Run) -> None:
    assert read_kept(random_run) == Kept()
    tune_nms(random_run, device="cpu")
    result = evaluate(random_run, "test", resamples=20, device="cpu")
    paths = write_evaluation(random_run, result, "# page\n")
    assert [path.name for path in paths] == ["evaluation-test.json", "evaluation-test.csv", "evaluation-test.md"]
    assert json.loads(paths[0].read_text())["n_images"] == 6
    assert read_kept(random_run) == Kept(result.metrics, result.operating_curve)
    thresholds = random_run.folder / "thresholds.yaml"
    thresholds.write_text(thresholds.read_text().replace("chosen_on: val", "chosen_on: test"))
    assert read_kept(random_run) == Kept()
    paths[0].write_text("{")
    with pytest.raises(ModelError, match=r"evaluation-test.json: damaged"):
        read_kept(random_run)


def test_evaluation_without_thresholds_names_the_command(random_run: Run) -> None:
    with pytest.raises(ModelError, match=r"no thresholds chosen yet; run `xray tune-nms"):
        evaluate(random_run, "test")


def test_unknown_classes_are_left_out_and_the_table_says_on_how_many_images(make_scene) -> None:
    split, candidates = make_scene(8, n_images=20)
    unknown = np.zeros((20, 2), np.bool_)
    unknown[:, 0] = ~np.isin(np.arange(20), split.truth.image[split.truth.class_id == 0])
    all_known = measure("run", split, candidates, POINT, resamples=0)
    result = measure("run", replace(split, unknown=unknown), candidates, POINT, resamples=0)
    assert result.per_class[1] == all_known.per_class[1]
    assert result.per_class[0].n_images == 20 - unknown[:, 0].sum() < 20
    assert result.per_class[0].false_alarms < all_known.per_class[0].false_alarms
    assert "| class | images | boxes |" in class_table(result)
    assert "| class | boxes |" in class_table(all_known)
    assert result.to_dict()["per_class"][0]["n_images"] == result.per_class[0].n_images


def test_a_split_without_boxes_cannot_be_measured(tmp_path, make_dataset, make_config, make_weights) -> None:
    run = create_run(make_config(tmp_path, make_dataset(tmp_path / "bare", boxed=False)))
    make_weights(run.best)
    with pytest.raises(DataError, match="the split 'test' has no boxes, which an evaluation needs; make another split"):
        evaluate(run, thresholds=POINT, device="cpu")


def test_labels_without_a_box_are_read_from_the_side_file(random_run: Run) -> None:
    data = random_run.config.data
    split = read_labelled_split(data, "test")
    assert not labelled_without_box(data, split).any()
    rows = [
        f"images/test/{split.image_id[2]}.png,Bar,not_located",
        f"images/test/{split.image_id[3]}.png,Bar,not_labelled",
    ]
    (data / "unknown.csv").write_text("\n".join(["file,class_name,reason", *rows]) + "\n")
    assert np.argwhere(labelled_without_box(data, split)).tolist() == [[2, 1]]
