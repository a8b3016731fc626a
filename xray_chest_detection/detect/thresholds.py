"""What the deployed model makes of a run's network: views, score maps and the operating point, and their file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from pydantic import Field, ValidationError

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.score_maps import ScoreMap
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split
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


class Views(StrictModel):
    """How the deployed model looks at a film, and what it makes of the scores.

    Attributes:
        tiles: Parts of the film that are looked at beside the whole; None for the whole film only.
        flip: Whether the mirrored film is looked at, too.
        score_maps: Slope and offset on the logit by class; none keep the scores.
    """

    tiles: Tiles | None = None
    flip: bool = False
    score_maps: dict[str, ScoreMap] = Field(default_factory=dict)

    @property
    def told(self) -> tuple[str, ...]:
        """The same for people, a sentence each; none for the whole film as it is with the scores of the network.

        >>> Views(flip=True).told
        ('The model looks at the film as it is and mirrored, and fuses what it sees.',)
        """
        film = "the film" if self.tiles is None else f"the film and tiles of {self.tiles.side:g} of its longer side"
        looks = f"The model looks at {film}" + " as it is and mirrored, and fuses what it sees" * self.flip + "."
        maps = "Scores are mapped by class, by lines fitted on the split of the thresholds."
        return (*[looks] * (self.flip or self.tiles is not None), *[maps] * bool(self.score_maps))


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
        views: What the thresholds were chosen for.
    """

    thresholds: Thresholds
    score: float
    weights_sha256: str
    n_images: int = Field(ge=1)
    n_boxes: int = Field(ge=1)
    false_alarms_per_image: float | None = None
    out_of_fold: OutOfFold | None = None
    remarks: tuple[str, ...] = ()
    views: Views = Views()


def thresholds_path(run: Run) -> Path:
    """Where the chosen thresholds of a run are kept."""
    return run.folder / THRESHOLDS_FILE


def write_tuned(run: Run, tuned: TunedThresholds) -> Path:
    """Write what was chosen into the run folder."""
    write_text(thresholds_path(run), yaml.safe_dump(tuned.model_dump(mode="json"), sort_keys=False))
    return thresholds_path(run)


def read_thresholds(run: Run) -> Thresholds:
    """The thresholds of `read_tuned`."""
    return read_tuned(run).thresholds


def read_tuned(run: Run) -> TunedThresholds:
    """What was chosen for a run's present weights and views.

    Raises:
        ModelError: Nothing was chosen yet, or it was chosen for other weights or other views.
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
    if not _same_views(tuned.views, run.config):
        raise ModelError(f"{path}: chosen for other tiles, flip_views or calibrate than {run.folder} has now; {cure}")
    return tuned


def views_of(run: Run) -> Views:
    """How the deployed model of a run looks at a film.

    Raises:
        ModelError: The run has score maps by its configuration, but none were fitted yet.
    """
    maps = read_tuned(run).views.score_maps if run.config.calibrate else {}
    return Views(tiles=run.config.tiles, flip=run.config.flip_views, score_maps=maps)


def predict_deployed(
    run: Run, split: LabelledSplit, *, device: str | None = None, progress: Progress | None = None
) -> Candidates:
    """Candidates of the deployed model: views fused and scores mapped, before suppression.

    Arguments and errors as those of `predict_view` and `views_of`.
    """
    maps = views_of(run).score_maps
    return predict_split(run, split, device=device, progress=progress).mapped(maps, split.classes)


def show(candidates: Candidates, thresholds: Thresholds, classes: Sequence[str]) -> tuple[Detections, ...]:
    """What the deployed model shows on each image; the same steps as `DetectorSession.detect`."""
    per_class = np.array([thresholds.per_class.get(name, thresholds.conf) for name in classes], np.float32)
    kept = tuple(found.select(found.score >= per_class[found.class_id]) for found in candidates.per_image)
    return Candidates(candidates.image_id, kept).suppressed(conf=0.0, iou=thresholds.iou, agnostic=thresholds.agnostic)


def _same_views(views: Views, config: DetectConfig) -> bool:
    wanted = config.tiles, config.flip_views, config.calibrate
    return (views.tiles, views.flip, bool(views.score_maps)) == wanted
