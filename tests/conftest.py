"""Fixtures of all tests. A test that cannot run here is skipped with its reason; XRAY_REQUIRE_ALL=1 makes it fail."""

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.model_card import ModelCard, Thresholds, TrainingData, write_card

os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # before ultralytics is imported: tests install nothing
REQUIRE_ALL = os.environ.get("XRAY_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _no_skips(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _no_skips(report)


def _no_skips(report: Any) -> Any:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"XRAY_REQUIRE_ALL=1 does not allow a skipped test: {reason}"
    return report


@pytest.fixture(autouse=True)
def _pillow_as_the_server_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """ultralytics replaces `Image.open` for the whole process; the page never runs in a process with ultralytics."""
    patches = sys.modules.get("ultralytics.utils.patches")
    if patches is not None:
        monkeypatch.setattr(Image, "open", patches._image_open)


@pytest.fixture(scope="session")
def pack() -> Path:
    """The folder with real data that XRAY_DATA_PACK names."""
    folder = os.environ.get("XRAY_DATA_PACK")
    if not folder:
        pytest.skip("XRAY_DATA_PACK does not name the folder with real data")
    return Path(folder)


@pytest.fixture
def make_model() -> Callable[..., Path]:
    """Writes a tiny detector with a fixed answer and its card; see `write_model`."""
    pytest.importorskip("onnx", reason="onnx, which builds the models of these tests, is not installed")
    return write_model


def write_model(
    folder: Path,
    name: str = "multi",
    *,
    head: np.ndarray | None = None,
    classes: tuple[str, ...] = ("Cardiomegaly", "Effusion"),
    size_px: int = 64,
    input_shape: tuple[int | str, ...] | None = None,
    output_shape: tuple[int | str, ...] | None = None,
    half: bool = False,
    follow_input: bool = False,
    **thresholds: Any,
) -> Path:
    """Write `<name>.onnx` and `<name>.card.yaml` and return the path of the card.

    The model answers every image with `head`, `(4 + classes, places)`. With `follow_input` the mean of the input
    tensor is added to every score.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    places = np.zeros((4 + len(classes), 3), np.float32) if head is None else np.asarray(head, np.float32)
    kind, dtype = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    weight = np.zeros((1, *places.shape), dtype)
    if follow_input:
        weight[:, 4:] = 1
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "weight"], ["scaled"]),
            helper.make_node("Add", ["scaled", "head"], ["output0"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("images", kind, input_shape or (1, 3, size_px, size_px))],
        [helper.make_tensor_value_info("output0", kind, output_shape or (1, *places.shape))],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(places[None].astype(dtype), "head")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    card = ModelCard(
        name=name,
        title=name.title(),
        file=path.name,
        sha256=sha256_of(path),
        architecture="fixed answer",
        image_size_px=size_px,
        classes=classes,
        thresholds=Thresholds(**{"conf": 0.25, "iou": 0.5, **thresholds}),
        training_data=TrainingData(name="none", source="none", licence="none", counts={}),
    )
    card_path = folder / f"{name}.card.yaml"
    write_card(card_path, card)
    return card_path
