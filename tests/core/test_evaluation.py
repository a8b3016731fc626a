"""One evaluator for models and readers: what is unknown is left out, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.core.evaluation import Scores, score_boxes
from xray_chest_detection.core.intervals import patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.measures import parse_ious
from xray_chest_detection.core.numbers import mean_over_classes, rates_of
from xray_chest_detection.core.scene import known_boxes
from xray_chest_detection.errors import UsageError

CLASSES = ("a", "b", "c")
N_IMAGES = 14
NOBODY_KNOWS = np.zeros((N_IMAGES, len(CLASSES)), np.bool_)


def scene(seed: int) -> tuple[BoxTable, BoxTable]:
    """True boxes, and predictions around them with false alarms between."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(8, 25))
    corner = rng.integers(0, 60, (count, 2))
    xyxy = np.concatenate([corner, corner + rng.integers(10, 40, (count, 2))], axis=1).astype(np.float64)
    image, class_id = rng.integers(0, N_IMAGES, count), rng.integers(0, len(CLASSES), count)
    truth = BoxTable(image, class_id, np.ones(count), xyxy, N_IMAGES)
    rows = np.repeat(np.arange(count), 4)
    noisy = xyxy[rows] + rng.integers(-6, 7, (len(rows), 4))
    noisy[:, 2:] = np.maximum(noisy[:, 2:], noisy[:, :2] + 2)
    image = np.where(rng.random(len(rows)) < 0.8, image[rows], rng.integers(0, N_IMAGES, len(rows)))
    return truth, BoxTable(image, class_id[rows], rng.random(len(rows)), noisy, N_IMAGES)


def scores_of(truth: BoxTable, predictions: BoxTable, unknown: np.ndarray | None = None) -> Scores:
    shown = predictions.select(predictions.score >= 0.5)
    weights = patient_weights([str(image) for image in range(N_IMAGES)], resamples=20)
    return score_boxes(truth, predictions, shown, classes=CLASSES, unknown=unknown, weights=weights)


def assert_same(first: Scores, second: Scores) -> None:
    assert first.metrics == second.metrics
    assert first.per_class == second.per_class
    assert np.array_equal(first.confusion, second.confusion)
    for name in first.froc:
        assert np.array_equal(first.froc[name][0], second.froc[name][0])
        assert np.array_equal(first.froc[name][1], second.froc[name][1])
    for name in first.pr_curves:
        assert np.array_equal(first.pr_curves[name], second.pr_curves[name])


def unlabelled(truth: BoxTable, seed: int) -> np.ndarray:
    """Some classes unknown on some images, never where there is a true box of the class."""
    unknown = np.random.default_rng(seed + 1).random((N_IMAGES, len(CLASSES))) < 0.4
    unknown[truth.image, truth.class_id] = False
    return unknown


@pytest.mark.parametrize("seed", range(3))
def test_nothing_unknown_is_the_same_as_no_word_about_it(seed: int) -> None:
    truth, predictions = scene(seed)
    assert_same(scores_of(truth, predictions), scores_of(truth, predictions, NOBODY_KNOWS))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_predictions_of_unknown_classes_change_nothing(seed: int) -> None:
    truth, predictions = scene(seed)
    unknown = unlabelled(truth, seed)
    assert_same(scores_of(truth, predictions, unknown), scores_of(truth, known_boxes(predictions, unknown), unknown))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_an_unknown_class_on_an_image_changes_no_other_class(seed: int) -> None:
    truth, predictions = scene(seed)
    unknown = unlabelled(truth, seed)
    unknown[:, [0, 2]] = False
    all_known, some_unknown = scores_of(truth, predictions), scores_of(truth, predictions, unknown)
    for index in (0, 2):
        assert all_known.per_class[index] == some_unknown.per_class[index]
        name = CLASSES[index]
        if name in all_known.froc:
            assert np.array_equal(all_known.froc[name], some_unknown.froc[name])
    before = {metric.name: metric for metric in all_known.metrics}
    after = {metric.name: metric for metric in some_unknown.metrics}
    for name in ("AP50 a", "AP50 c"):
        assert before[name] == after[name]


def test_an_unknown_class_has_fewer_images_and_fewer_false_alarms() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    truth = BoxTable(np.array([0]), np.array([0]), np.ones(1), box, 4)
    found = BoxTable(np.array([0, 1, 2]), np.zeros(3, int), np.array([0.7, 0.9, 0.8]), np.repeat(box, 3, axis=0), 4)
    unknown = np.array([[False], [True], [True], [False]])
    all_known = score_boxes(truth, found, found, classes=("a",))
    left_out = score_boxes(truth, found, found, classes=("a",), unknown=unknown)
    assert (all_known.per_class[0].n_images, all_known.per_class[0].false_alarms) == (4, 2)
    assert all_known.per_class[0].ap50 == pytest.approx(1 / 3, abs=1e-5)
    assert (left_out.per_class[0].n_images, left_out.per_class[0].false_alarms) == (2, 0)
    assert left_out.per_class[0].ap50 == pytest.approx(1)
    assert all_known.confusion.tolist() == [[1, 0], [2, 0]]
    assert left_out.confusion.tolist() == [[1, 0], [0, 0]]


def test_false_alarms_per_image_of_a_class_count_the_images_it_is_known_on() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    truth = BoxTable(np.array([0]), np.array([0]), np.ones(1), box, 4)
    found = BoxTable(np.array([0, 1]), np.zeros(2, int), np.array([0.5, 0.9]), np.repeat(box, 2, axis=0), 4)
    half = np.array([[False], [False], [True], [True]])
    assert score_boxes(truth, found, found, classes=("a",)).froc["a"][0].tolist() == [0.25]
    assert score_boxes(truth, found, found, classes=("a",), unknown=half).froc["a"][0].tolist() == [0.5]


def test_a_class_unknown_everywhere_is_undefined_and_left_out_of_the_mean() -> None:
    truth, predictions = scene(5)
    unknown = NOBODY_KNOWS.copy()
    unknown[:, 1] = True
    scores = scores_of(truth.select(truth.class_id != 1), predictions, unknown)
    assert scores.per_class[1].ap50 is None
    assert (scores.per_class[1].n_images, scores.per_class[1].false_alarms) == (0, 0)
    values = [scores.per_class[index].ap50 for index in (0, 2)]
    assert next(m.value for m in scores.metrics if m.name == "mAP50") == pytest.approx(np.mean(values), abs=1e-5)


def test_metrics_of_a_class_say_on_how_many_images() -> None:
    truth, predictions = scene(6)
    unknown = unlabelled(truth, 6)
    images = {metric.name: metric.n_images for metric in scores_of(truth, predictions, unknown).metrics}
    assert images["mAP50"] == N_IMAGES
    for index, name in enumerate(CLASSES):
        assert images[f"AP50 {name}"] == int((~unknown[:, index]).sum()) < N_IMAGES


def test_rates_of_a_point_by_hand() -> None:
    rates = rates_of(np.array([[1.0, 1, 1], [0, 1, 2], [0, 0, 0]]), np.array([4.0, 2, 0]))
    np.testing.assert_allclose(rates["recall"], [0.5, 0, np.nan])
    np.testing.assert_allclose(rates["precision"], [0.5, 0, np.nan])
    np.testing.assert_allclose(rates["F1"], [0.5, 0, np.nan])
    np.testing.assert_allclose(rates["false positives per image"], [0.25, 0.5, np.nan])


def test_mean_leaves_out_classes_without_boxes() -> None:
    precision = np.array([[[0.2]], [[np.nan]], [[0.4]]])
    assert mean_over_classes(precision) == pytest.approx(0.3)
    assert np.isnan(mean_over_classes(precision[1:2])).all()


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_order_of_tied_boxes_changes_no_number(seed: int) -> None:
    truth, found = scene(seed)
    rng = np.random.default_rng(seed)
    tied = BoxTable(found.image, found.class_id, rng.integers(1, 4, len(found)) / 4, found.xyxy, N_IMAGES)
    same_place = BoxTable(tied.image, (tied.class_id + 1) % 3, tied.score, tied.xyxy, N_IMAGES)
    both = BoxTable(
        np.concatenate([tied.image, same_place.image]),
        np.concatenate([tied.class_id, same_place.class_id]),
        np.concatenate([tied.score, same_place.score]),
        np.concatenate([tied.xyxy, same_place.xyxy]),
        N_IMAGES,
    )
    assert_same(scores_of(truth, both), scores_of(truth, both.select(rng.permutation(len(both)))))


def value(scores: Scores, name: str) -> float | None:
    return next(metric.value for metric in scores.metrics if metric.name == name)


def test_every_number_has_an_interval_that_holds_it() -> None:
    truth, predictions = scene(7)
    area = np.full(N_IMAGES, 10_000.0)
    weights = patient_weights([str(image) for image in range(N_IMAGES)], resamples=400)
    scores = score_boxes(truth, predictions, predictions, classes=CLASSES, image_area_px=area, weights=weights)
    assert len(scores.metrics) == len({metric.name for metric in scores.metrics}) > 200
    for metric in scores.metrics:
        if metric.value is not None and not metric.name.startswith("ECE"):
            assert metric.low is not None
            assert metric.low - 0.03 <= metric.value <= metric.high + 0.03, metric


def test_labels_without_a_box_count_for_images_and_unknown_ones_do_not() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    truth = BoxTable(np.array([0]), np.array([0]), np.ones(1), box, 4)
    scored = np.array([0.9, 0.8, 0.7, 0.1])
    found = BoxTable(np.arange(4), np.zeros(4, int), scored, np.repeat(box, 4, axis=0), 4)
    only = np.zeros((4, 1), np.bool_)
    labelled, unknown = only.copy(), only.copy()
    labelled[2] = True
    unknown[1] = True
    plain = score_boxes(truth, found, found, classes=("a",))
    with_label = score_boxes(truth, found, found, classes=("a",), labelled=labelled)
    left_out = score_boxes(truth, found, found, classes=("a",), labelled=labelled, unknown=unknown)
    assert value(plain, "AUROC any finding") == 1
    assert value(with_label, "AUROC any finding") == pytest.approx(0.75)  # film 2 loses against film 1
    assert value(left_out, "AUROC any finding") == 1


def test_any_finding_leaves_out_films_that_may_have_one() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    truth = BoxTable(np.array([0]), np.array([0]), np.ones(1), box, 3)
    found = BoxTable(np.array([0, 1]), np.array([0, 0]), np.array([0.3, 0.9]), np.repeat(box, 2, axis=0), 3)
    unknown = np.array([[False, True], [False, True], [False, False]])
    scores = score_boxes(truth, found, found, classes=("a", "b"), unknown=unknown)
    assert value(scores, "AUROC any finding") == 1
    assert value(scores, "AUROC a") == pytest.approx(0.5)
    assert value(scores, "AUROC b") is None


def test_sensitivity_is_read_off_at_the_rates_of_readers() -> None:
    truth, predictions = scene(3)
    rates = {"all classes": 1.0, "b": 0.5}
    scores = score_boxes(truth, predictions, predictions, classes=CLASSES, reader_rates=rates)
    name = "sensitivity at the readers' false positives per image, IoU 0.4"
    assert value(scores, name) == value(scores, "sensitivity at 1 false positives per image, IoU 0.4")
    false_alarms, sensitivity = scores.froc["b"]
    assert value(scores, f"{name}, b") == pytest.approx(sensitivity[false_alarms <= 0.5].max(initial=0), abs=1e-5)


def test_without_the_size_of_images_there_are_no_small_findings() -> None:
    truth, predictions = scene(4)
    assert not [number for number in scores_of(truth, predictions).numbers if number.name.startswith("centre")]


@pytest.mark.parametrize("text", ["0", "1.1", "a", "0.5:0.4", "0.3:0.5:0.7", "", "nan"])
def test_an_overlap_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=rf"--ious: '{text}' is not an overlap in \(0, 1\], as 0.5, or a range"):
        parse_ious([text])


def test_a_range_of_overlaps_is_their_mean() -> None:
    truth, predictions = scene(6)
    overlaps = parse_ious(["0.3", "0.35", "0.3:0.35"])
    assert overlaps["30-35"] == (0.3, 0.35)
    scores = score_boxes(truth, predictions, predictions, classes=CLASSES, ious=overlaps)
    expected = np.mean([value(scores, "AP30 a"), value(scores, "AP35 a")])
    assert value(scores, "AP30-35 a") == pytest.approx(expected, abs=1e-5)
