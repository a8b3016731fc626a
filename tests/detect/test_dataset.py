"""Unknown parts and weights of boxes on their way through the augmentation of ultralytics."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.errors import DataError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
import cv2  # noqa: E402
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.data import build_yolo_dataset  # noqa: E402

from xray_chest_detection.detect.dataset import XrayDataset, reading_like_the_demo  # noqa: E402
from xray_chest_detection.detect.masks import WEIGHT, unknown_at  # noqa: E402
from xray_chest_detection.detect.regions import UNKNOWN  # noqa: E402
from xray_chest_detection.detect.side_labels import SideLabels  # noqa: E402

SIDE_PX = 96
SIZES_PX = [(96, 96), (96, 60), (50, 90), (70, 70)]  # of the films; width and height
WHITE_FROM = 121  # half of a white film shining through a black one is 127, through grey padding 184


def write_films(folder: Path) -> Path:
    """Twelve films; every third is white, the others are black, padding is grey (114)."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for number in range(12):
        width, height = SIZES_PX[number % len(SIZES_PX)]
        pixels = np.full((height, width), 0 if number % 3 else 255, np.uint8)
        Image.fromarray(pixels).save(folder / "images" / "train" / f"{number}.png")
        (folder / "labels" / "train" / f"{number}.txt").write_text("0 0.5 0.5 0.3 0.3\n" if number % 2 else "")
    return folder


def side_of(folder: Path, **changes: Any) -> SideLabels:
    """Class 1 is unknown on the white films."""
    unknown = {f"images/train/{number}.png": [1] for number in range(0, 12, 3)}
    return SideLabels(**{"folder": folder.resolve(), "n_classes": 2, "unknown": unknown, "weights": {}} | changes)


def build(folder: Path, side: SideLabels | None, *, mode: str = "train", **overrides: Any) -> XrayDataset:
    quiet = {"hsv_v": 0.0, "hsv_s": 0.0, "erasing": 0.0, "augmentations": []}
    cfg = get_cfg(overrides={"imgsz": SIDE_PX} | quiet | overrides)
    data = {"names": {0: "Disc", 1: "Bar"}, "nc": 2, "channels": 3}
    with reading_like_the_demo(side):
        return build_yolo_dataset(cfg, str(folder / "images/train"), 4, data, mode=mode, rect=mode == "val")


def samples(dataset: XrayDataset, *, seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 -- what ultralytics draws from
        yield from (dataset[index] for index in range(len(dataset)))


def pixel_centres(sample: dict[str, Any]) -> Any:
    height, width = sample["img"].shape[1:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x.flatten() / width, y.flatten() / height], 1)


AUGMENTATION = {
    "one film": {"mosaic": 0.0},
    "mosaic": {"mosaic": 1.0},
    "rotated mosaic": {"mosaic": 1.0, "degrees": 20.0},
    "shrunk and shifted": {"mosaic": 0.0, "translate": 0.9, "scale": 0.9, "degrees": 45.0},
    "flips": {"mosaic": 1.0, "fliplr": 1.0, "flipud": 1.0},
    "mixup of mosaics": {"mosaic": 1.0, "mixup": 1.0, "degrees": 5.0},
}


@pytest.mark.parametrize("overrides", AUGMENTATION.values(), ids=AUGMENTATION)
def test_unknown_parts_are_the_white_pixels(overrides: dict[str, float], tmp_path, monkeypatch) -> None:
    """The pixels themselves say which film they are of; all must agree but a rim of two pixels.

    ultralytics puts a pixel's centre at its corner when it warps, so that boxes and parts lie up to a pixel off.
    """
    monkeypatch.setattr(np.random, "beta", lambda a, b: 0.5)  # mixup with equal parts, so that grey values are telling
    folder = write_films(tmp_path)
    wrong, unknown, rims = 0, 0, 0
    for sample in samples(build(folder, side_of(folder), **overrides), seeds=4):
        white = (sample["img"][0].numpy() >= WHITE_FROM).astype(np.uint8)
        rim = cv2.morphologyEx(white, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)).astype(bool)
        at = unknown_at(pixel_centres(sample), sample[UNKNOWN][None])[0].reshape(*white.shape, 2).numpy()
        assert not at[..., 0].any()
        wrong += int(((at[..., 1] != white.astype(bool)) & ~rim)[2:-2, 2:-2].sum())
        unknown += int(white.sum())
        rims += int(rim.sum())
    assert wrong == 0
    assert unknown > rims


def test_padding_of_validation_is_not_unknown(tmp_path) -> None:
    folder = write_films(tmp_path)
    for sample in build(folder, side_of(folder), mode="val"):
        white = (sample["img"][0] >= WHITE_FROM).numpy()
        at = unknown_at(pixel_centres(sample), sample[UNKNOWN][None])[0].reshape(*white.shape, 2).numpy()
        assert (at[..., 1] == white).mean() > 0.99
        assert at[..., 1].any() == white.any()


def test_closing_the_mosaic_keeps_the_parts(tmp_path) -> None:
    folder = write_films(tmp_path)
    dataset = build(folder, side_of(folder), mosaic=1.0)
    assert max(len(sample[UNKNOWN]) for sample in samples(dataset, seeds=2)) > 1
    dataset.close_mosaic(get_cfg(overrides={"erasing": 0.0, "augmentations": []}))
    counts = [len(sample[UNKNOWN]) for sample in samples(dataset, seeds=1)]
    assert counts == [1 if int(Path(file).stem) % 3 == 0 else 0 for file in dataset.im_files]


def test_weights_stay_with_their_boxes(tmp_path) -> None:
    """Every film's box has its own weight and its own width, so that one tells the other after any augmentation."""
    folder = write_films(tmp_path)
    weights = {}
    for number in range(12):
        box = 0.1 + 0.05 * number
        (folder / f"labels/train/{number}.txt").write_text(f"1 0.5 0.5 0.02 0.02\n0 0.5 0.5 {box} {box}\n")
        weights[f"images/train/{number}.png"] = {2: 0.5 + number / 100}
    dataset = build(folder, side_of(folder, weights=weights), mosaic=0.5, scale=0.0, translate=0.0)
    seen = 0
    for sample in samples(dataset, seeds=3):
        assert sample["cls"].shape == (len(sample["bboxes"]), 1)
        assert len(sample[WEIGHT]) == len(sample["bboxes"])
        for class_id, weight in zip(sample["cls"][:, 0].tolist(), sample[WEIGHT].tolist(), strict=True):
            assert class_id == 0 or weight == 1
            assert class_id == 1 or 0.5 <= weight < 0.62
        seen += len(sample["cls"])
    assert seen > 50
    whole = build(folder, side_of(folder, weights=weights), mosaic=0.0, scale=0.0, translate=0.0)
    for index, sample in enumerate(samples(whole, seeds=1)):
        number = int(Path(whole.im_files[index]).stem)
        assert sample[WEIGHT][sample["cls"][:, 0] == 0].tolist() == pytest.approx([0.5 + number / 100])


def test_batch_has_one_row_of_weights_and_padded_parts(tmp_path) -> None:
    folder = write_films(tmp_path)
    dataset = build(folder, side_of(folder), mosaic=0.0, translate=0.0, scale=0.0)
    by_name = {Path(file).stem: index for index, file in enumerate(dataset.im_files)}
    batch = dataset.collate_fn([dataset[by_name[name]] for name in ("0", "1", "2", "3")])
    assert batch[UNKNOWN].shape == (4, 1, 8)
    assert batch[UNKNOWN].abs().sum((1, 2)).gt(0).tolist() == [True, False, False, True]
    assert batch["batch_idx"].tolist() == [1, 3]
    assert batch["cls"].shape == (2, 1)
    assert batch[WEIGHT].tolist() == [1, 1]


def test_labels_of_the_data_set_stay_as_they_were(tmp_path) -> None:
    folder = write_films(tmp_path)
    with_side, without = build(folder, side_of(folder), mosaic=1.0), build(folder, None, mosaic=1.0)
    for changed, plain in zip(list(samples(with_side, seeds=1)), list(samples(without, seeds=1)), strict=True):
        assert set(changed) - set(plain) == {UNKNOWN, WEIGHT}
        assert all(torch.equal(changed[key], plain[key]) for key in ("img", "cls", "bboxes", "batch_idx"))
    for changed, plain in zip(with_side.labels, without.labels, strict=True):
        assert np.array_equal(changed["cls"], plain["cls"])


def test_twofold_line_keeps_its_weight(tmp_path) -> None:
    """ultralytics drops the second of two equal lines and sorts the others."""
    folder = write_films(tmp_path)
    lines = "1 0.5 0.5 0.4 0.4\n0 0.5 0.5 0.3 0.3\n1 0.5 0.5 0.4 0.4\n"
    (folder / "labels/train/1.txt").write_text(lines)
    weights = {"images/train/1.png": {1: 0.25, 2: 0.5}}
    dataset = build(folder, side_of(folder, weights=weights), mosaic=0.0)
    found = next(label for label in dataset.labels if Path(label["im_file"]).stem == "1")
    assert found["cls"][:, 0].tolist() == [0, 1]
    assert dataset.box_weights[found["im_file"]].tolist() == [0.5, 0.25]


def test_weight_of_a_line_that_is_not_there(tmp_path) -> None:
    folder = write_films(tmp_path)
    with pytest.raises(DataError) as error:
        build(folder, side_of(folder, weights={"images/train/1.png": {2: 0.5}}))
    assert str(error.value) == (
        f"{folder.resolve()}/label_weights.csv: a weight for line 2 of 1.txt, which has 1 lines; "
        "build the data set again with data_prep.build_yolo"
    )
