"""The reader-aware consensus: it finds out what the simulated readers are like, and never contradicts itself."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.data.consensus.conftest import build_readings, random_readings
from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.consensus import fit_readers, merge
from xray_chest_detection.data.consensus.clusters import cluster_by_reader
from xray_chest_detection.data.consensus.estimation import data_of, expect, maximise, start
from xray_chest_detection.data.consensus.hypotheses import hypotheses_of
from xray_chest_detection.data.reader_simulation import (
    CAREFUL,
    CONFUSER,
    OVER_CALLER,
    SCENARIOS,
    SLOPPY,
    Scenario,
    score_against_truth,
    simulate,
)

A, FAR = (0, 0, 100, 100), (500, 500, 600, 600)
EM = ConsensusConfig(rule="em", min_probability=0)


@pytest.fixture(scope="module")
def quality():
    """A careful, a sloppy and an over-calling reader, and what is true of them."""
    profiles = (CAREFUL, SLOPPY, OVER_CALLER)
    readings, truth = simulate(Scenario(profiles), n_images=1500, seed=3)
    return profiles, fit_readers(readings, iou=0.4), readings, truth


def test_sensitivity_false_positives_and_location_are_recovered(quality):
    profiles, model, readings, truth = quality
    assert model.converged
    boxes = np.bincount(truth.class_id, minlength=len(readings.classes))
    sensitivity = model.sensitivity @ boxes / boxes.sum()
    # Boxes that lie too far from each other to be one finding count as missed, and as drawn where nothing is.
    np.testing.assert_allclose(sensitivity, [profile.sensitivity for profile in profiles], atol=0.08)
    false = model.false_positives.sum(axis=1)
    np.testing.assert_allclose(false, [profile.false_positives for profile in profiles], rtol=0.3)
    np.testing.assert_allclose(model.edge_sd, [profile.jitter for profile in profiles], atol=0.025)
    assert list(np.argsort(false)) == [0, 1, 2]
    assert model.affected == pytest.approx(0.7, abs=0.15)  # a sick film has a finding at least: no Poisson process
    np.testing.assert_allclose(model.prevalence, boxes / len(readings.images), rtol=0.25)


def test_the_one_who_confuses_classes_is_found_out():
    readings, _ = simulate(Scenario((CAREFUL, CONFUSER, CAREFUL)), n_images=800, seed=1)
    model = fit_readers(readings, iou=0.4)
    has_look_alike = [readings.classes.index(name) for name in ("Infiltration", "Lung Opacity", "Pleural thickening")]
    assert (model.right_name[1, has_look_alike] < 0.7).all()
    assert (model.right_name[[0, 2]] > 0.9).all()
    assert model.right_name[1, readings.classes.index("Nodule/Mass")] > 0.9
    row = readings.classes.index("Infiltration")
    assert readings.classes[model.wrong_name[row].argmax()] == "Lung Opacity"


@pytest.mark.parametrize("name", ["mixed quality", "class confusers", "like VinBigData", "shared mistakes"])
def test_the_posterior_never_falls(name):
    model = fit_readers(simulate(SCENARIOS[name], n_images=150, seed=0)[0], iou=0.4)
    gains = np.diff(model.log_posterior)
    assert len(gains) > 5
    assert (gains >= -1e-9 * np.abs(model.log_posterior[1:])).all()


@settings(max_examples=60, deadline=None)
@given(random_readings())
def test_the_posterior_never_falls_on_random_boxes(readings):
    model = fit_readers(readings, iou=0.4)
    assert (np.diff(model.log_posterior) >= -1e-8).all()
    for chance in (model.sensitivity, model.right_name, np.array(model.affected)):
        assert ((chance > 0) & (chance < 1)).all()
    assert np.isfinite(model.false_positives).all()
    assert (model.edge_sd > 0).all()


def test_likelihood_counts_what_everybody_missed(make_readings):
    """By hand: one class, two readers, one image with a box of each at one place, one image without."""
    readings = make_readings([(0, 0, 0, *A), (0, 0, 1, *A)], n_images=2, n_readers=2)
    clusters = cluster_by_reader(readings, 0.4)
    data = data_of(readings, clusters, hypotheses_of(readings, clusters, 0.4))
    parameters = start(data)
    seen, named, rate, chance = 0.7, 0.95, (2 + 0.5) / 4, 0.05
    true = 2 * rate * (seen * named) ** 2
    false = (0.3 * rate) ** 2 * chance
    drawn, nothing = 2 * rate * (1 - 0.3**2), 2 * 0.3 * rate
    with_boxes = 0.5 * (true + false) * np.exp(-drawn - nothing) + 0.5 * false * np.exp(-nothing)
    without = 0.5 * np.exp(-drawn - nothing) + 0.5 * np.exp(-nothing)
    expected = expect(data, parameters)
    assert expected.log_likelihood == pytest.approx(np.log(with_boxes) + np.log(without))
    assert expected.alone == pytest.approx([true / (true + false)])
    assert maximise(data, parameters, expected).drawn.value[0, 0] > 0


@pytest.mark.parametrize("name", ["equal careful readers", "mixed quality", "mostly sloppy", "shared mistakes"])
def test_one_more_vote_never_lowers_a_probability(name):
    """Of clusters on otherwise empty images: more voters, the rest equal, are at least as convincing."""
    readings, _ = simulate(SCENARIOS[name], n_images=200, seed=2)
    n_readers, n_images = len(readings.readers), len(readings.images)
    extra = np.array([[bool(code >> reader & 1) for reader in range(n_readers)] for code in range(1, 2**n_readers)])
    image, reader = np.nonzero(extra)
    grown = build_readings(
        [
            *zip(readings.image, readings.class_id, readings.reader, *readings.xyxy.T, strict=True),
            *((n_images + number, 5, one, *A) for number, one in zip(image, reader, strict=True)),
        ],
        n_images=n_images + len(extra),
        n_classes=len(readings.classes),
        n_readers=n_readers,
    )
    consensus = merge(grown, EM)
    probability = consensus.probability[consensus.image >= n_images]
    assert len(probability) == len(extra)
    for fewer, votes in enumerate(extra):
        more = (extra >= votes).all(axis=1)
        assert (probability[more] >= probability[fewer] - 1e-12).all()


def test_a_vote_of_a_reader_who_clicks_at_random_does_no_harm():
    """Everybody else agrees, he draws everywhere: his vote beside two others must not count against them."""
    random = replace(OVER_CALLER, sensitivity=0.02, false_positives=9.0)
    readings, _ = simulate(Scenario((CAREFUL, CAREFUL, random)), n_images=200, seed=0)
    boxes = [(200, 5, 0, *A), (201, 5, 0, *A), (201, 5, 2, *A)]
    columns = zip(readings.image, readings.class_id, readings.reader, *readings.xyxy.T, strict=True)
    grown = build_readings([*columns, *boxes], n_images=202, n_classes=len(readings.classes))
    consensus = merge(grown, EM)
    alone, joined = consensus.probability[consensus.image >= 200]
    assert joined >= alone


@pytest.mark.parametrize("readers", [1, 3], ids=["one reader", "three who never met"])
def test_without_a_second_opinion_every_box_has_the_probability_of_the_priors(readers):
    readings, _ = simulate(Scenario((SLOPPY,) * readers, readers_per_image=1), n_images=50, seed=0)
    consensus = merge(readings, ConsensusConfig(rule="em"))
    assert len(consensus) == len(readings)
    np.testing.assert_allclose(consensus.probability, 0.689, atol=2e-3)


def test_seven_readers_one_of_whom_saw_one_image_and_a_class_nobody_drew(make_readings):
    rows = [(image, 0, reader, *A) for image in range(4) for reader in range(6)]
    rows += [(0, 0, 6, *A), (3, 0, 5, *FAR)]
    read = np.ones((5, 7), bool)
    read[1:, 6] = False
    readings = make_readings(rows, n_images=5, n_classes=2, n_readers=7, read=read)
    consensus = merge(readings, ConsensusConfig(rule="em"))
    assert consensus.image.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(consensus.xyxy, [A] * 4)
    assert consensus.agreement.tolist() == [1.0] * 4
    model = fit_readers(readings, iou=0.4)
    assert model.sensitivity.shape == (7, 2)
    assert (model.sensitivity[:, 0] > 0.7).all()


def test_readers_whose_films_are_chosen_to_be_normal_look_no_worse_and_are_believed_no_sooner():
    """Two teams of equal readers: one reads films with findings, the other mostly films on which nobody drew."""
    parts = [simulate(Scenario((CAREFUL,) * 3), n_images=n, seed=n, healthy=0)[0] for n in (600, 80)]
    boxes = [
        (600 * team + image, class_id, 3 * team + reader, *xyxy)
        for team, part in enumerate(parts)
        for image, class_id, reader, xyxy in zip(part.image, part.class_id, part.reader, part.xyxy, strict=True)
    ]
    read = np.zeros((1500, 6), bool)
    read[:600, :3] = read[600:, 3:] = True
    readings = build_readings(boxes, n_images=1500, n_classes=len(parts[0].classes), n_readers=6, read=read)
    model = fit_readers(readings, iou=0.4)
    np.testing.assert_allclose(model.sensitivity.mean(axis=1), CAREFUL.sensitivity, atol=0.15)
    assert model.affected == pytest.approx(680 / 1500, abs=0.05)
    consensus = merge(readings, EM)
    alone = consensus.votes.sum(axis=1) == 1
    chosen = consensus.image >= 600
    first, second = (consensus.probability[alone & team].mean() for team in (~chosen, chosen))
    assert second == pytest.approx(first, abs=0.15)


def test_three_names_of_one_finding_mean_the_same_in_any_order_of_the_classes(make_readings):
    """One film on which every reader has another name; elsewhere one reader often sees two of them at one place."""
    found = []
    for order in permutations(range(3)):
        rows = [(0, order[reader], reader, *A) for reader in range(3)]
        rows += [(image, order[name], 0, *A) for image in range(1, 30) for name in (0, 1)]
        consensus = merge(make_readings(rows, n_images=40, n_classes=3), EM)
        first = consensus.image == 0
        by_class = dict(zip(consensus.class_id[first].tolist(), consensus.probability[first], strict=True))
        found.append([by_class[name] for name in order])
    np.testing.assert_allclose(found, found[:1] * len(found), rtol=1e-6)


def test_silence_is_a_vote_against_and_absence_is_not(make_readings):
    rows = [(image, 0, reader, *A) for image in range(30) for reader in range(3) if image % 10 or reader != 2]
    rows += [(30, 0, 0, *A), (31, 0, 0, *A)]
    read = np.ones((60, 3), bool)
    read[31, 1:] = False
    consensus = merge(make_readings(rows, n_images=60, read=read), EM)
    contradicted, unopposed = consensus.probability[consensus.image >= 30]
    assert contradicted < 0.1
    assert unopposed > 0.5


def test_the_box_leans_on_the_exact_reader(quality):
    _, model, readings, truth = quality
    found = merge(readings, ConsensusConfig(rule="em"))
    plain = merge(readings, ConsensusConfig(rule="quorum"))
    assert score_against_truth(found, truth).iou > score_against_truth(plain, truth).iou + 0.01
    assert model.edge_sd.argmin() == 0
