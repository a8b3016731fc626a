"""One forward pass, kept in a file."""

from dataclasses import replace

import numpy as np
import pytest

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import letterbox
from xray_chest_detection.core.manifest import Manifest, write_manifest
from xray_chest_detection.core.tiling import Tiles, merge_views
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect import predict
from xray_chest_detection.detect.predict import cache_path, head_of, load_model, predict_split
from xray_chest_detection.detect.runs import SPLIT_INPUT, Run
from xray_chest_detection.errors import ConfigError, DataError, ModelError
from xray_chest_detection.inference.decode import decode_head

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


def with_tiles(run: Run, tiles: Tiles | None) -> Run:
    return replace(run, config=run.config.model_copy(update={"tiles": tiles}))


def test_key_follows_the_tiles(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    grids = [None, Tiles(), Tiles(side=0.6), Tiles(overlap=0.5)]
    assert len({cache_path(with_tiles(random_run, tiles), split) for tiles in grids}) == 4


def test_one_tile_over_the_whole_film_changes_nothing(random_run: Run) -> None:
    split = read_labelled_split(random_run.config.data, "val")
    expected = predict_split(random_run, split, device="cpu")
    got = predict_split(with_tiles(random_run, Tiles(side=1)), split, device="cpu")
    for one, other in zip(expected.per_image, got.per_image, strict=True):
        assert len(one) == len(other) > 0
        np.testing.assert_allclose(one.xyxy, other.xyxy, atol=1e-3)  # batches of other sizes round otherwise
        np.testing.assert_allclose(one.score, other.score, atol=1e-5)


def draw_small_boxes(run: Run) -> None:
    """Let the random network draw boxes whose edges are one stride from their place; its own are as large as a tile."""
    import torch

    checkpoint = torch.load(run.best, map_location="cpu", weights_only=False)
    for branch in checkpoint["model"].model[-1].cv2:
        branch[-1].bias.data.view(4, -1)[:, 1] += 20
    torch.save(checkpoint, run.best)


def test_tiles_add_what_the_network_says_about_parts_of_the_film(random_run: Run) -> None:
    draw_small_boxes(random_run)
    split = read_labelled_split(random_run.config.data, "val")
    whole = predict_split(random_run, split, device="cpu")
    tiles = Tiles(side=0.5, overlap=0.4)
    both = predict_split(with_tiles(random_run, tiles), split, device="cpu")
    model = load_model(random_run.best, classes=split.classes, device="cpu")
    for path, first, found in zip(split.files, whole.per_image, both.per_image, strict=True):
        pixels = read_image(path).pixels
        parts = []
        for window in tiles.windows(96, 96):
            square, frame = letterbox(window.of(pixels), random_run.config.image_size_px)
            parts.append((window, decode_head(head_of(model, [square])[0], frame)))
        expected = merge_views(first, parts, tiles)
        assert len(found) == len(expected) > len(first)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-5)
        np.testing.assert_allclose(np.sort(found.xyxy, axis=0), np.sort(expected.xyxy, axis=0), atol=1e-2)


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
