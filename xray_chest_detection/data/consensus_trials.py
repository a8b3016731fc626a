"""Consensus rules tried on simulated readers, whose truth is known: every rule on the same readings of every seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.reader_simulation import SCENARIOS, Scenario, Score, score_against_truth, simulate

# `wbf` keeps every box; with a threshold on its agreement it is what a careful user would make of it.
RULES: dict[str, ConsensusConfig] = {
    "most frequent reader": ConsensusConfig(rule="most_frequent_reader"),
    "union": ConsensusConfig(rule="union"),
    "wbf": ConsensusConfig(rule="wbf"),
    "wbf, half agree": ConsensusConfig(rule="wbf", min_agreement=0.5),
    "quorum of 2": ConsensusConfig(rule="quorum"),
    "em": ConsensusConfig(rule="em"),
}


@dataclass(frozen=True)
class Trial:
    """What one rule made of one set of simulated readings.

    Attributes:
        scenario: Name of the scenario.
        rule: Name of the rule.
        seed: Seed of the simulation.
        score: How near it came to the truth.
    """

    scenario: str
    rule: str
    seed: int
    score: Score


@dataclass(frozen=True)
class RuleSummary:
    """Mean and standard deviation over the seeds of one rule in one scenario; the deviation of one seed is 0.

    Attributes:
        scenario: Name of the scenario.
        rule: Name of the rule.
        f1: Mean F1 at IoU 0.5.
        f1_sd: Its standard deviation.
        iou: Mean overlap of the boxes that are true.
        iou_sd: Its standard deviation.
    """

    scenario: str
    rule: str
    f1: float
    f1_sd: float
    iou: float
    iou_sd: float


def run_trials(
    seeds: Iterable[int],
    *,
    n_images: int,
    scenarios: Mapping[str, Scenario] = SCENARIOS,
    rules: Mapping[str, ConsensusConfig] = RULES,
) -> tuple[Trial, ...]:
    """Try every rule in every scenario with every seed, on `n_images` films each."""
    trials = []
    for seed in seeds:
        for scenario, who in scenarios.items():
            readings, truth = simulate(who, n_images=n_images, seed=seed)
            trials += [
                Trial(scenario, rule, seed, score_against_truth(merge(readings, config), truth))
                for rule, config in rules.items()
            ]
    return tuple(trials)


def summarise(trials: Sequence[Trial]) -> tuple[RuleSummary, ...]:
    """One row a scenario and rule, in the order of the trials."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for trial in trials:
        scores.setdefault((trial.scenario, trial.rule), []).append(trial.score)
    return tuple(
        RuleSummary(*key, *_mean_and_sd([score.f1 for score in several]), *_mean_and_sd([s.iou for s in several]))
        for key, several in scores.items()
    )


def margins(trials: Sequence[Trial], rule: str) -> dict[str, tuple[str, float, float]]:
    """By scenario: the best other rule by mean F1, and by how much `rule` beats it, mean and standard deviation.

    The differences are taken seed by seed, on the same readings.
    """
    best: dict[str, RuleSummary] = {}
    for row in summarise(trials):
        if row.rule != rule and (row.scenario not in best or row.f1 > best[row.scenario].f1):
            best[row.scenario] = row
    f1 = {(trial.scenario, trial.rule, trial.seed): trial.score.f1 for trial in trials}
    seeds = sorted({trial.seed for trial in trials})
    return {
        scenario: (
            other.rule,
            *_mean_and_sd([f1[scenario, rule, seed] - f1[scenario, other.rule, seed] for seed in seeds]),
        )
        for scenario, other in best.items()
    }


def _mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
