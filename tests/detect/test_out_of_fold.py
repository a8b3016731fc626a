"""Out-of-fold predictions: joining folds, splitting them again, the file, and the numbers made of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.errors import DataError, ModelError

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.detect.evaluate import measure
from xray_chest_detection.detect.fold_results import results_csv, summarise, write_results
from xray_chest_detection.detect.out_of_fold import (
    FoldPart,
    OutOfFold,
    join_folds,
    read_out_of_fold,
    select_images,
    write_out_of_fold,
)
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.report.cross_validation import (
    cross_validation_markdown,
    cross_validation_summary,
)

POINT = Thresholds(conf=0.3, iou=0.5)


def cut(make_scene: Any, *, points: tuple[Thresholds, ...] = (POINT, POINT, POINT)) -> tuple[Any, Any, OutOfFold]:
    """A scene of thirty images dealt into folds whose images alternate, and joined again."""
    split, candidates = make_scene(1, n_images=30)
    split = replace(split, files=tuple(Path(f"{name}.png") for name in split.image_id))
    parts = []
    for number, point in enumerate(points):
        rows = np.arange(30) % len(points) == number
        some = tuple(candidates.per_image[row] for row in np.flatnonzero(rows))
        one = select_images(split, rows)
        parts.append(FoldPart(one, Candidates(one.image_id, some), point, np.zeros((len(some), 2), np.bool_)))
    return split, candidates, join_folds(parts)


def test_joined_folds_are_the_images_they_were_cut_from(make_scene: Any) -> None:
    split, candidates, joined = cut(make_scene)
    place = {name: row for row, name in enumerate(split.image_id)}
    order = [place[name] for name in joined.split.image_id]
    assert sorted(order) == list(range(30))
    assert joined.fold.tolist() == [row % 3 for row in order]
    for row, old in enumerate(order):
        assert np.array_equal(joined.candidates.per_image[row].xyxy, candidates.per_image[old].xyxy)
        mine, theirs = joined.split.truth.image == row, split.truth.image == old
        assert np.array_equal(joined.split.truth.xyxy[mine], split.truth.xyxy[theirs])
    again = joined.of_fold(1)
    assert again.split.image_id == tuple(name for name in joined.split.image_id if place[name] % 3 == 1)


def test_file_keeps_everything(make_scene: Any, tmp_path: Path) -> None:
    _, _, joined = cut(make_scene, points=(POINT, Thresholds(conf=0.1, iou=0.4, per_class={"a": 0.2})))
    write_out_of_fold(tmp_path, joined)
    back = read_out_of_fold(tmp_path)
    assert back.thresholds == joined.thresholds
    assert back.split.classes == joined.split.classes
    assert (back.split.patient, back.split.sizes_px) == (joined.split.patient, joined.split.sizes_px)
    assert np.array_equal(back.split.truth.xyxy, joined.split.truth.xyxy)
    assert np.array_equal(back.fold, joined.fold)
    assert summarise("x", back, resamples=5).to_dict() == summarise("x", joined, resamples=5).to_dict()


def test_no_file_and_a_damaged_one(make_scene: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"out_of_fold.npz: no out-of-fold predictions yet; finish the cross-validation"
    ):
        read_out_of_fold(tmp_path)
    path = write_out_of_fold(tmp_path, cut(make_scene)[2])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"out_of_fold.npz: damaged; remove it and finish the cross-validation"):
        read_out_of_fold(tmp_path)


def test_image_in_two_folds(make_scene: Any) -> None:
    split, candidates = make_scene(0)
    part = FoldPart(split, candidates, POINT, np.zeros((10, 2), np.bool_))
    with pytest.raises(DataError, match=r"image 'film_0' is tested in two folds"):
        join_folds([part, part])


def test_pooled_numbers_are_those_of_one_evaluation_when_all_folds_share_an_operating_point(make_scene: Any) -> None:
    _, _, joined = cut(make_scene)
    whole = measure("x", joined.split, joined.candidates, POINT, resamples=50, labelled=joined.labelled)
    pooled = {metric.name: metric for metric in summarise("x", joined, resamples=50).pooled}
    assert all(pooled[metric.name] == metric for metric in whole.metrics)


def test_means_are_over_single_evaluations_of_the_folds(make_scene: Any) -> None:
    points = (POINT, Thresholds(conf=0.5, iou=0.3, agnostic=True))
    _, _, joined = cut(make_scene, points=points)
    result = summarise("x", joined, resamples=0)
    for name in ("mAP40", "mAP50", "recall at the operating point"):
        values = []
        for number, point in enumerate(points):
            fold = joined.of_fold(number)
            values.append(measure("x", fold.split, fold.candidates, point, resamples=0).value(name))
        mean = next(row for row in result.means if row.name == name)
        assert mean.per_fold == tuple(values)
        assert mean.mean == pytest.approx(np.mean(values), abs=1e-5)
        assert mean.sd == pytest.approx(np.std(values, ddof=1), abs=1e-5)
        assert mean.standard_error == pytest.approx(np.std(values, ddof=1) / 2**0.5, abs=1e-5)


def test_number_that_a_fold_does_not_define(make_scene: Any) -> None:
    _, _, joined = cut(make_scene)
    fold_of_box = joined.fold[joined.split.truth.image]
    truth = joined.split.truth.select(~((fold_of_box == 0) & (joined.split.truth.class_id == 1)))
    bare = replace(joined, split=replace(joined.split, truth=truth))
    mean = next(row for row in summarise("x", bare, resamples=0).means if row.name == "AP50 b")
    assert mean.per_fold[0] is None
    assert mean.mean == pytest.approx(np.mean(mean.per_fold[1:]), abs=1e-5)
    assert mean.standard_error == pytest.approx(np.std(mean.per_fold[1:], ddof=1) / 2**0.5, abs=1e-5)


def test_files_and_page(make_scene: Any, tmp_path: Path) -> None:
    result = summarise("shapes", cut(make_scene)[2], resamples=20)
    page = cross_validation_markdown(result)
    written = write_results(tmp_path, result, page)
    assert [path.name for path in written] == [f"cross_validation.{kind}" for kind in ("json", "csv", "md")]
    assert results_csv(result).splitlines()[0] == (
        "name,mean,sd,standard_error,pooled,pooled_low,pooled_high,n_images,n_boxes,fold0,fold1,fold2"
    )
    assert "# shapes, 3-fold cross-validation by patient\n\n30 images of 30 patients" in page
    mean = next(row for row in result.means if row.name == "mAP50")
    assert f"| mAP50 | {mean.mean:.3f} ± {mean.standard_error:.3f} | {mean.sd:.3f} |" in cross_validation_summary(
        result
    )
    assert "| 2 | 10 | 10 |" in page
