"""Metrics against pycocotools and ultralytics, and properties that no reference is needed for."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.core import matching, measures, metrics
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.evaluation import DEFAULT_IOUS, score_boxes
from xray_chest_detection.core.matching import BoxTable

N_CLASSES = 3


def table(rows: Sequence[tuple[int, int, float, tuple[float, float, float, float]]], n_images: int) -> BoxTable:
    return BoxTable(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.float64).reshape(-1, 4),
        n_images,
    )


def random_tables(seed: int, *, n_images: int = 12, ties: bool = False) -> tuple[BoxTable, BoxTable]:
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(n_images):
        for _ in range(rng.integers(0, 4)):
            x, y = rng.integers(0, 60, 2)
            width, height = rng.integers(4, 40, 2)
            class_id = int(rng.integers(N_CLASSES))
            truth.append((image, class_id, 1.0, (x, y, x + width, y + height)))
            for _ in range(rng.integers(0, 5)):
                shift = rng.integers(-6, 7, 4)
                left, top = min(x + shift[0], x + width - 1), min(y + shift[1], y + height - 1)
                box = (left, top, x + width + abs(shift[2]), y + height + abs(shift[3]))
                score = rng.integers(1, 6) / 8 if ties else rng.random()
                found.append((image, class_id if rng.random() < 0.8 else 0, score, box))
        for _ in range(rng.integers(0, 6)):
            x, y = rng.integers(0, 60, 2)
            score = rng.integers(1, 6) / 8 if ties else rng.random()
            found.append((image, int(rng.integers(N_CLASSES)), score, (x, y, x + 20, y + 15)))
    return table(truth, n_images), table(found, n_images)


def coco_precision(truth: BoxTable, found: BoxTable, *, ious: Sequence[float], max_detections: int) -> np.ndarray:
    """Average precision `(classes, T)` by pycocotools; NaN for classes without boxes."""
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def annotation(number: int, source: BoxTable, row: int) -> dict[str, object]:
        x_min, y_min, x_max, y_max = (float(value) for value in source.xyxy[row])
        size = [x_max - x_min, y_max - y_min]
        return {
            "id": number + 1,
            "image_id": int(source.image[row]) + 1,
            "category_id": int(source.class_id[row]) + 1,
            "bbox": [x_min, y_min, *size],
            "area": size[0] * size[1],
            "iscrowd": 0,
            "score": float(source.score[row]),
        }

    x_min, y_min, x_max, y_max = found.xyxy.T
    order = np.lexsort((y_max, x_max, y_min, x_min, found.image, -found.score))
    with contextlib.redirect_stdout(io.StringIO()):
        truth_coco = coco_module.COCO()
        truth_coco.dataset = {
            "images": [{"id": image + 1} for image in range(truth.n_images)],
            "categories": [{"id": class_id + 1, "name": str(class_id)} for class_id in range(N_CLASSES)],
            "annotations": [annotation(row, truth, row) for row in range(len(truth))],
        }
        truth_coco.createIndex()
        found_coco = truth_coco.loadRes([annotation(i, found, int(row)) for i, row in enumerate(order)])
        judge = COCOeval(truth_coco, found_coco, "bbox")
        judge.params.iouThrs = np.array(ious)
        judge.params.maxDets = [max_detections]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, 0]
    return np.where((precision >= 0).all(1), precision.mean(axis=1), np.nan).T


@pytest.mark.parametrize("max_detections", [2, 100])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_average_precision_equals_pycocotools(seed: int, ties: bool, max_detections: int) -> None:
    truth, found = random_tables(seed, ties=ties)
    ious = (0.3, 0.4, *metrics.COCO_IOUS)
    expected = coco_precision(truth, found, ious=ious, max_detections=max_detections)
    per_class = matching.match_classes(truth, found, n_classes=N_CLASSES, ious=ious, max_detections=max_detections)
    got = np.concatenate([metrics.average_precision(matches) for matches in per_class])
    np.testing.assert_allclose(got, expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), ties=st.booleans(), n_images=st.integers(1, 20))
def test_average_precision_equals_pycocotools_on_anything(seed: int, ties: bool, n_images: int) -> None:
    truth, found = random_tables(seed, n_images=n_images, ties=ties)
    if len(truth) == 0 or len(found) == 0:
        return
    expected = coco_precision(truth, found, ious=(0.5,), max_detections=100)
    per_class = matching.match_classes(truth, found, n_classes=N_CLASSES)
    got = np.concatenate([metrics.average_precision(matches) for matches in per_class])
    np.testing.assert_allclose(got, expected, atol=1e-6)


@st.composite
def small_scenes(draw: st.DrawFn) -> tuple[BoxTable, BoxTable]:
    """Few boxes on a coarse grid with few scores: equal boxes, equal scores and touching borders are common."""
    n_images = draw(st.integers(1, 4))
    corner, side = st.integers(0, 4), st.integers(1, 4)
    where = st.tuples(st.integers(0, n_images - 1), st.integers(0, N_CLASSES - 1))

    def rows(scores: st.SearchStrategy[float]) -> list[tuple[int, int, float, tuple[float, float, float, float]]]:
        made = draw(st.lists(st.tuples(where, scores, corner, corner, side, side), min_size=1, max_size=12))
        return [(*place, score, (x, y, x + width, y + height)) for place, score, x, y, width, height in made]

    scores = st.integers(1, 4).map(lambda level: level / 4)
    return table(rows(st.just(1.0)), n_images), table(rows(scores), n_images)


@settings(max_examples=60, deadline=None)
@given(scene=small_scenes())
def test_average_precision_at_every_default_overlap_equals_pycocotools(scene: tuple[BoxTable, BoxTable]) -> None:
    truth, found = scene
    overlaps = measures.parse_ious(DEFAULT_IOUS)
    ious = tuple(sorted({iou for several in overlaps.values() for iou in several}))
    expected = dict(zip(ious, coco_precision(truth, found, ious=ious, max_detections=100).T, strict=True))
    names = tuple("abc"[:N_CLASSES])
    values = {number.name: number.values[0] for number in score_boxes(truth, found, found, classes=names).numbers}
    for overlap, several in overlaps.items():
        wanted = np.mean([expected[iou] for iou in several], axis=0)
        np.testing.assert_allclose([values[f"AP{overlap} {name}"] for name in names], wanted, atol=1e-6)
        assert values[f"mAP{overlap}"] == pytest.approx(np.nanmean(wanted), abs=1e-6)


@given(seed=st.integers(0, 10**6), place=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_curves_over_the_score_are_the_counts_of_what_is_shown(seed: int, place: int) -> None:
    truth, found = random_tables(seed, ties=True)
    matches = matching.match(truth, found)
    shown = metrics.counts(matches.above(metrics.SCORES[place]))
    precision, recall, f1 = (curve[place] for curve in metrics.score_curves(matches))
    for got, expected in ((precision, shown.precision), (recall, shown.recall), (f1, shown.f1)):
        assert np.isnan(got) if expected is None else got == pytest.approx(expected)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_order_of_rows_changes_nothing(seed: int) -> None:
    truth, found = random_tables(seed, ties=True)
    shuffled = found.select(np.random.default_rng(seed).permutation(len(found)))
    ious = (0.5, 0.75)
    np.testing.assert_array_equal(
        matching.match(truth, found, ious=ious).hit, matching.match(truth, shuffled, ious=ious).hit
    )


@given(seed=st.integers(0, 10**6), conf=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_cutting_the_record_equals_matching_again(seed: int, conf: float) -> None:
    truth, found = random_tables(seed)
    cut = matching.match(truth, found).above(conf)
    again = matching.match(truth, found.select(found.score >= conf))
    np.testing.assert_array_equal(cut.hit, again.hit)
    np.testing.assert_array_equal(cut.score, again.score)


@pytest.mark.parametrize("seed", range(5))
def test_best_f1_point_equals_ultralytics(seed: int) -> None:
    reference = pytest.importorskip("ultralytics.utils.metrics")
    truth, found = random_tables(seed, n_images=30)
    per_class = matching.match_classes(truth, found, n_classes=N_CLASSES)
    tp = np.concatenate([matches.hit[0] for matches in per_class])[:, None]
    conf = np.concatenate([matches.score for matches in per_class])
    pred = np.repeat(np.arange(N_CLASSES), [len(matches.score) for matches in per_class])
    _, _, precision, recall, *_ = reference.ap_per_class(tp, conf, pred, truth.class_id)
    _, got_precision, got_recall = metrics.best_f1_point(per_class)
    assert got_precision == pytest.approx(precision.mean(), abs=1e-9)
    assert got_recall == pytest.approx(recall.mean(), abs=1e-9)


def test_weights_equal_repeated_images() -> None:
    truth, found = random_tables(3)
    twice = np.ones((1, truth.n_images))
    twice[0, 2] = 2

    def with_copy(source: BoxTable) -> BoxTable:
        copy = source.select(source.image == 2)
        return BoxTable(
            np.concatenate([source.image, np.full(len(copy), source.n_images)]),
            np.concatenate([source.class_id, copy.class_id]),
            np.concatenate([source.score, copy.score]),
            np.concatenate([source.xyxy, copy.xyxy]),
            source.n_images + 1,
        )

    matches = matching.match(truth, found)
    copied = matching.match(with_copy(truth), with_copy(found))
    weighted = metrics.average_precision(matches, weights=twice)[0, 0]
    # Both copies of a find have the same score; between the two, precision is a hair lower.
    assert weighted == pytest.approx(metrics.average_precision(copied)[0, 0], abs=0.01)
    np.testing.assert_allclose(
        metrics.counts_of(matches, weights=twice)[0],
        [metrics.counts(copied).found, metrics.counts(copied).false_alarms, metrics.counts(copied).missed],
    )


def test_no_images_and_no_boxes() -> None:
    empty = BoxTable.from_detections([])
    assert np.isnan(metrics.average_precision(matching.match(empty, empty))).all()
    bare = BoxTable.from_detections([Detections.empty(width_px=8, height_px=8)] * 2)
    assert np.isnan(metrics.sensitivity_at(matching.match(bare, bare))).all()
    truth = table([(0, 0, 1.0, (0, 0, 5, 5))], 2)
    missed = matching.match(truth, bare)
    assert metrics.average_precision(missed).tolist() == [[0.0]]
    assert metrics.counts(missed).to_dict() == {
        "found": 0, "false_alarms": 0, "missed": 1, "precision": None, "recall": 0.0, "f1": 0.0,
    }  # fmt: skip


def test_froc_counts_box_free_images() -> None:
    truth = table([(0, 0, 1.0, (0, 0, 10, 10))], 4)
    found = table([(1, 0, 0.9, (0, 0, 9, 9)), (2, 0, 0.8, (0, 0, 9, 9)), (0, 0, 0.7, (0, 0, 10, 10))], 4)
    matches = matching.match(truth, found)
    assert metrics.sensitivity_at(matches, (0.25, 0.5, 1.0)).tolist() == [[0.0, 1.0, 1.0]]
    false_alarms, sensitivity, score = metrics.froc_curve(matches)
    assert (false_alarms.tolist(), sensitivity.tolist(), score.tolist()) == ([0.5], [1.0], [0.7])


def test_a_second_prediction_on_a_found_box_is_a_false_alarm() -> None:
    truth = table([(0, 0, 1.0, (0, 0, 10, 10))], 1)
    found = table([(0, 0, 0.9, (0, 0, 10, 10)), (0, 0, 0.8, (0, 0, 10, 11))], 1)
    assert metrics.counts(matching.match(truth, found)) == metrics.Counts(1, 1, 0)


def test_confusion_counts_swaps_misses_and_false_alarms() -> None:
    truth = table([(0, 0, 1.0, (0, 0, 10, 10)), (0, 1, 1.0, (50, 50, 60, 60))], 2)
    found = table([(0, 1, 0.9, (0, 0, 10, 10)), (1, 0, 0.5, (0, 0, 10, 10))], 2)
    assert matching.confusion(truth, found, n_classes=2).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_tables_over_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="truth has 1 images, predictions have 2"):
        matching.match(table([], 1), table([], 2))
    with pytest.raises(ValueError, match=r"expected image \(N,\)"):
        BoxTable(np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(1), np.zeros((1, 4)), 1)
