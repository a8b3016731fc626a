"""Training a detector with ultralytics, from a configuration to a run folder; and going on with a run that was cut."""

import subprocess
from pathlib import Path
from typing import Any

import torch

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.data.provenance import require_patients_apart
from xray_chest_detection.data.yolo import DATA_FILE
from xray_chest_detection.detect.augment.tones import tone_steps
from xray_chest_detection.detect.noise import progress_only
from xray_chest_detection.detect.predict import read_checkpoint
from xray_chest_detection.detect.runs import SPLIT_INPUT, Run, create_run, open_run, split_digest
from xray_chest_detection.detect.side_labels import read_side_labels
from xray_chest_detection.detect.tracking import Tracker
from xray_chest_detection.detect.trainer import XrayTrainer
from xray_chest_detection.detect.weights import is_architecture, resolve_weights
from xray_chest_detection.errors import ConfigError, DataError, ModelError

VALIDATION_CONF = 0.001  # a higher value cuts the precision-recall curve, and mAP is no longer comparable
VALIDATION_IOU = 0.7


def train(config: DetectConfig, tracker: Tracker | None = None) -> Run:
    """Train a new run.

    Args:
        config: What to train.
        tracker: Follows the training; the caller ends it.

    Raises:
        ConfigError: There is no such device.
        DataError: The data set is missing, or its side files are damaged.
        ModelError: The weights are missing or damaged, the run exists, or the training failed.
    """
    _require_data(config)
    choose_device(config.device)
    start = _start(config)
    return _train(create_run(config), start, tracker=tracker)


def resume(folder: Path, tracker: Tracker | None = None) -> Run:
    """Go on with a run that was cut; from the beginning when it was cut before the end of its first epoch.

    Raises:
        ConfigError: There is no such device.
        ModelError: There is no such run, or it is complete.
    """
    run = open_run(folder)
    if run.finished:
        raise ModelError(f"{folder}: this run is complete, nothing to resume; start another with a new --name")
    _require_data(run.config)
    if not run.last.is_file():
        return _train(run, _start(run.config), tracker=tracker)
    if _was_stripped(run):
        if tracker is not None:
            tracker.start(run)
        return _finish(run)
    start = {"model": str(run.last), "resume": str(run.last), "save_dir": str(run.folder.resolve())}
    return _train(run, start, tracker=tracker)


def choose_device(device: str | None) -> str:
    """The device that was asked for, or the first CUDA device, or the CPU.

    Raises:
        ConfigError: The device is not on this machine.
    """
    if device is None:
        return "0" if torch.cuda.is_available() else "cpu"
    numbers = device.split(",")
    if all(number.isdecimal() for number in numbers):
        count = torch.cuda.device_count()
        if max(map(int, numbers)) >= count:
            here = f"CUDA devices 0 to {count - 1}" if count else "no CUDA device"
            raise ConfigError(f"device: '{device}': {here} on this machine; try --device cpu")
    elif device not in ("cpu", "mps"):
        raise ConfigError(f"device: '{device}' is not one of cpu, mps, 0, 1, ... or several joined by commas")
    return device


def overrides_of(config: DetectConfig, folder: Path) -> dict[str, Any]:
    """The settings of ultralytics for a configuration. Every value of the configuration has its place here."""
    augment, device = config.augment, choose_device(config.device)
    settings: dict[str, Any] = {
        "data": str((config.data / DATA_FILE).resolve()),
        "project": str(folder.parent.resolve()),
        "name": folder.name,
        "exist_ok": True,
        "epochs": config.epochs,
        "patience": config.patience,
        "imgsz": config.image_size_px,
        "batch": config.batch,
        "optimizer": config.optimizer,
        "lrf": config.final_learning_rate,
        "cos_lr": config.cosine,
        "warmup_epochs": config.warmup_epochs,
        "weight_decay": config.weight_decay,
        "box": config.box_gain,
        "cls": config.class_gain,
        "cls_pw": config.class_balance,
        "freeze": config.freeze or None,
        "device": device,
        "amp": _amp(config.precision, device),
        "workers": config.workers,
        "cache": "ram" if config.cache else False,
        "seed": config.seed,
        "conf": VALIDATION_CONF,
        "iou": VALIDATION_IOU,
        "mosaic": augment.mosaic,
        "close_mosaic": augment.close_mosaic,
        "mixup": augment.mixup,
        "hsv_h": 0.0,
        "hsv_s": 0.0,
        "hsv_v": augment.brightness,
        "degrees": augment.rotate_deg,
        "translate": augment.translate,
        "scale": augment.rescale,
        "fliplr": augment.flip_horizontal,
        "copy_paste": augment.copy_paste,
        "erasing": augment.erasing,
        "augmentations": tone_steps(augment),
    }
    if config.learning_rate is not None:
        settings["lr0"] = config.learning_rate
    return settings


def _amp(precision: str, device: str) -> bool | str:
    if device in ("cpu", "mps") or precision == "fp32":
        return False  # bfloat16 on a CPU is done by XrayTrainer: ultralytics refuses it there
    if precision == "bf16" or torch.cuda.is_bf16_supported():
        return "bf16"
    return True


def _start(config: DetectConfig) -> dict[str, Any]:
    """Where a training starts: a weights file, or an architecture with random weights."""
    if is_architecture(config.weights):
        return {"model": config.weights, "pretrained": False}
    weights = resolve_weights(config.weights)
    read_checkpoint(weights)  # before a run folder is made that could never be resumed
    return {"model": str(weights)}


def _train(run: Run, start: dict[str, Any], *, tracker: Tracker | None) -> Run:
    config = run.config
    if tracker is not None:
        tracker.start(run)
    try:
        with progress_only():
            trainer = XrayTrainer(
                overrides=overrides_of(config, run.folder) | start,
                cpu_bf16=config.precision == "bf16",
                cpu_workers=min(config.workers, 1),
            )
            if tracker is not None:
                tracker.follow(trainer)
            trainer.train()
    except torch.cuda.OutOfMemoryError:
        raise ModelError(f"{run.folder}: out of GPU memory; resume with a smaller batch or image size") from None
    except (RuntimeError, OSError, ValueError, TypeError, AssertionError, subprocess.SubprocessError) as error:
        raise ModelError(f"{run.folder}: training failed: {_one_line(error)}") from error
    weights = Path(str(start["model"]))
    new = "resume" not in start and weights.is_file()
    return _finish(run, weights_sha256=hash_inputs(weights) if new else {})


def _finish(run: Run, *, weights_sha256: dict[str, str] | None = None) -> Run:
    if not run.weights.is_file():
        raise ModelError(f"{run.folder}: no weights were written; look at the training log for the reason")
    inputs = {f"data/{FILE_NAME}": hash_inputs(run.config.data / FILE_NAME)[FILE_NAME]} | (weights_sha256 or {})
    split = split_digest(run.config.data)
    manifest = Manifest(
        step="train",
        config=run.config.model_dump(mode="json"),
        inputs=inputs | ({SPLIT_INPUT: split} if split else {}),
        outputs={f"weights/{name}": digest for name, digest in hash_inputs(run.weights).items()},
        counts={"data": read_manifest(run.config.data).counts, "epochs": _epochs_done(run)},
        seed=run.config.seed,
        versions=versions_of("ultralytics", "torch", "numpy"),
    )
    write_manifest(run.folder, manifest)
    return run


def _was_stripped(run: Run) -> bool:
    """Whether the last checkpoint is a finished one: ultralytics then cannot go on with it, and need not."""
    try:
        checkpoint = torch.load(run.last, map_location="cpu", weights_only=False)
        return int(checkpoint["epoch"]) < 0 or _epochs_done(run) >= run.config.epochs
    except Exception as error:  # pickle, zip and key errors of every kind
        raise ModelError(
            f"{run.last}: damaged checkpoint ({_one_line(error)}); remove it to start this run from the beginning"
        ) from None


def _require_data(config: DetectConfig) -> None:
    if not (config.data / DATA_FILE).is_file():
        raise DataError(f"{config.data}: no data set here; build it with `python -m data_prep.build_yolo` first")
    read_manifest(config.data)
    require_patients_apart(config.data)
    read_side_labels(config)


def _epochs_done(run: Run) -> int:
    results = run.folder / "results.csv"
    return max(0, len(results.read_text(encoding="utf-8").splitlines()) - 1) if results.is_file() else 0


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
