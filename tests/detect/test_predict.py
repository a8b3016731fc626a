"""One forward pass, kept in a file."""

import numpy as np
import pytest

from xray_chest_detection.core.manifest import Manifest, write_manifest
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect import predict
from xray_chest_detection.detect.predict import cache_path, load_model, predict_split
from xray_chest_detection.detect.runs import SPLIT_INPUT, Run
from xray_chest_detection.errors import ConfigError, DataError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_second_call_reads_the_file(random_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    first = predict_split(random_run, split, device="cpu")
    assert any(len(found) for found in first.per_image)
    monkeypatch.setattr(predict, "load_model", lambda *_, **__: pytest.fail("predicted again"))
    second = predict_split(random_run, split)
    assert second.image_id == first.image_id
    for one, other in zip(first.per_image, second.per_image, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
        np.testing.assert_array_equal(one.score, other.score)
        np.testing.assert_array_equal(one.class_id, other.class_id)
        assert (one.width_px, one.height_px) == (other.width_px, other.height_px)


def test_key_follows_weights_and_data(random_run: Run, make_weights) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    paths = {cache_path(random_run, split)}
    manifest = random_run.config.data / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    paths.add(cache_path(random_run, split))
    random_run.best.write_bytes(random_run.best.read_bytes() + b" ")
    paths.add(cache_path(random_run, split))
    assert len(paths) == 3


def test_damaged_file_is_made_again(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    expected = predict_split(random_run, split, device="cpu")
    path = cache_path(random_run, split)
    path.write_bytes(path.read_bytes()[:100])
    again = predict_split(random_run, split, device="cpu")
    assert [len(found) for found in again.per_image] == [len(found) for found in expected.per_image]


def test_progress_sees_every_image(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    seen = []

    def progress(paths, total):
        assert total == len(split.files)
        for path in paths:
            seen.append(path)
            yield path

    predict_split(random_run, split, device="cpu", progress=progress)
    assert seen == list(split.files)


def test_weights_of_other_classes_are_refused(random_run: Run) -> None:
    with pytest.raises(ModelError, match=r"best.pt: trained on 2 classes \(Disc, Bar\), the data set has 1 \(Heart\)"):
        load_model(random_run.best, classes=("Heart",))


def test_a_file_that_is_no_checkpoint_is_refused(random_run: Run) -> None:
    random_run.best.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"best.pt: not weights of ultralytics"):
        load_model(random_run.best, classes=("Disc", "Bar"))


@pytest.mark.parametrize("device", ["99", "0,1", "cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_refused(random_run: Run, device: str) -> None:
    with pytest.raises(ConfigError, match=rf"^device: '{device}' cannot be used \(.*\); try --device cpu$"):
        load_model(random_run.best, classes=("Disc", "Bar"), device=device)


def test_a_data_set_of_another_split_is_refused(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "test")
    write_manifest(random_run.folder, Manifest(step="train", config={}, inputs={SPLIT_INPUT: "ab" * 32}))
    predict_split(random_run, split, device="cpu")
    write_manifest(random_run.folder, Manifest(step="train", config={}, inputs={SPLIT_INPUT: "cd" * 32}))
    with pytest.raises(DataError, match=r"data: was built again from another split than .*tiny was trained on"):
        predict_split(random_run, split, device="cpu")
