"""ONNX files run by ONNX Runtime, which `requirements.txt` installs. Nothing else in `inference` knows it."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.network import Port, reason

_TYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """A session of ONNX Runtime as a `Network`."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self.inputs = tuple(_port(entry) for entry in session.get_inputs())
        self.output = _port(session.get_outputs()[0])
        self._name = str(session.get_inputs()[0].name)

    def run(self, tensor: NDArray[Any]) -> NDArray[np.float32]:
        """The first output for one input."""
        return np.asarray(self._session.run(None, {self._name: tensor})[0], np.float32)


def open_onnx(path: Path, *, threads: int | None) -> OnnxNetwork:
    """Open an ONNX file.

    Raises:
        ModelError: It is none, or damaged.
    """
    options = ort.SessionOptions()
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Weights lie outside the arena, which would keep what is freed while a model is opened.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.enable_mem_pattern = False  # a pattern is a block of its own for each model
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return OnnxNetwork(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # the runtime's exceptions share no base class
        raise ModelError(
            f"{path}: cannot be opened as ONNX ({reason(error)}); fetch or export the model again"
        ) from None


@cache
def _share_arena() -> None:
    """Make one arena for all models of the process.

    Four YOLOv8s at 800 px, one after another or two at a time, take 331 and 413 MB at the most with one arena, 491 and
    661 MB without any, at the same speed. An arena for each model keeps the largest peak of each for ever.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))


def _port(entry: ort.NodeArg) -> Port:
    return Port(entry.type, tuple(entry.shape), _TYPES.get(entry.type))
