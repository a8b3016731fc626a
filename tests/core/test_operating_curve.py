"""The operating curve: by hand, and against counting at each score again."""

import numpy as np
import pytest

from xray_chest_detection.core.intervals import patient_weights, percentile_interval
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.operating_curve import CONFS, operating_curve


def record(score, hit, image, positives):
    score = np.array(score, np.float64)
    order = np.argsort(-score, kind="stable")
    return Matches(
        np.array([0.4]), score[order], np.array(image)[order], np.array(hit, np.bool_)[None, order], np.array(positives)
    )


def random_record(seed=0, *, n=400, n_images=30):
    rng = np.random.default_rng(seed)
    image, hit = rng.integers(0, n_images, n), rng.random(n) < 0.2
    positives = np.bincount(image[hit], minlength=n_images) + rng.integers(0, 2, n_images)
    return record(rng.random(n).astype(np.float32), hit, image, positives)


def test_by_hand():
    """Four images, three true boxes; two finds and three wrong boxes."""
    matches = record([0.9, 0.6, 0.6, 0.3, 0.005], [1, 0, 1, 0, 0], [0, 0, 1, 3, 2], [1, 2, 0, 0])
    curve = operating_curve(matches, split="test", n_patients=3)
    assert (curve.n_images, curve.n_boxes, curve.n_patients, curve.iou, curve.split) == (4, 3, 3, 0.4, "test")
    assert [point.conf for point in curve.points] == CONFS.tolist()
    values = {p.conf: (p.sensitivity, p.false_positives_per_image, p.precision) for p in curve.points}
    assert values[0.01] == (0.6667, 0.5, 0.5)
    assert values[0.3] == (0.6667, 0.5, 0.5)
    assert values[0.31] == (0.6667, 0.25, 0.6667)
    assert values[0.61] == (0.3333, 0.0, 1.0)
    assert values[0.91] == (0.0, 0.0, None)
    assert curve.points[0].sensitivity_low is None


def test_a_box_is_shown_at_its_own_score_as_float32():
    """0.7 as float32 is below 0.7; the deployed program compares in float32."""
    score = float(np.float32(0.7))
    assert score < 0.7
    curve = operating_curve(record([score], [1], [0], [1]), split="val", n_patients=1)
    assert curve.points[69].conf == 0.7
    assert [curve.points[place].sensitivity for place in (68, 69, 70)] == [1, 1, 0]


def test_equals_counting_at_each_score():
    matches = random_record()
    patients = [f"p{image // 2}" for image in range(30)]
    weights = patient_weights(patients, resamples=300)
    curve = operating_curve(matches, split="test", n_patients=15, weights=weights)
    for point in curve.points[::14]:
        shown = matches.score >= np.float32(point.conf)
        found, wrong = (
            np.array([(shown & (matches.image == image) & (matches.hit[0] == right)).sum() for image in range(30)])
            for right in (True, False)
        )
        sensitivity = (weights @ found) / (weights @ matches.positives)
        alarms = (weights @ wrong) / weights.sum(axis=1)
        assert point.sensitivity == pytest.approx(found.sum() / matches.n_positives, abs=1e-4)
        assert point.precision == pytest.approx(found.sum() / max(shown.sum(), 1), abs=1e-4)
        low, high = percentile_interval(sensitivity)
        assert (point.sensitivity_low, point.sensitivity_high) == pytest.approx((low, high), abs=1e-4)
        low, high = percentile_interval(alarms)
        got = point.false_positives_per_image_low, point.false_positives_per_image_high
        assert got == pytest.approx((low, high), abs=1e-4)


def test_it_falls_with_the_score_and_lies_in_its_interval():
    weights = patient_weights([str(image) for image in range(30)], resamples=200)
    curve = operating_curve(random_record(3), split="test", n_patients=30, weights=weights)
    sensitivity = [point.sensitivity for point in curve.points]
    alarms = [point.false_positives_per_image for point in curve.points]
    assert sensitivity == sorted(sensitivity, reverse=True)
    assert alarms == sorted(alarms, reverse=True)
    assert all(point.sensitivity_low <= point.sensitivity <= point.sensitivity_high for point in curve.points)


def test_without_true_boxes_there_is_no_sensitivity():
    curve = operating_curve(record([0.5], [0], [0], [0, 0]), split="test", n_patients=2)
    assert {point.sensitivity for point in curve.points} == {None}
    assert curve.points[0].false_positives_per_image == 0.5
