"""Four YOLOv8s detectors with random weights: the checkpoints of the original's way, and their exports for the page."""

from pathlib import Path

import numpy as np
import torch
from ultralytics.nn.tasks import DetectionModel

from xray_chest_detection.config.base import validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import CARD_SUFFIX, ModelCard, Thresholds, TrainingData, write_card
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.export_files import float_onnx, write_format
from xray_chest_detection.detect.noise import quiet
from xray_chest_detection.detect.runs import Run

N_CLASSES = {"multi": 8, "binary": 1, "cardiomegaly": 1, "mass_nodule": 1}
CONF, IOU = 0.25, 0.5


def write_models(folder: Path, *, architecture: str, image_size_px: int) -> tuple[list[Path], Path]:
    """Write the checkpoints, and the ONNX files with their cards.

    Args:
        folder: An empty folder.
        architecture: A file of ultralytics, for example `yolov8s.yaml`.
        image_size_px: Side of the network input.

    Returns:
        The four checkpoints, and the folder of the exports.
    """
    exports = folder / "checkpoints"
    exports.mkdir()
    weights = []
    for seed, (name, count) in enumerate(N_CLASSES.items()):
        split = _split(tuple(f"class {number}" for number in range(count)))
        values = {
            "name": name,
            "data": str(folder),
            "weights": architecture,
            "image_size_px": image_size_px,
            "device": "cpu",
            "comet": {"mode": "off"},
        }
        run = Run(folder / name, validate(DetectConfig, values, place="benchmark"))
        run.weights.parent.mkdir(parents=True)
        _save(run.weights, architecture, split.classes, seed)
        model, title = float_onnx(run, split, run.folder)
        file = write_format(model, "fp16", exports / name, split=split, size_px=image_size_px)
        card = ModelCard(
            name=name,
            title=name,
            file=file.name,
            sha256=sha256_of(file),
            architecture=title,
            image_size_px=image_size_px,
            classes=split.classes,
            thresholds=Thresholds(conf=CONF, iou=IOU),
            training_data=TrainingData(name="none", source="none", licence="none", counts={}),
        )
        write_card(exports / f"{name}{CARD_SUFFIX}", card)
        weights.append(run.weights)
    return weights, exports


def _save(path: Path, architecture: str, classes: tuple[str, ...], seed: int) -> None:
    """A checkpoint as a training ends with: half precision, no optimizer."""
    torch.manual_seed(seed)
    with quiet():
        model = DetectionModel(architecture, nc=len(classes), verbose=False)
    model.names = dict(enumerate(classes))
    torch.save({"model": model.half(), "ema": None, "epoch": -1, "train_args": {}}, path)


def _split(classes: tuple[str, ...]) -> LabelledSplit:
    """A split that only knows its classes."""
    return LabelledSplit(
        "val", classes, (), (), (), (), BoxTable.from_detections([]), np.zeros((0, len(classes)), bool)
    )
