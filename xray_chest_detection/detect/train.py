"""Training a detector with ultralytics, from a configuration to a run folder; and going on with a run that was cut."""

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
from xray_chest_detection.data.yolo import DATA_FILE
from xray_chest_detection.detect.runs import Run, create_run, open_run
from xray_chest_detection.detect.tracking import Tracker, open_tracker
from xray_chest_detection.detect.trainer import XrayTrainer
from xray_chest_detection.detect.weights import resolve_weights
from xray_chest_detection.errors import DataError, ModelError

VALIDATION_CONF = 0.001  # a higher value cuts the precision-recall curve, and mAP is no longer comparable
VALIDATION_IOU = 0.7


def train(config: DetectConfig) -> Run:
    """Train a new run.

    Raises:
        DataError: The data set is missing.
        ModelError: The weights are missing, the run exists, or the training failed.
    """
    _require_data(config)
    weights = resolve_weights(config.weights)
    run = create_run(config)
    return _train(run, {"model": str(weights)}, weights_sha256=_hash_weights(weights))


def resume(folder: Path) -> Run:
    """Go on with a run that was cut; from the beginning when it was cut before the end of its first epoch.

    Raises:
        ModelError: There is no such run, or it is complete.
    """
    run = open_run(folder)
    if run.finished:
        raise ModelError(f"{folder}: this run is complete, nothing to resume; start another with a new --name")
    _require_data(run.config)
    if not run.last.is_file():
        weights = resolve_weights(run.config.weights)
        return _train(run, {"model": str(weights)}, weights_sha256=_hash_weights(weights))
    if _epochs_done(run) >= run.config.epochs:
        return _finish(run, weights_sha256={})
    return _train(run, {"model": str(run.last), "resume": str(run.last)}, weights_sha256={})


def choose_device(device: str | None) -> str:
    """The device that was asked for, or the first CUDA device, or the CPU."""
    if device is not None:
        return device
    return "0" if torch.cuda.is_available() else "cpu"


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
        "copy_paste": 0.0,
        "erasing": 0.0,
    }
    if config.learning_rate is not None:
        settings["lr0"] = config.learning_rate
    return settings


def _amp(precision: str, device: str) -> bool | str:
    if device == "cpu" or precision == "fp32":
        return False  # bfloat16 on a CPU is done by XrayTrainer: ultralytics refuses it there
    if precision == "bf16" or torch.cuda.is_bf16_supported():
        return "bf16"
    return True


def _train(run: Run, start: dict[str, Any], *, weights_sha256: dict[str, str]) -> Run:
    config = run.config
    tracker = open_tracker(run)
    try:
        trainer = XrayTrainer(
            overrides=overrides_of(config, run.folder) | start,
            cpu_bf16=config.precision == "bf16",
            cpu_workers=min(config.workers, 1),
        )
        tracker.follow(trainer)
        trainer.train()
    except torch.cuda.OutOfMemoryError:
        raise ModelError(f"{run.folder}: out of GPU memory; resume with a smaller batch or image size") from None
    except (RuntimeError, FileNotFoundError) as error:
        raise ModelError(f"{run.folder}: training failed: {_one_line(error)}") from error
    return _finish(run, weights_sha256=weights_sha256, tracker=tracker)


def _finish(run: Run, *, weights_sha256: dict[str, str], tracker: Tracker | None = None) -> Run:
    if not run.best.is_file():
        raise ModelError(f"{run.folder}: no weights were written; look at the training log for the reason")
    manifest = Manifest(
        step="train",
        config=run.config.model_dump(mode="json"),
        inputs={f"data/{FILE_NAME}": hash_inputs(run.config.data / FILE_NAME)[FILE_NAME]} | weights_sha256,
        outputs={"weights/best.pt": hash_inputs(run.best)["best.pt"]},
        counts={"data": read_manifest(run.config.data).counts, "epochs": _epochs_done(run)},
        seed=run.config.seed,
        versions=versions_of("ultralytics", "torch", "numpy"),
    )
    write_manifest(run.folder, manifest)
    if tracker is not None:
        tracker.close(run)
    return run


def _hash_weights(weights: Path) -> dict[str, str]:
    return {} if weights.suffix == ".yaml" else hash_inputs(weights)


def _require_data(config: DetectConfig) -> None:
    if not (config.data / DATA_FILE).is_file():
        raise DataError(f"{config.data}: no data set here; build it with `python -m data_prep.build_yolo` first")
    read_manifest(config.data)


def _epochs_done(run: Run) -> int:
    results = run.folder / "results.csv"
    return max(0, len(results.read_text(encoding="utf-8").splitlines()) - 1) if results.is_file() else 0


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
