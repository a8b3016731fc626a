"""Two runs on the same patients: the difference of every number, with its interval and p-value.

Both runs are measured on the same resamples of the patients, so that what makes a patient hard for both falls out of
the difference. The p-value is two-sided: twice the share of resamples in which the difference is zero or has the other
sign, with one added to both counts. It rests on the resamples the interval comes from, and says nothing about the
choice among many numbers.

Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 and 13.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xray_chest_detection.core.evaluation import Scores
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.intervals import EVALUATION_RESAMPLES, patient_weights
from xray_chest_detection.core.numbers import FloatArray, Number, rounded, with_interval
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.evaluate import labelled_without_box, score_candidates
from xray_chest_detection.detect.predict import Progress, require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import predict_deployed, read_thresholds, show
from xray_chest_detection.errors import DataError

_BOX_TOLERANCE = 1e-4  # shares of the image: what writing labels with six digits and another image size may change


@dataclass(frozen=True)
class Difference:
    """One number of both runs.

    Attributes:
        name: As in an evaluation.
        first: Its value for the first run; None where it is undefined.
        second: Its value for the second run.
        difference: Second less first.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Two-sided; None without resamples or where the difference is undefined.
        n_images: Images behind it.
        n_boxes: True boxes behind it.
    """

    name: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n_images: int
    n_boxes: int


@dataclass(frozen=True)
class Comparison:
    """All numbers of two runs on one split.

    Attributes:
        first: Name of the first run.
        second: Name of the second run.
        weights_sha256: Digests of their weights.
        split: Name of the split.
        classes: Class names.
        n_images: Images.
        n_patients: Patients.
        n_boxes: True boxes.
        resamples: Number of resamples; 0 without intervals.
        differences: One row a number.
    """

    first: str
    second: str
    weights_sha256: tuple[str, str]
    split: str
    classes: tuple[str, ...]
    n_images: int
    n_patients: int
    n_boxes: int
    resamples: int
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return vars(self) | {"differences": [vars(row) for row in self.differences]}


def compare(
    first: Run,
    second: Run,
    split_name: str = "test",
    *,
    resamples: int = EVALUATION_RESAMPLES,
    seed: int = 0,
    ious: Mapping[str, tuple[float, ...]] | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure two runs on the same resamples of the patients of a split.

    Args:
        first: A run with weights and thresholds.
        second: Another one, on the same images and true boxes.
        split_name: `test` or another split.
        resamples: Resamples of the patients; 0 leaves intervals and p-values out.
        seed: Seed of the resamples.
        ious: Overlaps of average precision, from `core.measures.parse_ious`; None for the usual ones.
        device: Torch device of the forward passes, if they are needed.
        progress: Wraps the images of a forward pass.

    Raises:
        DataError: The images, patients, classes or true boxes of the two runs differ, or a split cannot be used.
        ModelError: There are no thresholds, or weights do not fit their data.
    """
    splits = [read_labelled_split(run.config.data, split_name) for run in (first, second)]
    require_same_truth((first, splits[0]), (second, splits[1]))
    require_boxes(splits[0], purpose="a comparison")
    weights = patient_weights(splits[0].patient, resamples=resamples, seed=seed) if resamples else None
    scores = [
        _scores(run, split, weights=weights, ious=ious, device=device, progress=progress)
        for run, split in zip((first, second), splits, strict=True)
    ]
    return Comparison(
        first=first.folder.name,
        second=second.folder.name,
        weights_sha256=(sha256_of(first.weights), sha256_of(second.weights)),
        split=split_name,
        classes=splits[0].classes,
        n_images=len(splits[0].image_id),
        n_patients=len(set(splits[0].patient)),
        n_boxes=len(splits[0].truth),
        resamples=resamples,
        differences=tuple(difference(*pair) for pair in zip(*(one.numbers for one in scores), strict=True)),
    )


def difference(first: Number, second: Number) -> Difference:
    """The second number less the first, both under the same image weights."""
    delta = second.values - first.values
    return Difference(
        first.name,
        rounded(first.values[0]),
        rounded(second.values[0]),
        *with_interval(delta),
        p_value=p_value(delta),
        n_images=first.n_images,
        n_boxes=first.n_boxes,
    )


def p_value(delta: FloatArray) -> float | None:
    """Two-sided p-value of a difference and its resamples `(1 + R,)`; None where fewer than half are defined.

    >>> p_value(np.array([0.2, 0.1, 0.3, 0.2, -0.1]))
    0.8
    """
    defined = delta[1:][np.isfinite(delta[1:])]
    if not np.isfinite(delta[0]) or not len(defined) or len(defined) * 2 < len(delta) - 1:
        return None
    fewer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return rounded(min(1.0, 2 * (1 + fewer) / (1 + len(defined))))


def require_same_truth(first: tuple[Run, LabelledSplit], second: tuple[Run, LabelledSplit]) -> None:
    """Make sure that two runs are measured on the same images, patients, classes and true boxes.

    Raises:
        DataError: They are not; says what differs.
    """
    problem = _what_differs(first[1], second[1])
    if problem:
        raise DataError(
            f"{first[0].folder} and {second[0].folder}: {problem}; compare runs on views of one split with the same "
            "classes"
        )


def write_comparison(folder: Path, comparison: Comparison, markdown: str) -> list[Path]:
    """Write the comparison as JSON and as Markdown."""
    stem = f"comparison-{comparison.first}-{comparison.second}-{comparison.split}"
    paths = [folder / f"{stem}{suffix}" for suffix in (".json", ".md")]
    write_text(paths[0], json.dumps(comparison.to_dict(), indent=1) + "\n")
    write_text(paths[1], markdown)
    return paths


def _scores(
    run: Run,
    split: LabelledSplit,
    *,
    weights: FloatArray | None,
    ious: Mapping[str, tuple[float, ...]] | None,
    device: str | None,
    progress: Progress | None,
) -> Scores:
    thresholds = read_thresholds(run)
    candidates = predict_deployed(run, split, device=device, progress=progress)
    shown = show(candidates, thresholds, split.classes)
    labelled = labelled_without_box(run.config.data, split)
    return score_candidates(split, candidates, shown, thresholds, weights=weights, ious=ious, labelled=labelled)


def _what_differs(first: LabelledSplit, second: LabelledSplit) -> str | None:
    shared = set(first.image_id) & set(second.image_id)
    if first.image_id != second.image_id:
        counts = f"{len(first.image_id)} and {len(second.image_id)}, {len(shared)} of them shared"
        return f"the images of the split '{first.name}' differ ({counts})"
    if first.classes != second.classes:
        return f"the classes differ ({', '.join(first.classes)} and {', '.join(second.classes)})"
    if first.patient != second.patient:
        return f"the patients of the split '{first.name}' differ"
    if not _same_boxes(first, second) or not np.array_equal(first.unknown, second.unknown):
        return f"the true boxes of the split '{first.name}' differ"
    return None


def _same_boxes(first: LabelledSplit, second: LabelledSplit) -> bool:
    one, other = first.truth, second.truth
    if not np.array_equal(one.image, other.image) or not np.array_equal(one.class_id, other.class_id):
        return False
    here, there = (
        split.truth.xyxy / np.tile(np.array(split.sizes_px)[split.truth.image], 2) for split in (first, second)
    )
    return bool(np.allclose(here, there, rtol=0, atol=_BOX_TOLERANCE))
