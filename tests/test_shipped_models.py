"""The models in `checkpoints/` are what their cards say."""

from pathlib import Path

import pytest

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.data import NihConfig, YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.data.nih import read_nih
from xray_chest_detection.data.splits import SPLIT_FILE, read_split
from xray_chest_detection.data.views import make_view
from xray_chest_detection.data.yolo import write_yolo
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.evaluate import measure
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.inference.predict import predict_radiograph
from xray_chest_detection.inference.registry import Registry

ROOT = Path(__file__).parents[1]
NAMES = ("multi", "binary", "cardiomegaly", "mass_nodule")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(ROOT / "checkpoints", threads=1)  # two wait for each other on two cores


def test_all_four_are_there_and_small(registry: Registry) -> None:
    assert registry.names == NAMES
    assert registry.errors == {}
    assert sum(path.stat().st_size for path in (ROOT / "checkpoints").iterdir()) < 50e6


@pytest.mark.parametrize("name", NAMES)
def test_cards_tell_data_numbers_and_limits(registry: Registry, name: str) -> None:
    card = registry.get(name).card
    assert card.training_data.split_sha256 == sha256_of(ROOT / "datasets" / "splits" / "nih" / SPLIT_FILE)
    assert card.training_data.counts["train"]["patients"] > 0
    assert {"mAP50", "precision at the operating point"} <= {metric.name for metric in card.metrics}
    assert all(metric.split == "test" for metric in card.metrics)
    assert card.limits
    assert "not a medical device" in card.notice


def test_an_enlarged_heart_is_told_from_a_normal_one(registry: Registry) -> None:
    """Both films are drawings: this shows that the chain works, not how well the models read."""
    best = {}
    for kind in ("cardiomegaly", "normal"):
        film = read_image(ROOT / "images_for_inference" / f"synthetic_{kind}.png")
        marks = predict_radiograph(registry, film, models=["cardiomegaly"], conf=0.001)["models"]["cardiomegaly"]
        best[kind] = max((mark["score"] for mark in marks), default=0.0)
    assert best["cardiomegaly"] > 2 * best["normal"]


@pytest.mark.parametrize("name", NAMES)
def test_the_published_number_is_what_the_deployed_file_reaches(
    registry: Registry, name: str, pack: Path, tmp_path: Path
) -> None:
    config = read_config(YoloConfig, ROOT / "configs" / "data" / f"yolo_{name}.yaml")
    tables = read_nih(NihConfig(root=pack / "nih"))
    split = read_split(ROOT / "datasets" / "splits" / "nih")
    view = make_view(tables.images, tables.annotations, split, read_scheme(ROOT / config.scheme), config)
    write_yolo(view, tmp_path / "set", longest_side_px=None)
    films = read_labelled_split(tmp_path / "set", "test")
    session = registry.get(name)
    found = tuple(session.raw(read_image(path).pixels) for path in films.files)
    measured = measure(name, films, Candidates(films.image_id, found), session.card.thresholds, resamples=0)
    published = next(metric.value for metric in session.card.metrics if metric.name == "mAP50")
    if session.card.measured_on:  # these weights were trained on the films; their twin, which was measured, was not
        assert measured.value("mAP50") > published - 0.01
    else:
        assert measured.value("mAP50") == pytest.approx(published, abs=0.01)
