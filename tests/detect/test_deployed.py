"""What the deployed model makes of a network: the mirrored view and score maps, the same in every command."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect import predict
from xray_chest_detection.detect.calibrate import fit_on
from xray_chest_detection.detect.evaluate import evaluate, measure
from xray_chest_detection.detect.export import export
from xray_chest_detection.detect.predict import predict_split, predict_view
from xray_chest_detection.detect.results import Kept, read_kept, write_evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import Views, predict_deployed, read_thresholds, read_tuned, show
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.session import DetectorSession
from xray_chest_detection.report.evaluation_page import evaluation_markdown

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def with_config(run: Run, **changes: Any) -> Run:
    return replace(run, config=run.config.model_copy(update=changes))


@pytest.fixture
def flipped_run(random_run: Run) -> Run:
    """A run that looks at the mirrored film and maps its scores, and says so in its folder."""
    changes = {"flip_views": True, "calibrate": True}
    path = random_run.folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    return with_config(random_run, **changes)


def test_the_mirrored_view_is_that_of_mirrored_images_and_is_kept(random_run: Run, monkeypatch) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    straight = predict_view(random_run, split, device="cpu")
    mirror = predict_view(random_run, split, mirror=True, device="cpu")
    original = predict.read_image
    monkeypatch.setattr(
        predict,
        "read_image",
        lambda path: replace(original(path), pixels=np.ascontiguousarray(original(path).pixels[:, ::-1])),
    )
    for path in (random_run.folder / "predictions").glob("*.npz"):
        path.rename(path.with_suffix(".kept"))
    turned = predict_view(random_run, split, device="cpu")
    for one, other, plain in zip(mirror.per_image, turned.per_image, straight.per_image, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.score, other.score, atol=1e-4)
        np.testing.assert_allclose(one.xyxy[:5, 0], other.width_px - other.xyxy[:5, 2], atol=1)
        assert not np.array_equal(one.score, plain.score)
    for path in (random_run.folder / "predictions").glob("*.kept"):
        path.rename(path.with_suffix(".npz"))
    monkeypatch.setattr(predict, "load_model", lambda *_, **__: pytest.fail("predicted again"))
    assert len(predict_split(with_config(random_run, flip_views=True), split).per_image) == 5


def test_the_choice_says_what_it_was_made_for(flipped_run: Run) -> None:
    tuned, _ = tune_nms(flipped_run, device="cpu")
    assert (tuned.views.flip, tuned.views.tiles, set(tuned.views.score_maps)) == (True, None, {"Disc", "Bar"})
    assert any("score maps were fitted on all of these patients" in remark for remark in tuned.remarks)
    assert read_tuned(flipped_run) == tuned
    split = read_labelled_split(flipped_run.config.data, "val")
    fused = predict_split(flipped_run, split)
    assert fit_on(fused, split) == tuned.views.score_maps
    mapped = predict_deployed(flipped_run, split)
    assert [len(found) for found in mapped.per_image] == [len(found) for found in fused.per_image]
    assert not np.allclose(mapped.per_image[0].score, fused.per_image[0].score)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        (Views(), []),
        (Views(tiles=Tiles(side=0.4)), ["The model looks at the film and tiles of 0.4 of its longer side."]),
        (
            Views(score_maps={"a": (1.0, 0.0)}),
            ["Scores are mapped by class, by lines fitted on the split of the thresh"],
        ),
    ],
)
def test_views_in_words(views: Views, expected: list[str]) -> None:
    assert [sentence[: len(begin)] for sentence, begin in zip(views.told, expected, strict=True)] == expected


@pytest.mark.parametrize(
    "change", [{"flip_views": False}, {"calibrate": False}, {"tiles": Tiles()}], ids=["flip", "maps", "tiles"]
)
def test_thresholds_of_other_views_are_refused(flipped_run: Run, change) -> None:
    tune_nms(flipped_run, device="cpu")
    message = r"thresholds\.yaml: chosen for other tiles, flip_views or calibrate than .*tiny has now; run `xray tune-n"
    with pytest.raises(ModelError, match=message):
        read_thresholds(with_config(flipped_run, **change))


def test_score_maps_come_from_tuning(flipped_run: Run) -> None:
    split = read_labelled_split(flipped_run.config.data, "test")
    with pytest.raises(ModelError, match=r"no thresholds chosen yet; run `xray tune-nms"):
        predict_deployed(flipped_run, split, device="cpu")


def test_maps_leave_average_precision_alone_and_make_scores_shares_of_right_boxes(make_scene) -> None:
    split, candidates = make_scene(3, n_images=40)
    point = Thresholds(conf=0.3, iou=0.5)
    plain = measure("run", split, candidates, point, resamples=0)
    mapped = measure("run", split, candidates.mapped(fit_on(candidates, split), split.classes), point, resamples=0)
    assert mapped.value("mAP50") == pytest.approx(plain.value("mAP50"), abs=1e-4)
    assert mapped.value("ECE at IoU 0.4") < plain.value("ECE at IoU 0.4") / 2


def test_an_evaluation_tells_its_views_and_its_curve(flipped_run: Run) -> None:
    tune_nms(flipped_run, device="cpu")
    result = evaluate(flipped_run, "test", resamples=30, device="cpu")
    assert result.views == read_tuned(flipped_run).views
    page = evaluation_markdown(result)
    assert (
        "The model looks at the film as it is and mirrored, and fuses what it sees. Scores are mapped by class" in page
    )
    written = json.loads(write_evaluation(flipped_run, result, page)[0].read_text())
    assert written["views"]["flip"] is True
    assert written["operating_curve"]["n_patients"] == result.n_patients
    assert [point["conf"] for point in written["operating_curve"]["points"]] == [n / 100 for n in range(1, 100)]
    assert read_kept(flipped_run) == Kept(result.metrics, result.operating_curve)
    written["views"] = Views().model_dump(mode="json")
    (flipped_run.folder / "evaluation-test.json").write_text(json.dumps(written))
    assert read_kept(flipped_run) == Kept()


def test_the_curve_is_what_the_deployed_boxes_do(make_scene) -> None:
    split, candidates = make_scene(5, n_images=20)
    result = measure("run", split, candidates, Thresholds(conf=0.3, iou=0.5), resamples=0)
    for point in result.operating_curve.points[9::20]:
        shown = show(candidates, Thresholds(conf=point.conf, iou=0.5), split.classes)
        count = sum(len(found) for found in shown)
        right = round(point.sensitivity * len(split.truth))
        assert point.false_positives_per_image == pytest.approx((count - right) / 20, abs=1e-3)


@pytest.mark.slow
def test_what_evaluate_counts_is_what_the_exported_model_shows_with_all_views(flipped_run: Run, tmp_path) -> None:
    """Exports two models; the random network has boxes as large as tiles, which the tiles leave to the whole film."""
    for number, tiles in enumerate((None, Tiles(side=0.6, overlap=0.5))):
        run = with_config(flipped_run, tiles=tiles)
        tune_nms(run, device="cpu")
        write_evaluation(run, evaluate(run, "test", resamples=20, device="cpu"), "")
        out = tmp_path / f"out{number}"
        written = export(run, out=out, form="fp32")
        card = written.card
        assert (card.flip, card.tiles, card.score_maps) == (True, tiles, read_tuned(run).views.score_maps)
        assert card.operating_curve == read_kept(run).operating_curve is not None
        assert written.parity.largest_score < 1e-3
        session = DetectorSession(out / "tiny.card.yaml")
        split = read_labelled_split(run.config.data, "test")
        expected = show(predict_deployed(run, split), card.thresholds, split.classes)
        for path, found in zip(split.files, expected, strict=True):
            shown = session.detect(read_image(path).pixels)
            assert len(shown) == len(found)
            np.testing.assert_allclose(shown.xyxy, found.xyxy, atol=0.1)
            np.testing.assert_allclose(shown.score, found.score, atol=2e-3)
