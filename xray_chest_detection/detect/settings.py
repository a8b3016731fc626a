"""A configuration as the settings of ultralytics, and the device it asks for."""

from pathlib import Path
from typing import Any

import torch

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.data.yolo import DATA_FILE
from xray_chest_detection.detect.augment.tones import tone_steps
from xray_chest_detection.errors import ConfigError

VALIDATION_CONF = 0.001  # a higher value cuts the precision-recall curve, and mAP is no longer comparable
VALIDATION_IOU = 0.7


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
