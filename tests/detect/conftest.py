"""A tiny data set of discs and bars, and a run on it whose network was never trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from xray_chest_detection.config.base import validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.runs import Run, create_run

SPLIT_SIZES = {"train": 16, "val": 5, "test": 6}
CLASSES = ("Disc", "Bar")
SIDE_PX = 96


def write_dataset(folder: Path, *, classes: tuple[str, ...] = CLASSES, boxed: bool = True) -> Path:
    """A YOLO data set as data_prep.build_yolo writes it; two images a patient, every fifth image without a box."""
    rng = np.random.default_rng(0)
    rows = ["image_id,patient_id,source,split,file"]
    number = 0
    for split, count in SPLIT_SIZES.items():
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for _ in range(count):
            name, class_id = f"film_{number:03d}", number % len(classes)
            pixels = rng.integers(20, 60, (SIDE_PX, SIDE_PX)).astype(np.uint8)
            x, y = (int(value) for value in rng.integers(5, 50, 2))
            width, height = (30, 30) if class_id == 0 else (40, 16)
            lines = ""
            if boxed and number % 5:
                pixels[y : y + height, x : x + width] = 220
                box = boxes.to_cxcywhn(np.array([[x, y, x + width, y + height]], np.float64), SIDE_PX, SIDE_PX)[0]
                lines = f"{class_id} " + " ".join(f"{value:.6f}" for value in box) + "\n"
            Image.fromarray(pixels).save(folder / "images" / split / f"{name}.png")
            (folder / "labels" / split / f"{name}.txt").write_text(lines)
            rows.append(f"{name},{split}{number // 2},nih,{split},images/{split}/{name}.png")
            number += 1
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    names = dict(enumerate(classes))
    splits = {split: f"images/{split}" for split in SPLIT_SIZES}
    (folder / "data.yaml").write_text(yaml.safe_dump({**splits, "nc": len(names), "names": names}, sort_keys=False))
    counts = {split: {"images": count, "boxes": count, "patients": count} for split, count in SPLIT_SIZES.items()}
    manifest = {"step": "data_prep.build_yolo", "config": {}, "inputs": {"split.csv": "ab" * 32}, "counts": counts}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def tiny_config(folder: Path, data: Path, /, **changes: object) -> DetectConfig:
    """A configuration for seconds on a CPU; `changes` replace whole keys."""
    values: dict[str, object] = {
        "name": "tiny",
        "data": str(data),
        "runs": str(folder / "runs"),
        "weights": "yolov8n.yaml",
        "epochs": 2,
        "image_size_px": 64,
        "batch": 8,
        "optimizer": "AdamW",
        "learning_rate": 0.001,
        "warmup_epochs": 0,
        "workers": 0,
        "device": "cpu",
        "augment": {"mosaic": 0.0},
        "comet": {"mode": "off"},
        "after": {"checkpoints": str(folder / "checkpoints")},
    }
    return validate(DetectConfig, values | changes, place="test")


def write_random_weights(path: Path, *, classes: tuple[str, ...] = CLASSES) -> None:
    """A checkpoint of ultralytics with random weights whose scores reach above 0.001."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tasks = pytest.importorskip("ultralytics.nn.tasks", reason="ultralytics is not installed")
    torch.manual_seed(0)
    model = tasks.DetectionModel("yolov8n.yaml", nc=len(classes), verbose=False)
    model.names = dict(enumerate(classes))
    for branch in model.model[-1].cv3:  # the class scores: raised, and different from place to place
        branch[-1].bias.data.fill_(-1.5)
        branch[-1].weight.data.mul_(8)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model, "ema": None, "epoch": -1, "train_args": {}}, path)


def scene(seed: int = 0, *, n_images: int = 10, classes: tuple[str, ...] = ("a", "b")) -> Any:
    """Random true boxes and candidates around them."""
    rng = np.random.default_rng(seed)
    truth, per_image = [], []
    for _ in range(n_images):
        corner = rng.integers(0, 60, (rng.integers(0, 3), 2))
        real = np.concatenate([corner, corner + rng.integers(10, 40, corner.shape)], axis=1).astype(np.float32)
        real_class = rng.integers(0, len(classes), len(real))
        truth.append(Detections(real, np.ones(len(real), np.float32), real_class, 100, 100))
        copies = np.repeat(real, 12, axis=0)
        found = copies + rng.integers(-8, 9, copies.shape)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 3)
        score = rng.random(len(found)).astype(np.float32)
        noisy = np.where(rng.random(len(found)) < 0.8, np.repeat(real_class, 12), 0)
        per_image.append(Detections(found.astype(np.float32), score, noisy, 100, 100))
    names = tuple(f"film_{number}" for number in range(n_images))
    all_known = np.zeros((n_images, len(classes)), np.bool_)
    boxes = BoxTable.from_detections(truth)
    split = LabelledSplit("val", classes, names, names, (), ((100, 100),) * n_images, boxes, all_known)
    from xray_chest_detection.detect.predict import Candidates  # imports torch

    return split, Candidates(names, tuple(per_image))


@pytest.fixture
def make_scene() -> Callable[..., Any]:
    """`scene`."""
    return scene


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The data set of discs and bars."""
    return write_dataset(tmp_path / "data")


@pytest.fixture
def random_run(tmp_path: Path, dataset: Path) -> Run:
    """A run with random weights."""
    run = create_run(tiny_config(tmp_path, dataset))
    write_random_weights(run.best)
    return run


@pytest.fixture
def make_dataset() -> Callable[..., Path]:
    """`write_dataset`."""
    return write_dataset


@pytest.fixture
def make_config() -> Callable[..., DetectConfig]:
    """`tiny_config`."""
    return tiny_config


@pytest.fixture
def make_weights() -> Callable[..., None]:
    """`write_random_weights`."""
    return write_random_weights


@pytest.fixture
def enliven() -> Callable[..., None]:
    """Give a checkpoint weights through which random values pass without fading, as through trained ones."""

    def change(path: Path, *, seed: int = 0) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        checkpoint = torch.load(path, weights_only=False)
        torch.manual_seed(seed)
        for name, layer in checkpoint["model"].named_modules():
            if name.endswith(".conv") and "dfl" not in name:
                torch.nn.init.kaiming_normal_(layer.weight)
        torch.save(checkpoint, path)

    return change
