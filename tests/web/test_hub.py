"""The models of a server process are loaded as the configuration says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.core.machine import usable_cores
from xray_chest_detection.inference.network import Runtime
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.web.app import create_app

HEAD = np.array([[32, 32, 16, 16, 0.9, 0.1]]).T


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"runtime": "onnxruntime", "threads": 1, "at_once": usable_cores()}),
        (
            {"runtime": "openvino-fast", "threads": None, "models_at_once": 3},
            {"runtime": "openvino-fast", "threads": None, "at_once": 3},
        ),
    ],
)
def test_runtime_and_threads_reach_the_models(
    config: dict[str, Any], expected: dict[str, Any], tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    make_model(tmp_path / "checkpoints", "multi", head=HEAD)
    asked: list[dict[str, Any]] = []

    def load(folder: Path, **options: Any) -> Registry:
        asked.append(options)
        return Registry.load(folder)

    app = create_app(DemoConfig(**config), root=tmp_path, load=load)
    assert list(app.extensions["models"].cards()) == ["multi"]
    assert asked == [expected]


def test_the_configuration_knows_the_runtimes() -> None:
    assert get_args(DemoConfig.model_fields["runtime"].annotation) == get_args(Runtime)
