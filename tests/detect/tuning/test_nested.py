"""What tuned thresholds are worth on patients they were not tuned on."""

from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.tune_nms import tune
from xray_chest_detection.detect.tuning.grid import GRIDS, Axes
from xray_chest_detection.detect.tuning.nested import measure_shown, out_of_fold, patient_folds
from xray_chest_detection.detect.tuning.objectives import Objective

F1 = Objective("f1")


def two_a_patient(make_scene, seed: int = 0, *, n_images: int = 40):
    split, candidates = make_scene(seed, n_images=n_images)
    return replace(split, patient=tuple(f"nih:{number // 2}" for number in range(n_images))), candidates


def test_no_patient_is_in_two_folds_and_every_fold_has_every_class(make_scene) -> None:
    split, _ = two_a_patient(make_scene)
    folds = patient_folds(split)
    assert folds is not None
    assert set(folds) == set(range(5))
    assert (folds[0::2] == folds[1::2]).all()
    with_box = {
        (int(folds[image]), int(name)) for image, name in zip(split.truth.image, split.truth.class_id, strict=True)
    }
    assert with_box == {(fold, name) for fold in range(5) for name in (0, 1)}


def test_folds_are_the_same_every_time(make_scene) -> None:
    split, _ = two_a_patient(make_scene)
    assert np.array_equal(patient_folds(split), patient_folds(split))
    assert not np.array_equal(patient_folds(split), patient_folds(split, seed=1))


@pytest.mark.parametrize(("n_patients", "folds"), [(1, None), (2, 2), (3, 3), (9, 5)])
def test_as_many_folds_as_patients_with_boxes(make_scene, n_patients: int, folds: int | None) -> None:
    split, _ = make_scene(n_images=40)
    boxed = sorted(set(split.truth.image.tolist()))
    free = sorted(set(range(40)) - set(boxed))
    names = {image: f"p{number % n_patients}" for number, image in enumerate(boxed)}
    names |= {image: f"free{image}" for image in free}
    found = patient_folds(replace(split, patient=tuple(names[image] for image in range(40))))
    assert (None if found is None else len(set(found))) == folds


def test_a_choice_that_is_always_the_same_is_worth_what_it_was(make_scene) -> None:
    split, candidates = two_a_patient(make_scene)
    fixed = Thresholds(conf=0.4, iou=0.3, agnostic=True, per_class={"b": 0.2})
    folds = patient_folds(split)
    found = out_of_fold(candidates, split, folds, lambda _: fixed)
    assert found.at == measure_shown(candidates, split, fixed)
    assert found.chosen == (fixed,) * 5


def test_the_choice_for_a_fold_sees_the_other_patients_only(make_scene) -> None:
    split, candidates = two_a_patient(make_scene)
    folds, seen = patient_folds(split), []

    def remember(images):
        seen.append(images)
        return Thresholds(conf=0.4, iou=0.3)

    out_of_fold(candidates, split, folds, remember)
    assert len(seen) == 5
    assert all(np.array_equal(images, folds != number) for number, images in enumerate(seen))


def test_a_fold_is_shown_at_its_own_thresholds(make_scene) -> None:
    split, candidates = two_a_patient(make_scene)
    folds = patient_folds(split)
    silent = Thresholds(conf=1.0, iou=0.3)
    loud = Thresholds(conf=0.1, iou=0.3)
    found = out_of_fold(candidates, split, folds, lambda images: loud if not images[0] else silent)
    alone = replace(split, truth=split.truth.select((folds == folds[0])[split.truth.image]))
    shown = [one if folds[i] == folds[0] else one.select(one.score > 1) for i, one in enumerate(candidates.per_image)]
    expected = measure_shown(replace(candidates, per_image=tuple(shown)), alone, loud)
    assert found.at.precision == pytest.approx(expected.precision)
    assert found.at.false_alarms_per_image == pytest.approx(expected.false_alarms_per_image)


def test_tuned_numbers_flatter(make_scene) -> None:
    optimism = []
    for seed in range(12):
        split, candidates = two_a_patient(make_scene, seed, n_images=16)
        tuned, _ = tune(candidates, split, objective=F1, axes=GRIDS["original"])
        assert tuned.out_of_fold is not None
        optimism.append(tuned.out_of_fold.optimism)
        assert tuned.score - tuned.out_of_fold.score == pytest.approx(optimism[-1])
    assert np.mean(optimism) > 0.005


def calibrated_apart(make_scene, *, n_images: int = 150):
    """Scores of class b are a third of those of class a: one threshold cannot serve both."""
    split, candidates = make_scene(5, n_images=n_images)
    lowered = tuple(
        replace(one, score=np.where(one.class_id == 1, one.score / 3, one.score).astype(np.float32))
        for one in candidates.per_image
    )
    return split, replace(candidates, per_image=lowered)


def test_thresholds_of_classes_are_kept_when_they_do_better_on_other_patients(make_scene) -> None:
    split, candidates = calibrated_apart(make_scene)
    axes = Axes(tuple(np.linspace(0.05, 0.95, 19).round(2)), (0.1, 0.3))
    shared, _ = tune(candidates, split, objective=F1, axes=axes, per_class=False)
    own, _ = tune(candidates, split, objective=F1, axes=axes)
    assert shared.thresholds.per_class == {}
    assert set(own.thresholds.per_class) & {"a", "b"}
    confs = {name: own.thresholds.per_class.get(name, own.thresholds.conf) for name in ("a", "b")}
    assert confs["b"] < confs["a"]
    assert own.out_of_fold.score > shared.out_of_fold.score
    assert own.score > shared.score
    assert own.thresholds.score == own.score
    assert own.thresholds.out_of_fold_score == own.out_of_fold.score
    assert own.thresholds.n_boxes == dict(zip("ab", split.boxes_per_class.tolist(), strict=True))


def test_a_class_without_boxes_and_a_limit_nobody_keeps_are_said(make_scene) -> None:
    split, candidates = make_scene(n_images=20)
    only_a = replace(split, truth=split.truth.of_class(0))
    tuned, _ = tune(candidates, only_a, objective=Objective("sensitivity", rate=1e-6))
    assert tuned.thresholds.n_boxes["b"] == 0
    assert tuned.remarks[0] == "no validation box of b: the threshold was chosen on the other classes"
    assert tuned.remarks[-1].startswith(
        "no point of the grid stays at 1e-06 false positives per image; the quietest one"
    )
    assert "`--grid fine`" in tuned.remarks[-1]


def test_a_model_that_finds_nothing_is_said_to_be_useless(make_scene) -> None:
    split, candidates = make_scene(n_images=10)
    empty = replace(candidates, per_image=tuple(one.select(one.score > 2) for one in candidates.per_image))
    tuned, points = tune(empty, split)
    assert tuned.remarks == ("no mark is right anywhere on the grid, so the choice means nothing; train longer",)
    assert len(points) == 70
