"""Agreement of readers: by hand, against scikit-learn and the package `krippendorff`, and in its limits."""

import importlib.util
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tests.data.readings_by_hand import CLASSES, box, by_hand, random_readings
from xray_chest_detection.data.agreement import as_any_finding, finding_counts, measure_agreement
from xray_chest_detection.data.agreement_results import ALL_CLASSES, ANY_FINDING
from xray_chest_detection.data.vinbigdata_table import read_readings_csv
from xray_chest_detection.errors import DataError


def class_row(agreement, name):
    return next(row for row in agreement.classes if row.class_name == name)


def pair_row(agreement, first, second, name):
    return next(row for row in agreement.pairs if (row.first, row.second, row.class_name) == (first, second, name))


@pytest.fixture
def films():
    """Three readers, an incomplete design: film d was read by one, film c by two."""
    return by_hand(
        {
            "a": {"R1": [box("Mass", 0), box("Mass", 50)], "R2": [box("Mass", 3)], "R3": [box("ILD", 0)]},
            "b": {"R1": [], "R2": [], "R3": []},
            "c": {"R1": [box("Mass", 0)], "R2": [box("Mass", 0), box("ILD", 90)]},
            "d": {"R3": [box("Mass", 0)]},
        }
    )


def test_a_pair_by_hand(films):
    row = pair_row(measure_agreement(films, resamples=0), "R1", "R2", "Mass")
    assert (row.images, row.boxes_first, row.boxes_second) == (3, 3, 2)
    assert row.match_rate_40.value == pytest.approx(2 * 2 / 5)  # film a: 7/13 overlap, film c: equal
    assert row.match_rate_50.value == pytest.approx(2 * 2 / 5)
    assert row.mean_iou.value == pytest.approx((7 / 13 + 1) / 2)
    assert (row.prevalence_first, row.prevalence_second, row.observed) == (2 / 3, 2 / 3, 1.0)
    assert row.kappa == (1.0, None, None)


def test_pairs_of_all_classes_and_of_any_finding_by_hand(films):
    agreement = measure_agreement(films, resamples=0)
    pooled = pair_row(agreement, "R1", "R3", ALL_CLASSES)
    assert (pooled.images, pooled.boxes_first, pooled.boxes_second, pooled.match_rate_40.value) == (2, 2, 1, 0.0)
    assert pooled.observed == 4 / 6  # two films, three classes: Mass and ILD of film a differ
    blind = pair_row(agreement, "R1", "R3", ANY_FINDING)
    assert blind.match_rate_40.value == pytest.approx(2 / 3)  # one place, called Mass and ILD
    assert (blind.observed, blind.kappa.value) == (1.0, 1.0)


def test_classes_by_hand(films):
    agreement = measure_agreement(films, resamples=0)
    assert (agreement.images, agreement.patients, agreement.readers) == (3, 3, 3)
    mass = class_row(agreement, "Mass")
    assert mass.boxes == 5  # film d has one reader and counts nowhere
    assert mass.prevalence == pytest.approx(4 / 8)
    # ends of pairs: film a 3 boxes x 2 others, film c 2 boxes x 1 other; two matches
    assert mass.match_rate_40.value == pytest.approx(2 * 2 / 8)
    assert class_row(agreement, ANY_FINDING).box_alpha.value is None
    assert class_row(agreement, "Pneumothorax").match_rate_40.value is None
    assert class_row(agreement, "Pneumothorax").presence_alpha.value is None


def test_findings_by_hand(films):
    image, counts = finding_counts(films)
    found = sorted(zip(image.tolist(), map(tuple, counts.tolist()), strict=True))
    assert found == [
        (0, (0, 1, 0, 2)),  # the second box of R1
        (0, (1, 2, 0, 0)),  # one place, three names
        (2, (0, 2, 0, 0)),
        (2, (1, 0, 0, 1)),
        (3, (0, 1, 0, 0)),
    ]


def test_alpha_of_boxes_equals_the_reference(films):
    # values by finding: rows are readers, the last finding has one reader
    given = [[1, 1, 1, 3, np.nan], [3, 1, 1, 0, np.nan], [3, 0, np.nan, np.nan, 1]]
    agreement = measure_agreement(films, resamples=0)
    expected = krippendorff.alpha(reliability_data=given, level_of_measurement="nominal")
    assert class_row(agreement, ALL_CLASSES).box_alpha.value == pytest.approx(expected)
    is_mass = np.where(np.isnan(given), np.nan, np.equal(given, 1))
    expected = krippendorff.alpha(reliability_data=is_mass, level_of_measurement="nominal")
    assert class_row(agreement, "Mass").box_alpha.value == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_kappa_and_alpha_of_presence_equal_the_references(seed):
    readings = random_readings(seed, images=30)
    agreement = measure_agreement(readings, resamples=0)
    present = np.zeros((len(readings.images), 3, len(CLASSES)), bool)
    present[readings.image, readings.reader, readings.class_id] = True
    for number, name in enumerate(CLASSES):
        row = pair_row(agreement, "R1", "R3", name)
        expected = cohen_kappa_score(present[:, 0, number], present[:, 2, number])
        assert row.kappa.value == pytest.approx(expected)
        expected = krippendorff.alpha(reliability_data=present[..., number].T * 1.0, level_of_measurement="nominal")
        assert class_row(agreement, name).presence_alpha.value == pytest.approx(expected)
    pooled = pair_row(agreement, "R1", "R3", ALL_CLASSES)
    assert pooled.kappa.value == pytest.approx(cohen_kappa_score(present[:, 0].ravel(), present[:, 2].ravel()))


def test_readers_who_draw_the_same_agree_in_everything():
    drawn = {"a": [box("Mass", 0)], "b": [box("ILD", 5), box("ILD", 60)], "c": []}
    readings = by_hand({film: {"R1": boxes, "R2": boxes, "R3": boxes} for film, boxes in drawn.items()})
    agreement = measure_agreement(readings, resamples=0)
    for name in ("Mass", "ILD", ALL_CLASSES):
        row = class_row(agreement, name)
        rates = (row.match_rate_40, row.match_rate_50, row.mean_iou, row.presence_alpha, row.box_alpha)
        assert [rate.value for rate in rates] == [1.0] * 5
    assert {row.kappa.value for row in agreement.pairs} <= {1.0, None}


def by_lot(rng, *, films, names):
    """Readers who look at common places and name them, or pass them over, by lot."""
    return by_hand(
        {
            f"{film:05d}": {
                f"R{reader}": [box(str(name), 20 * place) for place, name in enumerate(rng.choice(names, 4)) if name]
                for reader in range(1, 4)
            }
            for film in range(films)
        }
    )


def test_readers_who_name_common_places_by_lot_agree_by_chance():
    # a place that all three pass over is no finding, so "nothing" must be rare for chance to be the only agreement
    readings = by_lot(np.random.default_rng(0), films=600, names=CLASSES)
    agreement = measure_agreement(readings, resamples=0)
    assert class_row(agreement, ALL_CLASSES).box_alpha.value == pytest.approx(0, abs=0.03)
    assert class_row(agreement, "Mass").box_alpha.value == pytest.approx(0, abs=0.03)


def test_presence_by_lot_agrees_by_chance():
    readings = by_lot(np.random.default_rng(1), films=600, names=("", *CLASSES))
    agreement = measure_agreement(readings, resamples=0)
    assert class_row(agreement, "Mass").presence_alpha.value == pytest.approx(0, abs=0.06)
    assert pair_row(agreement, "R1", "R2", "ILD").kappa.value == pytest.approx(0, abs=0.1)


def test_boxes_that_never_meet_are_worse_than_chance():
    drawn = {"R1": [box("Mass", 0), box("ILD", 50)], "R2": [box("Mass", 100), box("ILD", 150)]}
    agreement = measure_agreement(by_hand({f"{film}": drawn for film in range(500)}), resamples=0)
    row = class_row(agreement, "Mass")
    assert row.match_rate_40.value == 0
    assert row.mean_iou.value is None
    # a quarter Mass, a quarter ILD, half nothing: chance differs in 1 - (1/4 + 1/16 + 1/16) = 5/8, readers always
    assert class_row(agreement, ALL_CLASSES).box_alpha.value == pytest.approx(1 - 8 / 5, abs=0.01)
    # a quarter Mass: chance differs in 2 x 1/4 x 3/4 = 3/8, readers on every second finding
    assert row.box_alpha.value == pytest.approx(1 - 4 / 3, abs=0.01)
    assert row.presence_alpha.value is None  # everybody always drew it


def test_one_class_alone_has_no_alpha_of_boxes():
    films = {"a": {"R1": [box("Mass", 0)], "R2": [box("Mass", 0)]}, "b": {"R1": [box("Mass", 0)], "R2": []}}
    row = class_row(measure_agreement(by_hand(films), resamples=0), "Mass")
    assert row.box_alpha.value is None
    assert row.presence_alpha.value == pytest.approx(0.0)  # 3 of 4 yes: chance differs in half, readers on half


def test_intervals_hold_the_number_and_widen_with_alike_patients():
    readings = random_readings(0, images=60)
    single = measure_agreement(readings, resamples=400)
    grouped = measure_agreement(readings, patients=[f"P{number // 6}" for number in range(60)], resamples=400)
    assert (single.patients, grouped.patients) == (60, 10)
    for agreement in (single, grouped):
        for row in agreement.classes:
            rates = (row.match_rate_40, row.match_rate_50, row.mean_iou, row.presence_alpha, row.box_alpha)
            assert all(rate.low <= rate.value <= rate.high for rate in rates if rate.value is not None)
    assert measure_agreement(readings, resamples=400) == single
    assert measure_agreement(readings, resamples=400, seed=1) != single


def test_the_interval_of_a_rate_has_the_width_of_theory():
    # 400 films, in each one box of each of two readers, which meet in half of them: a proportion, sd = sqrt(.25 / 400)
    films = {f"{n:03d}": {"R1": [box("Mass", 0)], "R2": [box("Mass", 0 if n % 2 else 50)]} for n in range(400)}
    rate = class_row(measure_agreement(by_hand(films)), "Mass").match_rate_40
    assert rate.value == 0.5
    assert rate.high - rate.low == pytest.approx(2 * 1.96 * 0.025, rel=0.1)


def test_names_are_dropped_for_any_finding(films):
    blind = as_any_finding(films)
    assert blind.classes == (ANY_FINDING,)
    assert len(blind) == len(films)
    np.testing.assert_array_equal(blind.image, films.image)


def test_single_readers_cannot_be_compared():
    readings = by_hand({"a": {"R1": [box("Mass", 0)]}, "b": {"R2": []}})
    with pytest.raises(DataError, match=r"^none of the 2 images was read by two readers: there is nothing to compare$"):
        measure_agreement(readings)


def test_readers_who_were_always_silent_have_no_numbers():
    agreement = measure_agreement(by_hand({"a": {"R1": [], "R2": []}}), resamples=10)
    row = class_row(agreement, ALL_CLASSES)
    assert (row.boxes, row.prevalence, row.observed) == (0, 0.0, 1.0)
    assert (row.match_rate_40.value, row.presence_alpha.value, row.box_alpha.value) == (None, None, None)


def test_the_numbers_of_docs_readers_md():
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package torchxrayvision, which carries the table of VinBigData, is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    agreement = measure_agreement(read_readings_csv(folder / "vinbigdata-train.csv.gz"), resamples=0)
    assert (agreement.images, agreement.readers) == (15_000, 17)
    pooled, blind = class_row(agreement, ALL_CLASSES), class_row(agreement, ANY_FINDING)
    assert pooled.boxes == 36_096
    rates = (pooled.match_rate_40, pooled.match_rate_50, pooled.mean_iou, pooled.box_alpha, blind.match_rate_40)
    assert [round(rate.value, 3) for rate in rates] == [0.497, 0.448, 0.688, 0.320, 0.553]
    assert blind.observed == blind.presence_alpha.value == 1.0  # nobody was ever alone in drawing something
    assert round(class_row(agreement, "Cardiomegaly").match_rate_40.value, 2) == 0.81
    assert round(pair_row(agreement, "R8", "R10", ALL_CLASSES).match_rate_40.value, 2) == 0.54
