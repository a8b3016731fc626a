"""Score maps: by hand, against scikit-learn, and what few boxes may change."""

import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.score_maps import fit_score_maps, map_scores

CLASSES = ("heart", "nodule")


def found(score, class_id):
    score = np.array(score, np.float32)
    xyxy = np.tile(np.arange(len(score), dtype=np.float32)[:, None], (1, 4))
    return Detections(xyxy, score, np.array(class_id), 10, 10)


def logit(score):
    return np.log(score / (1 - score))


def record(score, hit):
    score = np.array(score, np.float64)
    order = np.argsort(-score, kind="stable")
    zeros = np.zeros(len(score), np.int64)
    return Matches(np.array([0.4]), score[order], zeros, np.array(hit, np.bool_)[None, order], np.array([sum(hit)]))


def drawn(slope, offset, *, n, seed=0):
    """Boxes whose chance of being right is a line on the logit of their score."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.001, 0.9, n)
    return record(score, rng.random(n) < 1 / (1 + np.exp(-(slope * logit(score) + offset))))


def test_no_maps_change_nothing():
    given = found([0.5, 0.2], [0, 1])
    assert map_scores(given, {}, CLASSES) is given


def test_scores_move_on_the_logit_and_boxes_stay_with_them_best_first():
    mapped = map_scores(found([0.6, 0.5], [0, 1]), {"heart": (2.0, -1.0)}, CLASSES)
    expected = 1 / (1 + np.exp(-(2 * logit(0.6) - 1)))
    np.testing.assert_allclose(mapped.score, [0.5, expected], atol=1e-6)
    assert mapped.class_id.tolist() == [1, 0]
    assert mapped.xyxy[:, 0].tolist() == [1, 0]


def test_scores_of_0_and_1_stay_finite():
    mapped = map_scores(found([1.0, 0.0], [0, 0]), {"heart": (1.0, 0.0)}, CLASSES)
    np.testing.assert_allclose(mapped.score, [1, 0], atol=1e-5)


def test_a_map_keeps_the_order_within_a_class():
    score = np.sort(np.random.default_rng(0).random(50))[::-1]
    mapped = map_scores(found(score, [0] * 50), {"heart": (0.3, 1.5)}, CLASSES)
    assert mapped.xyxy[:, 0].tolist() == list(range(50))


def test_lines_are_found_again():
    maps = fit_score_maps([drawn(0.6, -1.0, n=20_000), drawn(1.4, 0.5, n=20_000, seed=1)], CLASSES)
    assert maps["heart"] == pytest.approx((0.6, -1.0), abs=0.1)
    assert maps["nodule"] == pytest.approx((1.4, 0.5), abs=0.1)


def test_one_class_with_many_boxes_gets_the_line_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    sample = drawn(0.8, -0.5, n=3000)
    model = linear_model.LogisticRegression(C=np.inf).fit(logit(sample.score)[:, None], sample.hit[0])
    slope, offset = fit_score_maps([sample], ["heart"])["heart"]
    assert slope == pytest.approx(model.coef_[0, 0], abs=2e-3)
    assert offset == pytest.approx(model.intercept_[0], abs=5e-3)


def test_few_boxes_stay_near_the_line_of_all():
    many, few = drawn(0.6, -1.0, n=5000), record([0.3, 0.02], [True, True])
    (shared,), (alone,) = (fit_score_maps([sample], ["one"]).values() for sample in (many, few))
    drawn_in = fit_score_maps([many, few], CLASSES)["nodule"]
    heights = [slope * logit(0.1) + offset for slope, offset in (shared, drawn_in, alone)]
    assert heights[0] < heights[1] < heights[0] + (heights[2] - heights[0]) / 2


@pytest.mark.parametrize("hit", [[True, True, True], [False, False, False]])
def test_boxes_that_are_all_right_or_all_wrong_give_a_finite_rising_line(hit):
    slope, offset = fit_score_maps([record([0.9, 0.5, 0.1], hit)], ["heart"])["heart"]
    assert slope > 0
    assert np.isfinite([slope, offset]).all()


def test_a_line_that_would_fall_keeps_its_height():
    sample = drawn(-1.0, -2.0, n=5000)
    slope, offset = fit_score_maps([sample], ["heart"])["heart"]
    assert slope == 0.05
    assert slope * -2 + offset == pytest.approx(-1.0 * -2 - 2.0, abs=0.2)


def test_without_a_box_scores_stay():
    empty = Matches(np.array([0.4]), np.zeros(0), np.zeros(0, np.int64), np.zeros((1, 0), np.bool_), np.array([2]))
    assert fit_score_maps([empty, empty], CLASSES) == dict.fromkeys(CLASSES, (1.0, 0.0))
