"""The card that travels with every model file: what it is, what it was trained on and how good or bad it is."""

import json
import math
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.errors import ModelError

CARD_SUFFIX = ".card.yaml"
SYNTHETIC_DATA = "synthetic radiographs"  # name of the training data of models that know drawings only
NOT_A_DEVICE = "Research software, not a medical device. Not for diagnosis."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Strict):
    """The operating point: non-maximum suppression of the deployed model.

    Attributes:
        conf: Score from which a box is shown.
        iou: Overlap above which the weaker box is dropped.
        agnostic: Whether boxes of different classes suppress each other.
        per_class: Score thresholds that replace `conf` for the named classes.
        chosen_on: The split the values were chosen on.
        objective: What was maximised.
        n_boxes: True boxes of each class that the choice rests on; empty on cards from before this was written.
        score: The objective on the very boxes it was maximised on, which flatters.
        out_of_fold_score: The objective on patients the thresholds were not chosen on, by nested cross-validation.
    """

    conf: float = Field(ge=0, le=1)
    iou: float = Field(ge=0, le=1)
    agnostic: bool = False
    per_class: dict[str, float] = Field(default_factory=dict)
    chosen_on: str = "val"
    objective: str = ""
    n_boxes: dict[str, int] = Field(default_factory=dict)
    score: float | None = None
    out_of_fold_score: float | None = None


class Metric(_Strict):
    """One measured number, with the interval where there is one.

    Attributes:
        name: For example `mAP50` or `AP50 Cardiomegaly`.
        value: The number; None when it is not defined (a class without boxes in the split).
        low: Lower end of the interval.
        high: Upper end of the interval.
        split: The split it was measured on.
        n_images: Number of images of that split.
        n_boxes: Number of ground truth boxes behind it.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    split: str = "test"
    n_images: int | None = None
    n_boxes: int | None = None


class CurvePoint(_Strict):
    """What a model does when its boxes are shown from one score, the same for every class.

    Attributes:
        conf: The score.
        sensitivity: Share of the true boxes that are found; None without true boxes.
        sensitivity_low: Lower end of the interval; None where the intervals were left out.
        sensitivity_high: Upper end.
        false_positives_per_image: Wrong boxes per image, images without a finding included.
        false_positives_per_image_low: Lower end of the interval.
        false_positives_per_image_high: Upper end.
        precision: Share of the shown boxes that are right; None where none is shown.
    """

    conf: float = Field(ge=0, le=1)
    sensitivity: float | None
    sensitivity_low: float | None = None
    sensitivity_high: float | None = None
    false_positives_per_image: float
    false_positives_per_image_low: float | None = None
    false_positives_per_image_high: float | None = None
    precision: float | None = None


class OperatingCurve(_Strict):
    """What a model does at every score threshold, measured on one split.

    Attributes:
        split: The split.
        n_images: Its images, those without a box included.
        n_boxes: Its true boxes.
        n_patients: Its patients.
        iou: Overlap from which a true box of the same class is found.
        points: By rising score.
    """

    split: str
    n_images: int
    n_boxes: int
    n_patients: int
    iou: float
    points: tuple[CurvePoint, ...]


class TrainingData(_Strict):
    """What the model was trained on: name, source, licence and counts per split.

    Attributes:
        name: What it is.
        source: Who published it.
        licence: What its publisher allows.
        counts: Split to counts of images, patients and boxes.
        split_sha256: Digest of the split by patient.
        readers: How many readers saw an image and how their boxes became one set; empty where it is not known.
    """

    name: str
    source: str
    licence: str
    counts: dict[str, Any]
    split_sha256: str | None = None
    readers: str = ""


class ModelCard(_Strict):
    """Everything a program needs to run a model and a person needs to judge it.

    Attributes:
        name: Key of the model, for example `mass_nodule`.
        title: Name for people, for example `Mass/Nodule`.
        task: What the model does.
        file: Name of the model file beside the card: ONNX, or the `.xml` of an OpenVINO model.
        sha256: Digest of that file.
        companions: Further files the model needs beside it, name to digest: the weights of an OpenVINO model.
        architecture: For example `YOLOv8n`.
        image_size_px: Side of the square network input.
        classes: Class names by class id.
        thresholds: The deployed operating point.
        tiles: Parts of the film that are looked at beside the whole; None for the whole film only.
        flip: Whether the network also looks at the mirrored film, and both answers are fused.
        score_maps: Slope and offset on the logit of the score by class, applied after the fusion and before the
            thresholds; a class that is not named keeps its scores.
        training_data: What it was trained on.
        recipe: The main training settings.
        versions: Versions of the software it was trained with.
        metrics: Measured numbers on the test split, with the thresholds above where they need any.
        operating_curve: Sensitivity and false positives at every score on the test split; None where not measured.
        measured_on: What the numbers and thresholds were found on when it was not these weights, in plain words; empty
            when it was.
        limits: What it must not be used for and where it fails.
        licence: Licence of the weights.
        created: Date of training, ISO 8601.
        notice: Shown wherever a finding is shown.
    """

    name: str
    title: str
    task: Literal["detect"] = "detect"
    file: str
    sha256: str
    companions: dict[str, str] = Field(default_factory=dict)
    architecture: str
    image_size_px: int = Field(gt=0)
    classes: tuple[str, ...]
    thresholds: Thresholds
    tiles: Tiles | None = None
    flip: bool = False
    score_maps: dict[str, tuple[float, float]] = Field(default_factory=dict)
    training_data: TrainingData
    recipe: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    operating_curve: OperatingCurve | None = None
    measured_on: str = ""
    limits: tuple[str, ...] = ()
    licence: str = "AGPL-3.0-only"
    created: str = ""
    notice: str = NOT_A_DEVICE

    @field_validator("score_maps")
    @classmethod
    def _rising(cls, maps: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (slope, offset) in maps.items():
            if not (math.isfinite(slope) and slope > 0 and math.isfinite(offset)):
                raise ValueError(f"the slope of '{name}' must be above 0 and both numbers finite")
        return maps


def read_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises:
        ModelError: The file is missing or is not a valid card.
    """
    try:
        return ModelCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); a model needs its card beside it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f"{place}: " if place else ""
        raise ModelError(f"{path}: {where}{first['msg']}; export the model again to renew its card") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ModelError(f"{path}: not a YAML file; export the model again to renew its card") from None


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card as YAML, whole or not at all; the operating curve stands at its end, a line a point."""
    content = card.model_dump(mode="json")
    curve = content.pop("operating_curve")
    text = _yaml(content)
    if curve is not None:
        points = curve.pop("points")
        text += _yaml({"operating_curve": curve}) + "  points:\n"
        text += "".join(f"  - {json.dumps(point)}\n" for point in points)
    write_text(path, text)


def check_file(path: Path, card: ModelCard) -> None:
    """Make sure that a model file and its companions are the ones its card describes.

    Raises:
        ModelError: A file is missing or differs from the card's sha256.
    """
    for name, wanted in {path.name: card.sha256, **card.companions}.items():
        file = path.parent / name
        if not file.is_file():
            raise ModelError(f"{file}: no such model file; its card {card.name}{CARD_SUFFIX} names it")
        digest = sha256_of(file)
        if digest != wanted:
            raise ModelError(
                f"{file}: sha256 {digest[:12]}... is not the card's {wanted[:12]}...; fetch or export the model again"
            )


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
