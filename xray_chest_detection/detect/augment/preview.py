"""One training film under each augmentation of a configuration alone, and under all of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from xray_chest_detection.config.detect import AugmentConfig, DetectConfig
from xray_chest_detection.data.yolo import DATA_FILE
from xray_chest_detection.detect.augment.tones import tone_steps
from xray_chest_detection.detect.dataset import XrayDataset, reading_like_the_demo
from xray_chest_detection.detect.noise import quiet
from xray_chest_detection.detect.settings import overrides_of
from xray_chest_detection.errors import DataError

_PARTNERS = 96  # films in memory, from which mosaic, mixup and copy_paste take
_DRAWS = 12  # of which the strongest is shown: a gamma near 1 shows nothing, and not every finding finds a place
_OFF: dict[str, Any] = {
    **dict.fromkeys(("mosaic", "mixup", "copy_paste", "erasing", "fliplr"), 0.0),
    **dict.fromkeys(("hsv_v", "degrees", "translate", "scale"), 0.0),
    "augmentations": [],
}


@dataclass(frozen=True, eq=False)
class Preview:
    """A film as the network would see it.

    Attributes:
        title: Key of the configuration with its value.
        pixels: `(H, W)` grey levels.
        xyxy: `(N, 4)` boxes in pixels.
        class_id: `(N,)` their classes.
    """

    title: str
    pixels: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    class_id: NDArray[np.int64]


def preview(config: DetectConfig, *, film: str | None = None, seed: int = 0) -> list[Preview]:
    """The film as it is, under each augmentation alone, and under all of the configuration together.

    What happens with a probability is shown as it looks when it happens, also where the configuration leaves it out;
    what has a strength is shown only where the strength is above 0. Of twelve draws the one is shown that changes the
    film most; all together are shown in two draws just as they come.

    Args:
        config: A training.
        film: Image id of a training film; when not given, the first that has a finding.
        seed: Seed of all random choices.

    Raises:
        DataError: The data set is missing or damaged, has no finding, or no such film.
    """
    if not (config.data / DATA_FILE).is_file():
        raise DataError(f"{config.data / DATA_FILE}: no such file; make it with data_prep.build_yolo")
    with quiet():
        return _previews(config, film, seed)


def _previews(config: DetectConfig, film: str | None, seed: int) -> list[Preview]:
    dataset = _dataset(config)
    index = _index(dataset, config.data, film)
    for partner in np.linspace(0, len(dataset) - 1, min(_PARTNERS, len(dataset))).astype(int).tolist():
        dataset.load_image(partner)
    first = _draw(dataset, index, "as it is", {}, seed)
    shown = [first]
    for title, changes in _steps(config.augment):
        drawn = [_draw(dataset, index, title, changes, seed + number) for number in range(_DRAWS)]
        shown.append(max(drawn, key=lambda film: np.abs(film.pixels.astype(int) - first.pixels).mean()))
    together = {key: value for key, value in overrides_of(config, config.runs).items() if key in _OFF}
    return [*shown, *(_draw(dataset, index, "all of them", together, seed + _DRAWS + number) for number in range(2))]


def _steps(augment: AugmentConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    chances = {"erasing": "erasing", "copy_paste": "copy_paste", "mosaic": "mosaic", "mixup": "mixup"}
    for key, name in (chances | {"flip_horizontal": "fliplr"}).items():
        yield _titled(key, getattr(augment, key)), {name: 1.0}
    for key in ("clahe", "gamma", "noise"):
        yield _titled(key, getattr(augment, key)), {"augmentations": tone_steps(AugmentConfig(**{key: 1.0}))}
    strengths = {"brightness": "hsv_v", "rotate_deg": "degrees", "translate": "translate", "rescale": "scale"}
    for key, name in strengths.items():
        value = getattr(augment, key)
        if value > 0:
            yield f"{key} {value:g}", {name: value}


def _titled(key: str, probability: float) -> str:
    return f"{key} {probability:g}" if probability > 0 else f"{key} (off)"


def _dataset(config: DetectConfig) -> XrayDataset:
    data = check_det_dataset(str(config.data / DATA_FILE))
    cfg = get_cfg(overrides=overrides_of(config, config.runs) | _OFF | {"cache": False})
    with reading_like_the_demo():
        dataset: XrayDataset = build_yolo_dataset(cfg, data["train"], max(config.batch, _PARTNERS), data, mode="train")
    return dataset


def _index(dataset: XrayDataset, folder: Path, film: str | None) -> int:
    if film is None:
        found = [index for index, label in enumerate(dataset.labels) if len(label["cls"])]
        problem = f"{folder}: no training film has a finding"
    else:
        found = [index for index, file in enumerate(dataset.im_files) if Path(file).stem == film]
        problem = f"{folder}: no training film '{film}'; index.csv lists the films"
    if not found:
        raise DataError(problem)
    return found[0]


def _draw(dataset: XrayDataset, index: int, title: str, changes: dict[str, Any], seed: int) -> Preview:
    dataset.transforms = dataset.build_transforms(get_cfg(overrides=_OFF | changes))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- what ultralytics draws from
    torch.manual_seed(seed)
    sample = dataset[index]
    height, width = sample["img"].shape[1:]
    boxes = sample["bboxes"].numpy()
    half = boxes[:, 2:] / 2
    xyxy = np.hstack([boxes[:, :2] - half, boxes[:, :2] + half]) * (width, height, width, height)
    return Preview(title, sample["img"][0].numpy(), xyxy, sample["cls"][:, 0].numpy().astype(np.int64))
