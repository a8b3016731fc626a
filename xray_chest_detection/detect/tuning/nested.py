"""How good tuned thresholds really are: nested cross-validation by patient.

A threshold that is best on the validation boxes looks better there than it is. Choosing on all folds but one and
looking at the one left out, in turn, measures the way of choosing on patients it did not see. The model itself did not
train on any of them.

Source: Varma and Simon 2006, Bias in error estimation when using cross-validation for model selection.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.detect.thresholds import show
from xray_chest_detection.detect.tuning.grid import match_marks
from xray_chest_detection.detect.tuning.objectives import Measures, measure

FOLDS = 5

Chooser = Callable[[NDArray[np.bool_]], Thresholds]


@dataclass(frozen=True)
class Outside:
    """The marks of all folds, each at thresholds chosen without it.

    Attributes:
        at: How they do.
        chosen: The thresholds of each fold.
    """

    at: Measures
    chosen: tuple[Thresholds, ...]


def patient_folds(split: LabelledSplit, *, n_folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64] | None:
    """The fold of each image `(I,)`; all images of a patient are in one, and every fold has its share of each class.

    With fewer patients with boxes than folds there are as many folds as such patients; None with fewer than two.
    """
    patients, of_image = np.unique(np.array(split.patient), return_inverse=True)
    has_class = np.zeros((len(patients), len(split.classes)), np.bool_)
    has_class[of_image[split.truth.image], split.truth.class_id] = True
    boxed = has_class.any(axis=1)
    n_folds = min(n_folds, int(boxed.sum()))
    if n_folds < 2:
        return None
    fold = np.zeros(len(patients), np.int64)
    labels = np.column_stack([has_class, ~boxed])
    deal = MultilabelStratifiedKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(deal.split(labels, labels)):
        fold[held_out] = number
    return np.asarray(fold[of_image], np.int64)


def out_of_fold(candidates: Candidates, split: LabelledSplit, folds: NDArray[np.int64], choose: Chooser) -> Outside:
    """Measure the marks of every fold at thresholds chosen without it, all folds together.

    Args:
        candidates: What the model says about the images.
        split: Their true boxes.
        folds: `(I,)` the fold of each image, from 0.
        choose: Chooses thresholds on the images of a mask `(I,)`.
    """
    chosen = tuple(choose(folds != number) for number in range(int(folds.max()) + 1))
    shown = [_shown(candidates, image, chosen[fold], split) for image, fold in enumerate(folds)]
    return Outside(measure(match_marks(BoxTable.from_detections(shown), split)), chosen)


def measure_shown(candidates: Candidates, split: LabelledSplit, thresholds: Thresholds) -> Measures:
    """How the marks of the deployed model do at these thresholds."""
    return measure(match_marks(BoxTable.from_detections(show(candidates, thresholds, split.classes)), split))


def _shown(candidates: Candidates, image: int, thresholds: Thresholds, split: LabelledSplit) -> Detections:
    one = Candidates(candidates.image_id[image : image + 1], candidates.per_image[image : image + 1])
    return show(one, thresholds, split.classes)[0]
