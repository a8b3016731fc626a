"""The operating point of a run: the file it is kept in, and what a model shows at it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from pydantic import Field, ValidationError

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.errors import ModelError

THRESHOLDS_FILE = "thresholds.yaml"


class FoldChoice(StrictModel):
    """What was chosen without one fold of the patients.

    Attributes:
        conf: Score from which a box is shown.
        iou: Overlap above which the weaker box is dropped.
        agnostic: Whether classes suppress each other.
    """

    conf: float
    iou: float
    agnostic: bool


class OutOfFold(StrictModel):
    """How well the way of choosing does on patients it did not see.

    The patients are dealt into folds; thresholds are chosen on all folds but one and used on that one. The marks of all
    folds together are scored once.

    Attributes:
        folds: The choice made without each fold, in order.
        score: The objective on the marks of all held-out folds.
        optimism: Score on the boxes that were tuned on, less `score`.
        false_alarms_per_image: Wrong boxes per image among these marks, at the overlap of the objective.
    """

    folds: tuple[FoldChoice, ...]
    score: float
    optimism: float
    false_alarms_per_image: float


class TunedThresholds(StrictModel):
    """What tuning leaves behind in the run folder.

    Attributes:
        thresholds: The chosen operating point.
        score: Its value of the objective on the validation split.
        weights_sha256: The weights it was chosen for.
        n_images: Number of validation images.
        n_boxes: Number of true boxes on them.
        false_alarms_per_image: Wrong boxes per image at the overlap of the objective.
        out_of_fold: The honest number; None when fewer than two patients have boxes.
        remarks: What the user should know about the choice, one sentence each.
    """

    thresholds: Thresholds
    score: float
    weights_sha256: str
    n_images: int = Field(ge=1)
    n_boxes: int = Field(ge=1)
    false_alarms_per_image: float | None = None
    out_of_fold: OutOfFold | None = None
    remarks: tuple[str, ...] = ()


def thresholds_path(run: Run) -> Path:
    """Where the chosen thresholds of a run are kept."""
    return run.folder / THRESHOLDS_FILE


def write_tuned(run: Run, tuned: TunedThresholds) -> Path:
    """Write what was chosen into the run folder."""
    write_text(thresholds_path(run), yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False))
    return thresholds_path(run)


def read_thresholds(run: Run) -> Thresholds:
    """The thresholds chosen for a run's present weights.

    Raises:
        ModelError: None were chosen, or they were chosen for other weights.
    """
    path, cure = thresholds_path(run), f"run `xray tune-nms {run.folder}` first"
    try:
        tuned = TunedThresholds.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(f"{path}: no thresholds chosen yet; {cure}") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValidationError):
        raise ModelError(f"{path}: damaged; {cure}") from None
    if tuned.weights_sha256 != sha256_of(run.weights):
        raise ModelError(f"{path}: chosen for other weights than {run.weights}; {cure}")
    return tuned.thresholds


def show(candidates: Candidates, thresholds: Thresholds, classes: Sequence[str]) -> tuple[Detections, ...]:
    """What the deployed model shows on each image; the same steps as `DetectorSession.detect`."""
    per_class = np.array([thresholds.per_class.get(name, thresholds.conf) for name in classes], np.float32)
    kept = tuple(found.select(found.score >= per_class[found.class_id]) for found in candidates.per_image)
    return Candidates(candidates.image_id, kept).suppressed(conf=0.0, iou=thresholds.iou, agnostic=thresholds.agnostic)
