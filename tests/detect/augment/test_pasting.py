"""Pasted findings and erased places on the way to the network, with labels, weights and unknown parts."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.data import YOLODataset, build_yolo_dataset  # noqa: E402

from xray_chest_detection.detect.augment.patches import touching  # noqa: E402
from xray_chest_detection.detect.dataset import XrayDataset, reading_like_the_demo  # noqa: E402
from xray_chest_detection.detect.masks import WEIGHT, unknown_at  # noqa: E402
from xray_chest_detection.detect.regions import UNKNOWN  # noqa: E402
from xray_chest_detection.detect.side_labels import SideLabels  # noqa: E402

SIDE_PX = 96
N_FILMS = 20
QUIET = {"mosaic": 0.0, "hsv_v": 0.0, "scale": 0.0, "translate": 0.0, "fliplr": 0.0, "erasing": 0.0}
DATA = {"names": {0: "Disc", 1: "Bar", 2: "Heart"}, "nc": 3, "channels": 3}
EVERYTHING = {"mosaic": 0.5, "mixup": 0.5, "fliplr": 0.5, "scale": 0.3, "translate": 0.1, "degrees": 5.0, "hsv_v": 0.4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Films that grow brighter downwards. Twelve with a disc of its own size; two bars; a heart; five empty ones."""
    folder = tmp_path_factory.mktemp("films")
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for number in range(N_FILMS):
        pixels = np.tile(np.linspace(20, 110, SIDE_PX)[:, None] + number, (1, SIDE_PX))
        lines = ""
        if number < 12:
            lines = f"0 0.5 0.5 {0.1 + number / 200:.6f} 0.1\n"
            pixels[44:52, 42:54] += 100
        elif number < 14:
            lines = "1 0.3 0.3 0.2 0.05\n"
            pixels[27:31, 20:38] += 100
        elif number == 14:
            lines = "2 0.5 0.6 0.4 0.4\n"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"images/train/{number:02d}.png")
        (folder / f"labels/train/{number:02d}.txt").write_text(lines)
    return folder


def side_of(folder: Path) -> SideLabels:
    """Discs weigh 0.5 and more, each its own; on the films of discs nobody looked for bars."""
    names = [f"images/train/{number:02d}.png" for number in range(12)]
    weights = {name: {1: 0.5 + number / 100} for number, name in enumerate(names)}
    return SideLabels(folder.resolve(), 3, {name: [1] for name in names}, weights)


def build(folder: Path, side: SideLabels | None = None, *, mode: str = "train", **overrides: Any) -> XrayDataset:
    cfg = get_cfg(overrides={"imgsz": SIDE_PX, "cache": "ram", "augmentations": []} | QUIET | overrides)
    with reading_like_the_demo(side):
        return build_yolo_dataset(cfg, str(folder / "images/train"), 4, DATA, mode=mode)


def seed(value: int) -> None:
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 -- what ultralytics draws from
    torch.manual_seed(value)


def samples(dataset: YOLODataset, value: int = 0) -> list[dict[str, Any]]:
    seed(value)
    return [dataset[index] for index in range(len(dataset))]


def corners(sample: dict[str, Any]) -> np.ndarray:
    boxes = sample["bboxes"].numpy() * SIDE_PX
    return np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


def equal(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a if isinstance(a[key], torch.Tensor))
        for a, b in zip(first, second, strict=True)
    )


def test_findings_are_added_and_nothing_else_is_changed(folder) -> None:
    plain, pasted = samples(build(folder)), samples(build(folder, copy_paste=1.0))
    added = 0
    for before, after in zip(plain, pasted, strict=True):
        count = len(before["cls"])
        assert torch.equal(after["cls"][:count], before["cls"])
        assert torch.equal(after["bboxes"][:count], before["bboxes"])
        new = corners(after)[count:]
        assert len(new) <= 1
        assert not touching(new, corners(before)).any()
        changed = (after["img"] != before["img"]).any(0)
        for x_min, y_min, x_max, y_max in corners(before).round().astype(int):
            assert not changed[y_min:y_max, x_min:x_max].any()
        assert bool(changed.any()) == bool(len(new))
        assert 2 not in after["cls"][count:]
        added += len(new)
    assert added > N_FILMS / 2


def test_a_pasted_box_holds_its_finding(folder) -> None:
    """Discs and bars are 100 grey levels brighter than their films, and stay so."""
    empty = samples(build(folder, copy_paste=1.0))[15:]
    boxes = [(sample, box) for sample in empty for box in corners(sample)]
    assert len(boxes) >= 3
    for sample, (x_min, y_min, x_max, y_max) in boxes:
        middle = sample["img"][0][int((y_min + y_max) / 2), int((x_min + x_max) / 2)]
        beside = sample["img"][0][int((y_min + y_max) / 2), int(x_min) - 8]
        assert 60 < int(middle) - int(beside) < 140


def test_classes_are_pasted_equally_often(folder) -> None:
    dataset = build(folder, copy_paste=1.0)
    pasted = [sample["cls"][-1, 0].item() for value in range(20) for sample in samples(dataset, value)[15:]]
    assert 0.35 < np.mean(np.array(pasted) == 1) < 0.65


def test_a_pasted_finding_brings_its_weight_and_what_is_unknown(folder) -> None:
    dataset = build(folder, side_of(folder), copy_paste=1.0)
    width_of = {round(0.1 + number / 200, 3): 0.5 + number / 100 for number in range(12)}
    discs = 0
    for sample in samples(dataset):
        assert sample["cls"].shape == (len(sample["bboxes"]), 1)
        assert len(sample[WEIGHT]) == len(sample["bboxes"])
        for class_id, weight, box in zip(sample["cls"][:, 0], sample[WEIGHT], sample["bboxes"], strict=True):
            expected = width_of[round(box[2].item(), 3)] if class_id == 0 else 1.0
            assert weight.item() == pytest.approx(expected)
            at = unknown_at(box[None, :2], sample[UNKNOWN][None])[0, 0]
            whole = int(Path(sample["im_file"]).stem) < 12
            assert at.tolist() == [False, bool(class_id == 0 or whole), False]
        if int(Path(sample["im_file"]).stem) >= 15 and 0 in sample["cls"]:
            discs += 1
            assert sample[UNKNOWN].shape == (1, 9)
            assert not unknown_at(torch.tensor([[0.05, 0.05]]), sample[UNKNOWN][None]).any()
    assert discs > 0


def test_mirrored_only_when_films_are_flipped(folder) -> None:
    """The bars lie on the left of their films; the flip of the whole film is made impossible by its probability."""

    def on_the_right(fliplr: float) -> list[bool]:
        dataset = build(folder, copy_paste=1.0, fliplr=fliplr)
        found = [sample for value in range(10) for sample in samples(dataset, value)[15:]]
        boxes = [box for sample in found for box, row in zip(sample["bboxes"], sample["cls"], strict=True) if row == 1]
        return [bool(box[0] > 0.5) for box in boxes]

    never, sometimes = on_the_right(0.0), on_the_right(1e-9)
    assert len(never) > 5
    assert not any(never)
    assert 0.2 < np.mean(sometimes) < 0.8


@pytest.mark.parametrize("with_side", [False, True])
def test_off_is_ultralytics_to_the_last_bit(with_side: bool, folder) -> None:
    """The films have the size of the input, so that ultralytics reads the same pixels."""
    overrides = QUIET | EVERYTHING | {"imgsz": SIDE_PX, "cache": "ram", "augmentations": []}
    cfg = get_cfg(overrides=overrides)
    plain = build_yolo_dataset(cfg, str(folder / "images/train"), 4, DATA, mode="train")
    ours = samples(build(folder, side_of(folder) if with_side else None, **EVERYTHING), 3)
    if with_side:
        ours = [{key: sample[key] for key in sample if key not in (UNKNOWN, WEIGHT)} for sample in ours]
    assert equal(samples(plain, 3), ours)


def test_same_seed_same_films(folder) -> None:
    dataset = build(folder, side_of(folder), copy_paste=0.8, **EVERYTHING | {"erasing": 0.4})
    first = samples(dataset, 1)
    assert equal(first, samples(build(folder, side_of(folder), copy_paste=0.8, **EVERYTHING | {"erasing": 0.4}), 1))
    assert not equal(first, samples(dataset, 2))


def test_erasing_changes_pixels_only(folder) -> None:
    plain, erased = samples(build(folder)), samples(build(folder, erasing=1.0))
    assert not equal(plain, erased)
    for before, after in zip(plain, erased, strict=True):
        assert equal([before | {"img": after["img"]}], [after])


def test_films_in_memory_stay_as_they_are(folder) -> None:
    dataset = build(folder, copy_paste=1.0, erasing=1.0)
    before = [dataset.ims[index].copy() for index in range(N_FILMS)]
    samples(dataset)
    assert all((dataset.ims[index] == image).all() for index, image in enumerate(before))


def test_findings_come_from_the_films_in_memory(folder) -> None:
    """Without `cache` that are the latest ones; the first film of all has nobody to take from."""
    dataset = build(folder, copy_paste=1.0, cache=False)
    seed(0)
    assert len(dataset[15]["cls"]) == 0
    assert len(dataset[3]["cls"]) == 1
    found = [len(dataset[index]["cls"]) for index in (15, 16, 17, 18)]
    assert sum(found) >= 2


def test_the_last_epochs_paste_nothing_but_still_erase(folder) -> None:
    dataset = build(folder, copy_paste=1.0, erasing=1.0)
    dataset.close_mosaic(get_cfg(overrides=QUIET | {"copy_paste": 1.0, "erasing": 1.0, "augmentations": []}))
    plain, last = samples(build(folder)), samples(dataset)
    assert [len(sample["cls"]) for sample in last] == [len(sample["cls"]) for sample in plain]
    assert not equal(plain, last)


def test_validation_is_left_alone(folder) -> None:
    first = samples(build(folder, mode="val", copy_paste=1.0, erasing=1.0))
    assert equal(first, samples(build(folder, mode="val")))


@pytest.mark.slow  # a training of one epoch
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_training_with_everything_on(tmp_path, dataset, make_config) -> None:
    """With a worker process, unknown classes and weights; the steps of albumentations are kept as plain values."""
    import yaml

    from xray_chest_detection.detect.train import train

    (dataset / "unknown.csv").write_text("file,class_name,reason\nimages/train/film_000.png,Bar,not_labelled\n")
    (dataset / "label_weights.csv").write_text("file,line,weight\nimages/train/film_001.png,1,0.5\n")
    on = {"mosaic": 0.5, "mixup": 0.5, "erasing": 0.4, "copy_paste": 0.8, "clahe": 0.3, "gamma": 0.3, "noise": 0.3}
    run = train(make_config(tmp_path, dataset, epochs=1, workers=1, augment=on | {"close_mosaic": 0, "rotate_deg": 5}))
    assert run.finished
    kept = yaml.safe_load((run.folder / "args.yaml").read_text())
    assert [step["transform"]["__class_fullname__"] for step in kept["augmentations"]] == [
        *("CLAHE", "RandomGamma", "GaussNoise")
    ]
    assert (kept["erasing"], kept["copy_paste"]) == (0.4, 0.8)
