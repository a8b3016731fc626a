"""What is maximised, against ultralytics' own numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_chest_detection.core.matching import Matches
from xray_chest_detection.detect.tuning.objectives import Measures, Objective, f_beta, measure, reported_ap

AT = Measures(
    map50=0.3,
    best_recall=0.5,
    precision=0.2,
    recall=0.4,
    f1=0.267,
    false_alarms_per_image=0.7,
    sensitivity40=0.6,
    false_alarms40=0.5,
)


def record(hits: list[int], *, n_positives: int, n_images: int = 4) -> Matches:
    """A record whose predictions, best first, hit (1) or not; both overlaps agree."""
    count = len(hits)
    score = np.linspace(0.9, 0.1, count) if count else np.zeros(0)
    hit = np.array([hits, hits], np.bool_).reshape(2, count)
    positives = np.bincount(np.arange(n_positives) % n_images, minlength=n_images)
    return Matches(np.array([0.5, 0.4]), score, np.arange(count) % n_images, hit, positives)


@given(st.lists(st.lists(st.booleans(), max_size=30), min_size=1, max_size=4), st.integers(0, 6))
def test_mean_ap_and_recall_are_those_of_ultralytics(classes: list[list[bool]], missed: int) -> None:
    reference = pytest.importorskip("ultralytics.utils.metrics", reason="ultralytics is not installed").ap_per_class
    records = [record([int(hit) for hit in hits], n_positives=sum(hits) + missed) for hits in classes]
    target = np.concatenate([np.full(one.n_positives, i) for i, one in enumerate(records)])
    if not len(target):
        return
    tp = np.concatenate([one.hit[:1].T for one in records])
    conf = np.concatenate([one.score for one in records])
    pred = np.concatenate([np.full(len(one.score), i) for i, one in enumerate(records)])
    _, _, _, recall, _, ap, *_ = reference(tp, conf, pred, target)
    found = measure(records)
    assert found.map50 == pytest.approx(ap[:, 0].mean(), abs=1e-9)
    assert found.best_recall == pytest.approx(recall.mean(), abs=1e-6)


def test_a_perfect_model_misses_one_by_the_last_trapezoid() -> None:
    assert reported_ap(record([1, 1, 1], n_positives=3)) == pytest.approx(0.995)
    assert reported_ap(record([], n_positives=3)) == 0.0


def test_rates_are_of_all_classes_together() -> None:
    at = measure([record([1, 0, 1], n_positives=4), record([0, 0], n_positives=1)])
    assert (at.precision, at.recall) == (2 / 5, 2 / 5)
    assert at.f1 == pytest.approx(2 / 5)
    assert at.false_alarms_per_image == 3 / 4
    assert (at.sensitivity40, at.false_alarms40) == (at.recall, at.false_alarms_per_image)


def test_nothing_shown_and_nothing_true_are_zeros() -> None:
    assert measure([record([], n_positives=0)]) == Measures(*(0.0,) * 8)


@pytest.mark.parametrize(
    ("objective", "score"),
    [
        (Objective("recall_map"), 0.4),
        (Objective("f1"), 0.267),
        (Objective("f_beta", beta=1), 2 * 0.2 * 0.4 / 0.6),
        (Objective("f_beta", beta=2), 5 * 0.2 * 0.4 / (4 * 0.2 + 0.4)),
        (Objective("sensitivity"), 0.6),
        (Objective("map_then_f1"), 0.267),
    ],
)
def test_score_of_each_objective(objective: Objective, score: float) -> None:
    assert objective.score(AT) == pytest.approx(score)


def test_f_beta_is_that_of_sklearn() -> None:
    from sklearn.metrics import fbeta_score

    truth, guess = [1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 0]
    assert f_beta(2 / 3, 1 / 2, beta=3) == pytest.approx(fbeta_score(truth, guess, beta=3))
    assert f_beta(0.0, 0.0, beta=1) == 0.0


def test_a_point_over_the_limit_is_behind_every_point_within() -> None:
    loud = Objective("sensitivity", rate=0.4)
    assert Objective("sensitivity", rate=0.5).allows(AT)
    assert not loud.allows(AT)
    quiet = Measures(**{**vars(AT), "sensitivity40": 0.1, "false_alarms40": 0.4})
    louder = Measures(**{**vars(AT), "sensitivity40": 0.9, "false_alarms40": 0.8})
    assert loud.rank(quiet) > loud.rank(AT) > loud.rank(louder)


def test_words_name_the_parameters() -> None:
    assert Objective("f_beta", beta=0.5).text.endswith("beta 0.5")
    assert Objective("sensitivity", rate=2).text == "sensitivity at no more than 2 false positives per image, IoU 0.4"
