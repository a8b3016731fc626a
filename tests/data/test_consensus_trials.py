"""Consensus rules on readers whose truth is known."""

from functools import cache

import numpy as np
import pytest

from xray_chest_detection.data.consensus_trials import RULES, Trial, margins, run_trials, summarise
from xray_chest_detection.data.reader_simulation import SCENARIOS, Score

F1_SEEDS = (0, 1)


@cache
def f1_of(scenario: str) -> dict[str, float]:
    trials = run_trials(F1_SEEDS, n_images=400, scenarios={scenario: SCENARIOS[scenario]})
    return {row.rule: row.f1 for row in summarise(trials)}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "em"])
@pytest.mark.parametrize("scenario", ["mixed quality", "mostly sloppy", "class confusers"])
def test_em_beats_every_rule_where_readers_differ(scenario: str, rule: str) -> None:
    f1 = f1_of(scenario)
    assert f1["em"] > f1[rule]


@pytest.mark.parametrize("scenario", ["equal careful readers", "one over-caller among careful", "like VinBigData"])
def test_em_does_not_lose_where_two_votes_are_the_best_rule(scenario: str) -> None:
    f1 = f1_of(scenario)
    assert f1["em"] > max(f1.values()) - 0.01


def test_every_rule_sees_the_same_readings_of_every_seed() -> None:
    trials = run_trials((3, 4), n_images=30, scenarios={"mostly sloppy": SCENARIOS["mostly sloppy"]})
    assert [(trial.seed, trial.rule) for trial in trials] == [(seed, rule) for seed in (3, 4) for rule in RULES]
    again = run_trials(
        (4,), n_images=30, scenarios={"mostly sloppy": SCENARIOS["mostly sloppy"]}, rules={"em": RULES["em"]}
    )
    assert again[0] == trials[-1]


def trial(rule: str, seed: int, f1: float, scenario: str = "s") -> Trial:
    return Trial(scenario, rule, seed, Score(precision=f1, recall=f1, f1=f1, iou=f1 / 2))


def test_summary_has_mean_and_deviation() -> None:
    rows = summarise([trial("a", 0, 0.5), trial("b", 0, 0.1), trial("a", 1, 0.7)])
    assert [(row.scenario, row.rule) for row in rows] == [("s", "a"), ("s", "b")]
    assert (rows[0].f1, rows[0].iou) == (pytest.approx(0.6), pytest.approx(0.3))
    assert rows[0].f1_sd == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert rows[1].f1_sd == 0


def test_margins_are_taken_seed_by_seed_against_the_best_other_rule() -> None:
    trials = [
        *(trial("em", 0, 0.9), trial("good", 0, 0.8), trial("bad", 0, 0.1)),
        *(trial("em", 1, 0.7), trial("good", 1, 0.6), trial("bad", 1, 0.6)),
        *(trial("em", 0, 0.4, "t"), trial("bad", 0, 0.5, "t"), trial("em", 1, 0.4, "t"), trial("bad", 1, 0.5, "t")),
    ]
    found = margins(trials, "em")
    assert found["s"] == ("good", pytest.approx(0.1), pytest.approx(0))
    assert found["t"] == ("bad", pytest.approx(-0.1), pytest.approx(0))
