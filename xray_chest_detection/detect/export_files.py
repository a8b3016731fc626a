"""The file formats a run can be exported to, each made from the same float32 ONNX model."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import letterbox
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.card import architecture_of
from xray_chest_detection.detect.ensemble import members_of
from xray_chest_detection.detect.noise import quiet
from xray_chest_detection.detect.onnx_half import store_weights_as_half
from xray_chest_detection.detect.onnx_mean import mean_of
from xray_chest_detection.detect.predict import load_model
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.weights import write_checkpoint
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.decode import to_unit
from xray_chest_detection.inference.network import IR_SUFFIX

OPSET = 17

Format = Literal["fp32", "fp16", "int8", "openvino"]
FORMATS: tuple[Format, ...] = get_args(Format)


def float_onnx(run: Run, split: LabelledSplit, folder: Path) -> tuple[onnx.ModelProto, str]:
    """The run's model as float32 ONNX, and the name of its architecture.

    Args:
        run: A run with weights.
        split: A split of its data set, whose classes the weights must have.
        folder: A folder for ultralytics to write in.

    Raises:
        ModelError: The weights cannot be exported, or were trained on other classes.
    """
    model = load_model(run.weights, classes=split.classes, device="cpu")
    architecture = architecture_of(model)
    exported = _export_with_ultralytics(run, folder)
    del exported.metadata_props[:]  # it holds paths of this machine; the card says what a reader needs
    return exported, architecture


def write_format(model: onnx.ModelProto, form: Format, path: Path, *, split: LabelledSplit, size_px: int) -> Path:
    """Write a model in one of the formats.

    Args:
        model: The float32 ONNX model.
        form: `fp32` as it is; `fp16` with weights stored in half the space and float32 arithmetic; `int8` quantized,
            with scales from images of the split; `openvino` in OpenVINO's own format, with weights stored as float16.
        path: Name of the file without suffix.
        split: Where the images for the scales come from.
        size_px: Side of the network input.

    Returns:
        The file; an OpenVINO model has its weights in a `.bin` beside it.
    """
    file = path.with_name(f"{path.name}{suffix_of(form)}")
    if form == "openvino":
        from xray_chest_detection.inference.openvino_runtime import write_ir

        whole = path.with_name(f"{path.name}-whole.onnx")
        onnx.save(model, whole)
        write_ir(whole, file)
        whole.unlink()
        return file
    if form == "int8":
        from xray_chest_detection.detect.onnx_int8 import quantise

        model = quantise(model, _network_inputs(split, size_px))
    elif form == "fp16":
        model = store_weights_as_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file


def suffix_of(form: Format) -> str:
    """Suffix of a format's main file."""
    return IR_SUFFIX if form == "openvino" else ".onnx"


def _export_with_ultralytics(run: Run, folder: Path) -> onnx.ModelProto:
    settings: dict[str, Any] = {"format": "onnx", "opset": OPSET, "imgsz": run.config.image_size_px}
    checkpoints = _checkpoints(run, folder)
    try:
        return mean_of([_one_network(weights, settings) for weights in checkpoints])
    except Exception as error:  # torch, onnx and ultralytics raise errors of every kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{run.weights}: cannot be exported ({reason}); check `xray env` for the versions") from error


def _one_network(weights: Path, settings: dict[str, Any]) -> onnx.ModelProto:
    from ultralytics import YOLO

    with quiet():
        written = YOLO(weights).export(**settings, simplify=False, dynamic=False, batch=1, device="cpu")
    return onnx.load(written)


def _checkpoints(run: Run, folder: Path) -> list[Path]:
    """Copies of the run's network or networks in a folder: ultralytics writes the ONNX file beside the weights."""
    if run.config.networks == 1:
        return [Path(shutil.copyfile(run.weights, folder / "network.pt"))]
    files = []
    for number, content in enumerate(members_of(run.weights)):
        files.append(folder / f"network{number}.pt")
        write_checkpoint(content, files[-1])
    return files


def _network_inputs(split: LabelledSplit, size_px: int) -> Sequence[np.ndarray[Any, np.dtype[np.float32]]]:
    """Inputs `(1, 3, S, S)` of images spread evenly over a split, as many as quantization asks for."""
    from xray_chest_detection.detect.onnx_int8 import CALIBRATION_IMAGES

    count = min(CALIBRATION_IMAGES, len(split.files))
    chosen = [split.files[number] for number in np.linspace(0, len(split.files) - 1, count).round().astype(int)]
    squares = (letterbox(read_image(path).pixels, size_px)[0] for path in chosen)
    return [np.ascontiguousarray(np.broadcast_to(to_unit(square), (1, 3, size_px, size_px))) for square in squares]
