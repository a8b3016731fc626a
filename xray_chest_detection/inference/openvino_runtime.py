"""ONNX files and OpenVINO models run by OpenVINO. The only module that knows it; its package is an extra."""

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.errors import DependencyError, ModelError
from xray_chest_detection.inference.network import Port, reason

try:
    import openvino as ov
except ModuleNotFoundError:
    raise DependencyError("OpenVINO is not installed; install it: pip install -e '.[openvino]'") from None

_TYPES: dict[str, type[np.floating[Any]]] = {"f32": np.float32, "f16": np.float16}


class OpenvinoNetwork:
    """A compiled model of OpenVINO as a `Network`."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
        self._requests = threading.local()  # a request of OpenVINO serves one image at a time
        self.inputs = tuple(_port(entry) for entry in compiled.inputs)
        self.output = _port(compiled.outputs[0])

    def run(self, tensor: NDArray[Any]) -> NDArray[np.float32]:
        """The first output for one input."""
        request = getattr(self._requests, "request", None)
        if request is None:
            request = self._requests.request = self._compiled.create_infer_request()
        return np.asarray(request.infer([tensor])[0], np.float32)


def open_openvino(path: Path, *, threads: int | None, fast: bool) -> OpenvinoNetwork:
    """Open an ONNX file or an OpenVINO model.

    Args:
        path: The file; an OpenVINO model is its `.xml`.
        threads: Threads for one image; None for every core.
        fast: Compute in bfloat16 where the CPU has it, not in float32.

    Raises:
        ModelError: It is neither, or damaged.
    """
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    if not fast:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    try:
        core = _core()
        return OpenvinoNetwork(core.compile_model(core.read_model(path), "CPU", settings))
    except Exception as error:  # the runtime's exceptions share no base class
        raise ModelError(
            f"{path}: cannot be opened by OpenVINO ({_last_line(error)}); fetch or export the model again"
        ) from None


def write_ir(onnx_file: Path, xml_file: Path) -> None:
    """Write an ONNX file in OpenVINO's own format: `xml_file`, and its weights as float16 in a `.bin` beside it.

    The file is read as it is; `openvino.convert_model` would do the same, and report it to its maker.

    Raises:
        ModelError: OpenVINO cannot read the file.
    """
    try:
        model = _core().read_model(onnx_file)
    except Exception as error:  # the runtime's exceptions share no base class
        raise ModelError(f"{onnx_file}: cannot be read by OpenVINO ({_last_line(error)})") from None
    ov.save_model(model, xml_file, compress_to_fp16=True)


@cache
def _core() -> ov.Core:
    """The one runtime of the process, which is never closed.

    Every runtime gives the thread that opens it a new stack for signals. Of two that are closed in the order they were
    opened, the second brings back the freed stack of the first, and the next signal, such as the end of a child
    process, kills the program.
    """
    return ov.Core()


def _port(entry: ov.ConstOutput) -> Port:
    kind = entry.get_element_type().get_type_name()
    shape = tuple(size.get_length() if size.is_static else None for size in entry.get_partial_shape())
    return Port(kind, shape, _TYPES.get(kind))


def _last_line(error: Exception) -> str:
    """OpenVINO begins with places in its own source and ends with what is wrong."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return reason(RuntimeError(lines[-1])) if lines else reason(error)
