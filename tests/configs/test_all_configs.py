"""Every file under configs/ is valid input of its command."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.chest_gate import ChestGateConfig
from xray_chest_detection.config.data import NihConfig, SplitConfig, YoloConfig
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.config.dicom_to_png import DicomToPngConfig
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.config.unite import UniteConfig
from xray_chest_detection.config.vinbigdata import VinBigDataConfig
from xray_chest_detection.core.model_card import read_card
from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.detect.tuning.objectives import Objective

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").rglob("*.yaml"))


def model_of(path: Path) -> type[BaseModel]:
    if path.parent.name == "detect":
        return DetectConfig
    if path.parent.name == "schemes":
        return ClassScheme
    by_prefix = {
        "chest": ChestGateConfig,
        "nih": NihConfig,
        "sample": SampleConfig,
        "split": SplitConfig,
        "yolo": YoloConfig,
        "demo": DemoConfig,
        "vinbigdata": VinBigDataConfig,
        "unite": UniteConfig,
        "dicom": DicomToPngConfig,
    }
    return by_prefix[path.stem.partition("_")[0]]


@pytest.mark.parametrize("path", FILES, ids=[path.relative_to(ROOT).as_posix() for path in FILES])
def test_file_is_valid(path: Path) -> None:
    read_config(model_of(path), path)


@pytest.mark.parametrize("name", ["multi", "binary", "cardiomegaly", "mass_nodule"])
def test_original_recipe_is_kept(name: str) -> None:
    config = read_config(DetectConfig, ROOT / "configs" / "detect" / f"{name}.yaml")
    assert (config.weights, config.image_size_px, config.batch, config.epochs) == ("yolov8s.pt", 800, 64, 100)
    assert (config.warmup_epochs, config.optimizer, config.cosine, config.class_gain) == (15, "auto", True, 1.5)
    assert (config.augment.mosaic, config.augment.close_mosaic, config.augment.mixup) == (1.0, 15, 0.5)


@pytest.mark.parametrize("name", ["multi", "binary", "cardiomegaly", "mass_nodule"])
def test_recipe_of_a_shipped_model_deploys_it_as_its_card_says(name: str) -> None:
    config = read_config(DetectConfig, ROOT / "configs" / "detect" / f"{name}_cpu.yaml")
    card = read_card(ROOT / "checkpoints" / f"{name}.card.yaml")
    deployed = (card.image_size_px, card.tiles, card.flip, bool(card.score_maps))
    assert (config.image_size_px, config.tiles, config.flip_views, config.calibrate) == deployed
    assert card.thresholds.objective == Objective(config.after.objective, rate=config.after.rate).text


def test_every_config_says_why() -> None:
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in FILES)
