"""Choosing thresholds."""

import numpy as np
import pytest

from xray_chest_detection.core import matching, metrics
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import read_thresholds
from xray_chest_detection.detect.tune_nms import (
    CONFS,
    IOUS,
    GridPoint,
    choose,
    grid,
    grid_csv,
    tune_nms,
)
from xray_chest_detection.errors import DataError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_every_point_equals_a_computation_of_its_own(make_scene) -> None:
    split, candidates = make_scene()
    points = grid(candidates, split)
    assert len(points) == len(CONFS) * len(IOUS) * 2
    for point in points[::7]:
        found = candidates.table(conf=point.conf, iou=point.iou, agnostic=point.agnostic)
        per_class = matching.match_classes(split.truth, found, n_classes=2, max_detections=300)
        map50 = np.mean([metrics.average_precision(matches)[0, 0] for matches in per_class])
        assert point.map50 == pytest.approx(map50)
        assert point.best_recall == pytest.approx(metrics.best_f1_point(per_class)[2])
        assert point.score == pytest.approx((point.map50 + point.best_recall) / 2)
        assert point.recall == pytest.approx(metrics.counts(matching.pool(per_class)).recall)


def test_one_class_has_one_mode(make_scene) -> None:
    split, candidates = make_scene(classes=("a",))
    assert {point.agnostic for point in grid(candidates, split)} == {False}


def test_suppression_is_chosen_by_ranking_and_the_threshold_by_f1(make_scene) -> None:
    split, candidates = make_scene()
    points = grid(candidates, split, objective="map_then_f1")
    best = choose(points, objective="map_then_f1")
    lowest = [point for point in points if point.conf == min(CONFS)]
    assert max(point.map50 for point in lowest) == next(
        point.map50 for point in lowest if (point.iou, point.agnostic) == (best.iou, best.agnostic)
    )
    alike = [point for point in points if (point.iou, point.agnostic) == (best.iou, best.agnostic)]
    assert best.f1 == max(point.f1 for point in alike)


def test_f1_objective_scores_the_shown_boxes(make_scene) -> None:
    split, candidates = make_scene()
    assert all(point.score == point.f1 for point in grid(candidates, split, objective="f1"))


def test_of_equal_points_the_quieter_one_is_chosen() -> None:
    def point(conf: float, iou: float, agnostic: bool, score: float) -> GridPoint:
        return GridPoint(conf, iou, agnostic, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, score)

    points = [
        point(0.1, 0.5, False, 0.3),
        point(0.2, 0.5, False, 0.3),
        point(0.2, 0.3, False, 0.3),
        point(0.6, 0.1, True, 0.2),
    ]
    assert choose(points) is points[2]


def test_csv_has_every_point_in_order(make_scene) -> None:
    split, candidates = make_scene()
    points = grid(candidates, split)
    lines = grid_csv(points).splitlines()
    assert lines[0].startswith("conf,iou,agnostic,map50")
    assert [float(line.split(",")[-1]) for line in lines[1:]] == [round(point.score, 5) for point in points]


def test_thresholds_are_written_and_read(random_run: Run) -> None:
    tuned, points = tune_nms(random_run, device="cpu")
    scores = [point.score for point in points[1:]]
    assert points[0].score == max(point.score for point in points)
    assert scores == sorted(scores, reverse=True)
    best = choose(points)
    assert read_thresholds(random_run) == tuned.thresholds
    assert (tuned.thresholds.conf, tuned.thresholds.iou) == (best.conf, best.iou)
    assert (random_run.folder / "nms_grid.csv").is_file()


def test_missing_thresholds_name_the_command(random_run: Run) -> None:
    with pytest.raises(ModelError, match=r"no thresholds chosen yet; run `xray tune-nms .*` first"):
        read_thresholds(random_run)


def test_thresholds_of_other_weights_are_refused(random_run: Run) -> None:
    tune_nms(random_run, device="cpu")
    random_run.best.write_bytes(random_run.best.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"thresholds.yaml: chosen for other weights"):
        read_thresholds(random_run)


def test_damaged_thresholds_are_refused(random_run: Run) -> None:
    (random_run.folder / "thresholds.yaml").write_text("thresholds: [")
    with pytest.raises(ModelError, match=r"thresholds.yaml: damaged"):
        read_thresholds(random_run)


def test_validation_split_without_boxes_is_refused(tmp_path, make_dataset, make_config, make_weights) -> None:
    from xray_chest_detection.detect.runs import create_run

    run = create_run(make_config(tmp_path, make_dataset(tmp_path / "empty", boxed=False)))
    make_weights(run.best)
    with pytest.raises(DataError, match=r"the split 'val' has no boxes"):
        tune_nms(run, device="cpu")


def test_split_is_read_as_it_was_written(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "train")
    assert len(split.image_id) == 16
    assert split.boxes_per_class.sum() == len(split.truth)
    assert split.patient[0] == "nih:0"
