"""From a run to a deployable model: ONNX and card, written only when the ONNX model says what the torch model says."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx

from xray_chest_detection.core import boxes, matching, metrics
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import atomic_path, sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import CARD_SUFFIX, ModelCard, write_card
from xray_chest_detection.core.nms import nms
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.card import make_card
from xray_chest_detection.detect.noise import quiet
from xray_chest_detection.detect.onnx_half import store_weights_as_half
from xray_chest_detection.detect.predict import Candidates, load_model, predict_split
from xray_chest_detection.detect.results import read_metrics
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import read_thresholds
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.decode import FLOOR
from xray_chest_detection.inference.session import DetectorSession

OPSET = 17
MAX_MAP50_CHANGE = 0.01
COMPARED_FROM = 0.05  # boxes with lower scores are not compared one by one

Precision = Literal["fp16", "fp32"]
Progress = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True)
class Parity:
    """How far the exported model is from the torch model on the validation split.

    Attributes:
        n_images: Number of images compared.
        n_boxes: Boxes of the torch model with a score of at least 0.05, after suppression.
        without_partner: Of these, boxes the exported model lacks.
        largest_box_px: Largest difference of a coordinate between partners, in pixels of the image.
        largest_score: Largest difference of scores between partners.
        map50_torch: mAP50 of the torch model.
        map50_onnx: mAP50 of the exported model.
    """

    n_images: int
    n_boxes: int
    without_partner: int
    largest_box_px: float
    largest_score: float
    map50_torch: float
    map50_onnx: float

    @property
    def map50_change(self) -> float:
        """How much mAP50 changes, without sign."""
        return abs(self.map50_onnx - self.map50_torch)


@dataclass(frozen=True)
class Exported:
    """A written model: its file, its card and how it compares."""

    path: Path
    card: ModelCard
    parity: Parity
    size_bytes: int


def export(
    run: Run,
    *,
    out: Path,
    name: str | None = None,
    precision: Precision = "fp16",
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write `<name>.onnx` and `<name>.card.yaml`.

    Args:
        run: A run with weights and thresholds.
        out: Folder of the two files.
        name: Key of the model; the run's name when not given.
        precision: `fp16` stores the weights in half the space, arithmetic stays float32; `fp32` stores them whole.
        force: Write the model even when mAP50 on val changes by more than 0.01.
        progress: Wraps the images of the comparison.

    Raises:
        DataError: The validation split is missing, or the files cannot be written.
        ModelError: The weights cannot be exported, there are no thresholds, or the exported model differs too much.
    """
    name = name or run.config.name
    thresholds, split = read_thresholds(run), read_labelled_split(run.config.data, "val")
    with tempfile.TemporaryDirectory(prefix="xray-export-") as temporary:
        file = Path(temporary) / f"{name}.onnx"
        architecture = _write_onnx(run, split, file, precision=precision)
        card = make_card(
            run,
            name=name,
            file=file.name,
            sha256=sha256_of(file),
            architecture=architecture,
            classes=split.classes,
            thresholds=thresholds,
            metrics=read_metrics(run),
            export={"precision": precision, "opset": OPSET},
        )
        card_path = file.with_name(f"{name}{CARD_SUFFIX}")
        write_card(card_path, card)
        parity = compare(run, split, DetectorSession(card_path), progress=progress)
        if parity.map50_change > MAX_MAP50_CHANGE and not force:
            raise ModelError(
                f"{run.folder}: as ONNX ({precision}) mAP50 on val goes from {parity.map50_torch:.3f} to "
                f"{parity.map50_onnx:.3f}, more than {MAX_MAP50_CHANGE:g}; try --precision fp32, or --force to keep it"
            )
        described = {"precision": precision, "opset": OPSET, "parity_on_val": _rounded(asdict(parity))}
        card = card.model_copy(update={"recipe": card.recipe | {"export": described}})
        return Exported(_publish(file, out, card), card, parity, file.stat().st_size)


def compare(run: Run, split: LabelledSplit, session: DetectorSession, *, progress: Progress | None = None) -> Parity:
    """Compare an exported model with the torch model, image by image, through the same letterbox and suppression."""
    expected = predict_split(run, split, progress=progress)
    paths = progress(split.files, len(split.files)) if progress else split.files
    got = Candidates(split.image_id, tuple(session.raw(read_image(path).pixels) for path in paths))
    modes: dict[str, Any] = {"iou": session.card.thresholds.iou, "agnostic": session.card.thresholds.agnostic}
    count, lacking, largest_box, largest_score = 0, 0, 0.0, 0.0
    for first, second in zip(expected.per_image, got.per_image, strict=True):
        wanted = nms(first, conf=COMPARED_FROM, **modes)
        partner = _partners(wanted, nms(second, conf=COMPARED_FROM / 2, **modes))
        count += len(wanted)
        for row, other, other_score in partner:
            if other is None:
                lacking += 1
                continue
            largest_box = max(largest_box, float(np.abs(wanted.xyxy[row] - other).max()))
            largest_score = max(largest_score, abs(float(wanted.score[row]) - other_score))
    return Parity(
        n_images=len(split.files),
        n_boxes=count,
        without_partner=lacking,
        largest_box_px=largest_box,
        largest_score=largest_score,
        map50_torch=_map50(expected, split, **modes),
        map50_onnx=_map50(got, split, **modes),
    )


def _write_onnx(run: Run, split: LabelledSplit, file: Path, *, precision: Precision) -> str:
    """Write the ONNX file and return the architecture's name."""
    model = load_model(run.weights, classes=split.classes, device="cpu")
    architecture = Path(str(getattr(model, "yaml", {}).get("yaml_file", "detector"))).stem.replace("yolo", "YOLO")
    exported = _export_with_ultralytics(run, file.parent)
    del exported.metadata_props[:]  # it holds paths of this machine; the card says what a reader needs
    halved = store_weights_as_half(exported) if precision == "fp16" else exported
    onnx.checker.check_model(halved)
    onnx.save(halved, file)
    return architecture


def _export_with_ultralytics(run: Run, folder: Path) -> onnx.ModelProto:
    from ultralytics import YOLO

    weights = folder / "model.pt"  # ultralytics writes the ONNX file beside the weights
    shutil.copyfile(run.weights, weights)
    settings: dict[str, Any] = {"format": "onnx", "opset": OPSET, "imgsz": run.config.image_size_px}
    try:
        with quiet():
            written = YOLO(weights).export(**settings, simplify=False, dynamic=False, batch=1, device="cpu")
        return onnx.load(written)
    except Exception as error:  # torch, onnx and ultralytics raise errors of every kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{run.weights}: cannot be exported ({reason}); check `xray env` for the versions") from error


def _publish(file: Path, out: Path, card: ModelCard) -> Path:
    """Put the model and then its card into their folder, each whole or not at all."""
    target = out / file.name
    with atomic_path(target) as temporary:
        shutil.copyfile(file, temporary)
    write_card(out / f"{card.name}{CARD_SUFFIX}", card)
    return target


def _partners(wanted: Detections, found: Detections) -> Iterator[tuple[int, np.ndarray[Any, Any] | None, float]]:
    """For each wanted box the box of the same class it overlaps most, if by at least a half, and its score."""
    overlaps = boxes.iou(wanted.xyxy.astype(np.float64), found.xyxy.astype(np.float64))
    overlaps[wanted.class_id[:, None] != found.class_id[None, :]] = 0
    for row in range(len(wanted)):
        best = int(overlaps[row].argmax()) if len(found) else -1
        if best < 0 or overlaps[row, best] < 0.5:
            yield row, None, 0.0
        else:
            yield row, found.xyxy[best], float(found.score[best])


def _map50(candidates: Candidates, split: LabelledSplit, *, iou: float, agnostic: bool) -> float:
    found = candidates.table(conf=FLOOR, iou=iou, agnostic=agnostic)
    per_class = matching.match_classes(split.truth, found, n_classes=len(split.classes))
    values = np.array([metrics.average_precision(matches)[0, 0] for matches in per_class])
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
