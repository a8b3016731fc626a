"""The human ceiling: the evaluator of models, applied to readers."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.core.evaluation import score_boxes
from xray_chest_detection.core.intervals import patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.agreement_results import ALL_CLASSES
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.human_ceiling import MEAN, WEIGHTED_MEAN, HumanCeiling, human_ceiling
from xray_chest_detection.data.reader_simulation import (
    CAREFUL,
    CLASSES,
    OVER_CALLER,
    SCENARIOS,
    SLOPPY,
    Profile,
    Scenario,
    simulate,
)
from xray_chest_detection.data.readings import Readings
from xray_chest_detection.data.vinbigdata_table import read_readings_csv
from xray_chest_detection.errors import DataError

PERFECT = Profile(jitter=0.0, sensitivity=1.0, false_positives=0.0)
QUORUM = ConsensusConfig(rule="quorum")
BOX = (0.0, 0.0, 10.0, 10.0)


def readings_of_boxes(rows: Sequence[tuple[int, int]], read: np.ndarray) -> Readings:
    """One and the same box, drawn on an image by a reader."""
    image, reader = np.array(rows, np.int64).reshape(-1, 2).T
    images = tuple(f"film_{number}" for number in range(len(read)))
    readers = tuple(f"R{number + 1}" for number in range(read.shape[1]))
    xyxy = np.tile(BOX, (len(image), 1))
    return Readings(images, ("a",), readers, image, np.zeros(len(image), np.int64), reader, xyxy, read)


def value(ceiling: HumanCeiling, reader: str, measure: str, class_name: str = ALL_CLASSES) -> float | None:
    return getattr(ceiling.row(reader, class_name), measure).value


def test_readers_who_agree_reach_the_top() -> None:
    readings, truth = simulate(Scenario((PERFECT,) * 3), n_images=60, seed=0)
    ceiling = human_ceiling(readings, QUORUM, resamples=20)
    for reader in ("R1", "R2", "R3", MEAN, WEIGHTED_MEAN):
        row = ceiling.row(reader)
        assert (row.ap40.value, row.ap50.value, row.sensitivity.value) == (1, 1, 1)
        assert row.false_positives_per_image == (0, 0, 0)
    assert ceiling.row("R1").n_boxes == ceiling.row("R1").n_drawn == len(truth)
    assert ceiling.row("R1").n_findings == len(np.unique(truth.image))


def test_numbers_are_those_of_the_evaluator_of_models() -> None:
    readings, _ = simulate(SCENARIOS["one over-caller among careful"], n_images=80, seed=1)
    ceiling = human_ceiling(readings, QUORUM, resamples=30, seed=5)
    weights = patient_weights(readings.images, resamples=30, seed=5)
    for reader, name in enumerate(readings.readers):
        others, his = merge(readings.without_reader(reader), QUORUM), readings.select(readings.reader == reader)
        truth = BoxTable(others.image, others.class_id, np.ones(len(others)), others.xyxy, 80)
        drawn = BoxTable(his.image, his.class_id, np.ones(len(his)), his.xyxy, 80)
        scores = score_boxes(truth, drawn, drawn, classes=CLASSES, weights=weights)
        expected = {metric.name: (metric.value, metric.low, metric.high) for metric in scores.metrics}
        assert ceiling.row(name).ap40 == expected["mAP40"]
        assert ceiling.row(name).ap50 == expected["mAP50"]
        for class_name in CLASSES:
            assert ceiling.row(name, class_name).ap50 == expected[f"AP50 {class_name}"]
        # At a rate that allows all false alarms, FROC is the sensitivity of everything that was drawn.
        assert ceiling.row(name).false_positives_per_image.value < 8
        assert ceiling.row(name).sensitivity == expected["sensitivity at 8 false positives per image, IoU 0.4"]


def test_average_precision_of_one_point_is_near_precision_times_recall() -> None:
    readings, _ = simulate(Scenario((CAREFUL, CAREFUL, OVER_CALLER)), n_images=1500, seed=0)
    row = human_ceiling(readings, QUORUM, resamples=0).row("R3", "Pleural thickening")
    found = row.sensitivity.value * row.n_boxes
    assert row.ap40.value == pytest.approx(found / row.n_drawn * row.sensitivity.value, abs=0.05)


def test_habits_of_readers_show() -> None:
    readings, _ = simulate(Scenario((CAREFUL, CAREFUL, SLOPPY, OVER_CALLER)), n_images=300, seed=0)
    ceiling = human_ceiling(readings, ConsensusConfig(rule="em"), resamples=0)
    assert value(ceiling, "R1", "ap50") > value(ceiling, "R3", "ap50") + 0.1
    assert value(ceiling, "R4", "false_positives_per_image") > value(ceiling, "R1", "false_positives_per_image") + 0.8
    assert value(ceiling, "R4", "sensitivity") > value(ceiling, "R3", "sensitivity")


def test_only_images_that_two_others_read_count() -> None:
    read = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], np.bool_)
    readings = readings_of_boxes([(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)], read)
    ceiling = human_ceiling(readings, QUORUM, resamples=0)
    assert [ceiling.row(reader).n_images for reader in ("R1", "R2", "R3")] == [1, 1, 1]
    assert value(ceiling, "R1", "false_positives_per_image") == 0


def test_two_readers_are_compared_with_each_other() -> None:
    read = np.array([[1, 1], [1, 1], [1, 0]], np.bool_)
    readings = readings_of_boxes([(0, 0), (0, 1), (1, 0), (2, 0)], read)
    ceiling = human_ceiling(readings, ConsensusConfig(rule="union"), resamples=0)
    assert [ceiling.row(reader).n_images for reader in ("R1", "R2")] == [2, 2]
    assert value(ceiling, "R1", "false_positives_per_image") == 0.5
    assert value(ceiling, "R2", "sensitivity") == 0.5
    assert value(ceiling, MEAN, "sensitivity") == 0.75
    assert value(ceiling, WEIGHTED_MEAN, "sensitivity") == pytest.approx((1 * 1 + 2 * 0.5) / 3, abs=1e-5)


def test_a_reader_of_healthy_images_is_undefined_and_moves_no_mean() -> None:
    read = np.array([[1, 1, 1, 0], [1, 1, 0, 1]], np.bool_)
    readings = readings_of_boxes([(0, 0), (0, 1), (0, 2)], read)
    ceiling = human_ceiling(readings, QUORUM, resamples=10)
    row = ceiling.row("R4")
    assert (row.n_images, row.n_boxes, row.n_drawn) == (1, 0, 0)
    assert row.ap40 == row.sensitivity == (None, None, None)
    assert value(ceiling, MEAN, "ap40") == value(ceiling, WEIGHTED_MEAN, "ap40") == 1
    assert ceiling.row(MEAN).n_images == 5


def test_nobody_drew_anything() -> None:
    ceiling = human_ceiling(readings_of_boxes([], np.ones((2, 3), np.bool_)), QUORUM, resamples=5)
    assert ceiling.row(MEAN).sensitivity == (None, None, None)
    assert ceiling.row(MEAN).false_positives_per_image.value == 0


@pytest.mark.parametrize("read", [np.ones((2, 1), np.bool_), np.eye(2, dtype=np.bool_), np.zeros((0, 2), np.bool_)])
def test_images_with_one_reader_cannot_be_compared(read: np.ndarray) -> None:
    with pytest.raises(DataError, match="no image was read by two readers"):
        human_ceiling(readings_of_boxes([], read), QUORUM)


def test_rows_are_flat_and_whole() -> None:
    readings, _ = simulate(SCENARIOS["like VinBigData"], n_images=40, seed=0)
    rows = human_ceiling(readings, QUORUM, resamples=5).to_rows()
    assert len(rows) == (17 + 2) * (1 + len(CLASSES))
    assert {"reader", "class_name", "ap40", "ap40_low", "sensitivity_high", "n_findings"} <= set(rows[0])
    assert all(isinstance(cell, str | int | float | None) for row in rows for cell in row.values())


def test_same_seed_same_intervals() -> None:
    readings, _ = simulate(SCENARIOS["mostly sloppy"], n_images=50, seed=0)
    first, second, other = (human_ceiling(readings, QUORUM, resamples=20, seed=seed) for seed in (1, 1, 2))
    assert first.rows == second.rows
    assert first.row("R1").ap40.value == other.row("R1").ap40.value
    assert first.row("R1").ap40 != other.row("R1").ap40


def test_images_without_any_box_change_false_positives_per_image_only() -> None:
    readings, _ = simulate(Scenario((CAREFUL, CAREFUL, OVER_CALLER)), n_images=60, seed=0)
    more = replace(
        readings,
        images=(*readings.images, *(f"z_{number}" for number in range(60))),
        read=np.concatenate([readings.read, np.ones((60, 3), np.bool_)]),
    )
    few, many = human_ceiling(readings, QUORUM, resamples=0), human_ceiling(more, QUORUM, resamples=0)
    assert few.row("R3").ap40 == many.row("R3").ap40
    assert few.row("R3").sensitivity == many.row("R3").sensitivity
    rates = [value(ceiling, "R3", "false_positives_per_image") for ceiling in (few, many)]
    assert rates[1] == pytest.approx(rates[0] / 2, abs=1e-4)


def test_the_real_table_needs_no_image() -> None:
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package torchxrayvision, which carries the full table, is not installed")
    readings = read_readings_csv(Path(spec.submodule_search_locations[0]) / "data" / "vinbigdata-train.csv.gz")
    ceiling = human_ceiling(readings, QUORUM, resamples=0)
    busy = ceiling.row("R8")
    assert (busy.n_images, busy.n_findings, busy.n_drawn) == (6582, 3577, 9762)
    assert ceiling.row("R1").ap40.value is None
    pooled = ceiling.row(WEIGHTED_MEAN)
    assert pooled.ap40.value == pytest.approx(0.243, abs=0.002)
    assert pooled.sensitivity.value == pytest.approx(0.761, abs=0.002)
    assert pooled.false_positives_per_image.value == pytest.approx(1.072, abs=0.002)
