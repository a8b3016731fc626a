"""Choosing a finding-free filter on validation images, and measuring on others what it is worth.

With some eighty validation boxes the best of many filters looks better than it is. So the choice is repeated without
each fold of the patients and used on that fold; only a gain there that is beyond chance counts (`helps`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.auroc import auroc
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.intervals import patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.normal_filter import NormalFilter, abnormality, filter_normals
from xray_chest_detection.core.numbers import FloatArray, image_rows, mean_over_classes, rounded, with_interval
from xray_chest_detection.core.scene import LOW_IOU, known_boxes
from xray_chest_detection.data.yolo_read import LabelledSplit

POWERS = (0.0, 0.25, 0.5, 1.0, 2.0)
REMOVED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # shares of the images that lose their marks

ObjectiveName = Literal["mAP40", "sensitivity"]


class FilterChoice(StrictModel):
    """A filter and what it did on the images it was chosen on.

    Attributes:
        filter: The best filter on all images.
        objective: What was maximised: `mAP40`, or `sensitivity` at one false positive per image and IoU 0.4.
        before: The objective without a filter.
        after: The objective with it, on the very images it was chosen on, which flatters.
        out_of_fold: The objective when each fold of the patients has the filter chosen without it.
        gain_low: Lower end of the 95 % interval of `out_of_fold` less `before`, paired by patient.
        gain_high: Its upper end.
        auroc: How well the filter's rule tells images with a box from those without; None when it is undefined.
        n_images: Images it was chosen on.
        n_boxes: True boxes on them.
        weights_sha256: The weights it was chosen for; empty for a cross-validation.
    """

    filter: NormalFilter
    objective: ObjectiveName
    before: float
    after: float
    out_of_fold: float
    gain_low: float
    gain_high: float
    auroc: float | None
    n_images: int
    n_boxes: int
    weights_sha256: str = ""

    @property
    def helps(self) -> bool:
        """Whether the way of choosing does better than no filter on patients it did not see, beyond chance.

        A filter hides marks, so it has to earn its place.
        """
        return self.gain_low > 0


@dataclass(frozen=True)
class Effect:
    """One number without and with the filter, on the same images.

    Attributes:
        name: Name of the number.
        before: Without the filter.
        after: With the filter.
        low: Lower end of the 95 % interval of the difference, paired by patient; None without resamples.
        high: Its upper end.
        perfect: With every mark on an image without a true box removed, and no other.
    """

    name: str
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    perfect: float | None


@dataclass(frozen=True, eq=False)
class Marked:
    """Images with their marks after suppression, and how abnormal a classifier finds them.

    Attributes:
        split: Images and true boxes.
        marks: Marks of each image from the lowest score up.
        given: `(I,)` scores of a classifier, or None.
    """

    split: LabelledSplit
    marks: tuple[Detections, ...]
    given: FloatArray | None = None

    @cached_property
    def abnormality(self) -> Mapping[str, FloatArray]:
        """Rule to abnormality `(I,)`: the classifier's if there is one, else those of the marks."""
        if self.given is not None:
            return {"given": self.given}
        return {
            "max": np.array([abnormality(found, "max") for found in self.marks]),
            "noisy_or": np.array([abnormality(found, "noisy_or") for found in self.marks]),
        }

    @cached_property
    def has_box(self) -> NDArray[np.bool_]:
        """`(I,)` whether an image has a true box."""
        return np.bincount(self.split.truth.image, minlength=len(self.marks)) > 0

    def filtered(self, chosen: Sequence[NormalFilter]) -> tuple[Detections, ...]:
        """The marks after the filter of each image, `(I,)`."""
        given: Sequence[float | None] = [None] * len(self.marks) if self.given is None else self.given.tolist()
        return tuple(
            filter_normals(found, one, given=value) for found, one, value in zip(self.marks, chosen, given, strict=True)
        )


def choose_filter(
    marked: Marked, folds: NDArray[np.int64], *, objective: ObjectiveName = "mAP40", weights_sha256: str = ""
) -> tuple[FilterChoice, tuple[Detections, ...]]:
    """Choose a filter on all images, and without each fold for that fold.

    Args:
        marked: Images to choose on.
        folds: `(I,)` the fold of each image, from 0; all images of a patient in one.
        objective: What is maximised.
        weights_sha256: The weights the marks come from.

    Returns:
        The choice, and the marks of each image after the filter that was chosen without its fold.
    """
    n_images, n_folds = len(folds), int(folds.max()) + 1
    rows = np.stack([np.ones(n_images), *(folds != number for number in range(n_folds))]).astype(np.float64)
    candidates = list(_candidates(marked))
    scores = np.stack([_objective(marked, [one] * n_images, objective, rows) for one in candidates])
    best = [candidates[int(np.nan_to_num(column).argmax())] for column in scores.T]  # of equal ones the first
    of_image = [best[1 + fold] for fold in folds]
    chosen = best[0]
    weights = image_rows(n_images, patient_weights(marked.split.patient))
    outside = _objective(marked, of_image, objective, weights)
    _, low, high = with_interval(outside - _objective(marked, candidates[:1] * n_images, objective, weights))
    separation = auroc(marked.abnormality[chosen.rule], marked.has_box, weights=rows[:1])[0]
    choice = FilterChoice(
        filter=chosen,
        objective=objective,
        before=round(float(scores[0, 0]), 5),
        after=round(float(np.nanmax(scores[:, 0])), 5),
        out_of_fold=round(float(outside[0]), 5),
        gain_low=low or 0.0,
        gain_high=high or 0.0,
        auroc=rounded(separation),
        n_images=n_images,
        n_boxes=len(marked.split.truth),
        weights_sha256=weights_sha256,
    )
    return choice, marked.filtered(of_image)


def effects(marked: Marked, after: Sequence[Detections], *, resamples: int, seed: int = 0) -> tuple[Effect, ...]:
    """What a filter did: mAP and FROC without it, with it, and with a perfect one.

    Args:
        marked: Images with their marks before the filter.
        after: Their marks after it.
        resamples: Resamples of the patients for the intervals of the differences; 0 leaves them out.
        seed: Seed of the resamples.
    """
    split = marked.split
    perfect = [
        found.select(np.full(len(found), right)) for found, right in zip(marked.marks, marked.has_box, strict=True)
    ]
    weights = patient_weights(split.patient, resamples=resamples, seed=seed) if resamples else None
    rows = image_rows(len(split.image_id), weights)
    old, new, best = (_numbers(split, found, rows) for found in (marked.marks, after, perfect))
    result = []
    for name in old:
        _, low, high = with_interval(new[name] - old[name])
        before, with_filter, ideal = (rounded(found[name][0]) for found in (old, new, best))
        result.append(Effect(name, before, with_filter, low, high, ideal))
    return tuple(result)


def _candidates(marked: Marked) -> Iterator[NormalFilter]:
    """No filter first, then from weak to strong.

    Thresholds are quantiles over all images, for every model has its own scores; no true box is looked at for them.
    """
    yield NormalFilter(rule="given" if marked.given is not None else "max")
    for rule, values in marked.abnormality.items():
        for threshold in sorted({round(float(np.quantile(values, share)), 6) if share else 0.0 for share in REMOVED}):
            for power in POWERS:
                if threshold or power:
                    yield NormalFilter(rule=rule, threshold=min(max(threshold, 0.0), 1.0), power=power)


def _objective(
    marked: Marked, chosen: Sequence[NormalFilter], objective: ObjectiveName, rows: FloatArray
) -> FloatArray:
    """The objective `(R,)` under image weights `(R, I)`, with the filter of each image."""
    records = _match(marked.split, marked.filtered(chosen), ious=(LOW_IOU,))
    if objective == "sensitivity":
        return metrics.sensitivity_at(matching.pool(records), (1.0,), weights=rows)[:, 0]
    return _mean_precision(records, rows)[:, 0]


def _numbers(split: LabelledSplit, marks: Sequence[Detections], rows: FloatArray) -> dict[str, FloatArray]:
    precision = _mean_precision(_match(split, marks, ious=(LOW_IOU, 0.5)), rows)
    pooled = matching.pool(_match(split, marks, ious=(LOW_IOU,)))
    sensitivity = metrics.sensitivity_at(pooled, metrics.FROC_RATES, weights=rows)
    froc = {f"sensitivity at {rate:g} FP/image": sensitivity[:, place] for place, rate in enumerate(metrics.FROC_RATES)}
    return {"mAP40": precision[:, 0], "mAP50": precision[:, 1]} | froc


def _mean_precision(records: Sequence[matching.Matches], rows: FloatArray) -> FloatArray:
    return mean_over_classes(np.stack([metrics.average_precision(one, weights=rows) for one in records]))


def _match(
    split: LabelledSplit, marks: Sequence[Detections], *, ious: tuple[float, ...]
) -> tuple[matching.Matches, ...]:
    truth = known_boxes(split.truth, split.unknown)
    found = known_boxes(BoxTable.from_detections(marks), split.unknown)
    return matching.match_classes(truth, found, n_classes=len(split.classes), ious=ious)
