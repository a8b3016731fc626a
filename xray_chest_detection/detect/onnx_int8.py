"""INT8 weights and activations in an ONNX file, scaled by what the network sees on real radiographs.

Static quantization in the QDQ form, which both runtimes read. Weights are scaled per channel, activations by the
99.999th percentile of their values on the calibration images: on the multiclass model of November 2026 their largest
values as the scale cost 0.015 to 0.026 of mAP50, the percentile less than 0.01. The detection head, whose last layers
become pixels and scores, stays in float32. On x86 CPUs without VNNI instructions sums of INT8 products can saturate (a
note of ONNX Runtime); compare on the CPU that will serve the model.
"""

import contextlib
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from xray_chest_detection.errors import ModelError

CALIBRATION_IMAGES = 64


def quantise(model: onnx.ModelProto, inputs: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """A copy of a detector that computes in INT8 up to its head.

    Args:
        model: A float32 detector whose nodes are named by module, as torch does it: `/model.22/...`.
        inputs: At least one network input `(1, 3, S, S)` to take the scales from; they take no labels.

    Raises:
        ModelError: Values inside the network hardly differ from zero, as in one that was never trained.
    """
    with tempfile.TemporaryDirectory(prefix="xray-int8-") as temporary, contextlib.redirect_stdout(io.StringIO()):
        whole, prepared, halved = (Path(temporary) / name for name in ("whole.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, whole)
        quant_pre_process(str(whole), str(prepared))
        try:
            quantize_static(
                str(prepared),
                str(halved),
                _Inputs(model.graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
                nodes_to_exclude=_head_nodes(onnx.load(prepared)),
                extra_options={"CalibStridedMinMax": 1},  # one image at a time: all activations of 64 fill gigabytes
            )
        except ValueError as error:  # of the histogram of a value inside the network
            raise ModelError(f"the network cannot be written as int8 ({error}); export it as fp16") from None
        return onnx.load(halved)


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Network inputs as the quantizer asks for them: by range, one by one."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self._name = name
        self._inputs = inputs
        self._range = iter(range(len(inputs)))

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._range = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        number = next(self._range, None)
        return None if number is None else {self._name: self._inputs[number]}


def _head_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of the last module, of each network: the detection head."""
    found = {node.name: re.search(r"/model\.(\d+)/", node.name) for node in model.graph.node}
    numbers = {name: int(match[1]) for name, match in found.items() if match}
    last = max(numbers.values())
    return [name for name, number in numbers.items() if number == last]
