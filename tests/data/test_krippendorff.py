"""Krippendorff's alpha, checked against the package `krippendorff` and by hand."""

import krippendorff as reference
import numpy as np
import pytest

from xray_chest_detection.data.krippendorff import alpha, unit_sums


def alpha_of(counts):
    agreeing, pairable = unit_sums(np.asarray(counts, float))
    return float(alpha(agreeing.sum(keepdims=True), pairable.sum(axis=0, keepdims=True))[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("values", [2, 5])
def test_alpha_equals_the_reference_on_incomplete_designs(seed, values):
    rng = np.random.default_rng(seed)
    given = rng.integers(0, values, (6, 40)).astype(float)  # readers x units
    given[:, :15] = given[0, :15]
    given[rng.random(given.shape) < 0.5] = np.nan
    counts = np.stack([(given == value).sum(axis=0) for value in range(values)], axis=1)
    expected = reference.alpha(reliability_data=given, level_of_measurement="nominal")
    assert alpha_of(counts) == pytest.approx(expected, abs=1e-12)


def test_the_example_of_the_book():
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C: 4 observers, 12 units, nominal .743
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    counts = np.stack([(np.array(observers) == value).sum(axis=0) for value in range(1, 6)], axis=1)
    assert alpha_of(counts) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (np.zeros((0, 2)), np.nan),
        ([[1, 0], [0, 1]], np.nan),  # every unit has one reader
        ([[2, 0], [3, 0]], np.nan),  # one kind of value
        ([[2, 0], [0, 3]], 1.0),
        ([[1, 1]] * 2, -0.5),  # n = 4, A = 0, expected 1 - 2*2*1/12 = 2/3
    ],
    ids=["nothing", "single readers", "one value", "perfect", "always different"],
)
def test_limits(counts, expected):
    assert alpha_of(counts) == pytest.approx(expected, nan_ok=True)


def test_lots_give_zero():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(3, [0.6, 0.3, 0.1], size=20_000)
    assert alpha_of(counts) == pytest.approx(0, abs=0.02)
