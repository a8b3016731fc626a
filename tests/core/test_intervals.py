"""Bootstrap by patient."""

import numpy as np

from xray_chest_detection.core.intervals import patient_weights, percentile_interval


def test_images_of_a_patient_are_drawn_together() -> None:
    weights = patient_weights(["a", "b", "a", "c"], resamples=200)
    assert weights.shape == (200, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)


def test_the_draw_is_repeatable() -> None:
    np.testing.assert_array_equal(patient_weights(["a", "b"], seed=3), patient_weights(["a", "b"], seed=3))


def test_no_images() -> None:
    assert patient_weights([], resamples=5).shape == (5, 0)


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.normal(0, 1, 60)
        weights = patient_weights([str(i) for i in range(60)], resamples=300, seed=trial)
        low, high = percentile_interval(weights @ values / weights.sum(axis=1))
        assert low is not None
        assert high is not None
        covered += low <= 0 <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_undefined_values_give_no_interval() -> None:
    assert percentile_interval(np.array([np.nan, np.nan, 1.0])) == (None, None)
    assert percentile_interval(np.zeros(0)) == (None, None)
