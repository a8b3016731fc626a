"""Calibration by hand, and what it must be where scores are right by construction."""

import numpy as np
import pytest

from xray_chest_detection.core.calibration import BINS, MIN_SCORE, Calibration, calibration
from xray_chest_detection.core.matching import Matches


def record(score: np.ndarray, hit: np.ndarray, image: np.ndarray, n_images: int) -> Matches:
    order = np.argsort(-score, kind="stable")
    positives = np.bincount(image[hit], minlength=n_images)
    return Matches(np.array([0.5]), score[order], image[order], hit[None, order], positives)


def of(score: list[float], hit: list[bool]) -> Calibration:
    matches = record(np.array(score), np.array(hit), np.arange(len(score)), len(score))
    return calibration(matches, overlap=0, weights=np.ones((1, len(score))))


def test_two_bins_by_hand() -> None:
    found = of([0.92, 0.98, 0.31, 0.33], [True, False, False, True])
    assert found.boxes[0].tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    assert found.mean_score[0, [3, 9]] == pytest.approx([0.32, 0.95])
    assert found.share_right[0, [3, 9]] == pytest.approx([0.5, 0.5])
    assert found.error[0] == pytest.approx((2 * 0.18 + 2 * 0.45) / 4)
    assert np.isnan(found.share_right[0, 0])


def test_the_highest_score_has_a_bin() -> None:
    assert of([1.0], [True]).boxes[0].tolist() == [0] * (BINS - 1) + [1]


def test_boxes_that_nobody_is_shown_are_left_out() -> None:
    found = of([MIN_SCORE, MIN_SCORE - 0.001], [True, False])
    assert found.boxes.sum() == 1
    assert np.isnan(of([0.01], [False]).error[0])


def test_scores_that_are_chances_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(0.1, 1, 20_000)
    image = np.arange(len(score))
    right = rng.random(len(score)) < score
    too_sure = rng.random(len(score)) < score / 2
    weights = np.ones((1, len(score)))
    honest, boastful = (
        calibration(record(score, hit, image, len(score)), overlap=0, weights=weights).error[0]
        for hit in (right, too_sure)
    )
    assert honest < 0.02
    assert boastful == pytest.approx(score.mean() / 2, abs=0.02)


def test_weights_equal_repeated_images() -> None:
    rng = np.random.default_rng(1)
    score, hit, image = rng.random(30), rng.random(30) < 0.5, np.sort(rng.integers(0, 6, 30))
    times = np.array([0.0, 1, 2, 3, 1, 0])
    copies = np.repeat(np.arange(30), times[image].astype(int))
    weighted = calibration(record(score, hit, image, 6), overlap=0, weights=times[None])
    repeated = calibration(record(score[copies], hit[copies], image[copies], 6), overlap=0, weights=np.ones((1, 6)))
    assert weighted.error == pytest.approx(repeated.error)
