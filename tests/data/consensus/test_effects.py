"""Chances and rates that borrow strength: exact where they can be, and always upwards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xray_chest_detection.data.consensus.effects import no_effects

WIDE = (50.0, 50.0, 50.0, 50.0)
USUAL = (0.5, 0.3, 0.7, 0.15)


def climbed(effects, events, trials, steps=50):
    for _ in range(steps):
        effects = effects.improved(events, trials)
    return effects


@pytest.mark.parametrize("link", ["logit", "log"])
def test_with_wide_priors_each_cell_has_its_own_frequency(link):
    events, trials = np.array([[8.0, 2.0], [50.0, 10.0]]), np.array([[10.0, 10.0], [100.0, 20.0]])
    effects = climbed(no_effects(link, np.zeros(2), 2, sd=WIDE), events, trials)
    np.testing.assert_allclose(effects.value, events / trials, atol=1e-3)


@pytest.mark.parametrize("link", ["logit", "log"])
def test_a_cell_without_data_follows_its_reader_and_its_class(link):
    events, trials = np.array([[90.0, 90.0], [30.0, 0.0]]), np.array([[100.0, 100.0], [100.0, 0.0]])
    value = climbed(no_effects(link, np.full(2, -0.7), 2, sd=USUAL), events, trials).value
    assert value[1, 1] == pytest.approx(value[1, 0], abs=0.1)
    assert value[1, 1] < value[0, 1]


def test_without_data_the_prior_stays():
    nothing = np.zeros((3, 2))
    np.testing.assert_allclose(climbed(no_effects("logit", np.zeros(2), 3, sd=USUAL), nothing, nothing).value, 0.5)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (3, 2), elements=st.floats(0, 1)),
    arrays(np.float64, (3, 2), elements=st.floats(0, 1e5)),
    st.sampled_from(("logit", "log")),
)
def test_no_step_leads_downwards(share, trials, link):
    effects = no_effects(link, np.zeros(2), 3, sd=USUAL)
    heights = []
    for _ in range(8):
        value = effects.value
        missed = np.log1p(-np.minimum(value, 1 - 1e-15)) if link == "logit" else None
        fit = share * np.log(value) + ((1 - share) * missed if missed is not None else -value)
        heights.append(float((trials * fit).sum()) + effects.log_prior())
        effects = effects.improved(share * trials, trials)
    assert (np.diff(heights) >= -1e-9 * np.abs(heights[1:]) - 1e-9).all()
