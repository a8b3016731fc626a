"""A model file, opened by one of the runtimes. Each runtime has its own module, imported when it is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.errors import ConfigError, ModelError

Runtime = Literal["onnxruntime", "openvino", "openvino-fast"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
IR_SUFFIX = ".xml"  # OpenVINO's own format, whose weights lie in a second file of this name
IR_WEIGHTS_SUFFIX = ".bin"


@dataclass(frozen=True)
class Port:
    """An input or output of a network.

    Attributes:
        kind: Type of its numbers, as the runtime calls it.
        shape: Its sizes; names and None are free sizes.
        dtype: The numpy type of its numbers; None when it is no type this program feeds.
    """

    kind: str
    shape: tuple[int | str | None, ...]
    dtype: type[np.floating[Any]] | None


class Network(Protocol):
    """A model that is ready to run on the CPU. Safe to share among threads.

    Attributes:
        inputs: What it takes.
        output: What it gives first.
    """

    inputs: tuple[Port, ...]
    output: Port

    def run(self, tensor: NDArray[Any]) -> NDArray[np.float32]:
        """The first output for one input. Raises whatever the runtime raises."""
        ...


def open_network(path: Path, *, runtime: Runtime | None = None, threads: int | None = None) -> Network:
    """Open a model file.

    Args:
        path: An ONNX file, or the `.xml` of an OpenVINO model with its `.bin` beside it.
        runtime: `openvino` computes in float32 as `onnxruntime` does, so both find the same boxes; `openvino-fast` lets
            OpenVINO compute in bfloat16 where the CPU has it. None takes onnxruntime for ONNX files.
        threads: Threads for one image; None lets the runtime use every core.

    Raises:
        ConfigError: There is no such runtime.
        DependencyError: The runtime is not installed.
        ModelError: The runtime cannot open the file.
    """
    chosen = runtime or ("openvino" if path.suffix == IR_SUFFIX else "onnxruntime")
    if chosen not in RUNTIMES:
        raise ConfigError(f"runtime: '{chosen}' is not known (known: {', '.join(RUNTIMES)})")
    if chosen == "onnxruntime":
        if path.suffix == IR_SUFFIX:
            raise ModelError(f"{path}: onnxruntime reads ONNX only; choose the runtime openvino, or export as ONNX")
        from xray_chest_detection.inference.onnx_runtime import open_onnx

        return open_onnx(path, threads=threads)
    from xray_chest_detection.inference.openvino_runtime import open_openvino

    return open_openvino(path, threads=threads, fast=chosen == "openvino-fast")


def reason(error: Exception) -> str:
    """The first line of what a runtime says; its exceptions share no base class and are long."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
