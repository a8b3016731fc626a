"""What a choice of thresholds can maximise, and the numbers it is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xray_chest_detection.config.detect import ObjectiveName
from xray_chest_detection.core import metrics
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.metrics import RECALLS
from xray_chest_detection.core.scene import LOW_IOU

MATCH_IOUS = (0.5, LOW_IOU)
_AT_LOW = MATCH_IOUS.index(LOW_IOU)


@dataclass(frozen=True)
class Measures:
    """How the marks that are shown do.

    Attributes:
        map50: Mean AP at IoU 0.5 as training reports it (`reported_ap`).
        best_recall: Mean recall of the classes at the score where their mean F1 is highest, as training reports it.
        precision: Share of the shown boxes that are right at IoU 0.5, all classes together.
        recall: Share of the true boxes that are shown, all classes together.
        f1: Harmonic mean of the two.
        false_alarms_per_image: Wrong boxes per image.
        sensitivity40: `recall` at IoU 0.4.
        false_alarms40: `false_alarms_per_image` at IoU 0.4.
    """

    map50: float
    best_recall: float
    precision: float
    recall: float
    f1: float
    false_alarms_per_image: float
    sensitivity40: float
    false_alarms40: float


@dataclass(frozen=True)
class Objective:
    """What is maximised.

    Attributes:
        name: Which number.
        beta: How many times as much recall weighs as precision, for `f_beta`.
        rate: Wrong boxes per image that `sensitivity` allows.
    """

    name: ObjectiveName = "recall_map"
    beta: float = 2.0
    rate: float = 1.0

    @property
    def text(self) -> str:
        """In words, for cards and tables."""
        return {
            "recall_map": "mean of recall at the best F1 and mAP50",
            "f1": "F1 of all boxes at this operating point",
            "f_beta": f"F-beta of all boxes at this operating point, beta {self.beta:g}",
            "sensitivity": f"sensitivity at no more than {self.rate:g} false positives per image, IoU {LOW_IOU:g}",
            "map_then_f1": "suppression by mAP50 over all boxes, then score threshold by F1",
        }[self.name]

    def score(self, at: Measures) -> float:
        """The number that is maximised, in [0, 1]."""
        if self.name == "recall_map":
            return (at.best_recall + at.map50) / 2
        if self.name == "sensitivity":
            return at.sensitivity40
        return f_beta(at.precision, at.recall, beta=self.beta) if self.name == "f_beta" else at.f1

    def allows(self, at: Measures) -> bool:
        """Whether a point may be chosen at all."""
        return self.name != "sensitivity" or at.false_alarms40 <= self.rate + 1e-9

    def rank(self, at: Measures) -> tuple[bool, float]:
        """Larger is better: every allowed point before every other one, and of the others the quieter one."""
        allowed = self.allows(at)
        return allowed, round(self.score(at) if allowed else -at.false_alarms40, 9)

    def false_alarms(self, at: Measures) -> float:
        """Wrong boxes per image at the overlap of the objective."""
        return at.false_alarms40 if self.name == "sensitivity" else at.false_alarms_per_image


RECALL_MAP = Objective()


def measure(per_class: Sequence[Matches]) -> Measures:
    """Measure marks from the records of the classes at the overlaps `MATCH_IOUS`, over the same images."""
    found, found40 = (sum(int(matches.hit[row].sum()) for matches in per_class) for row in (0, _AT_LOW))
    shown = sum(len(matches.score) for matches in per_class)
    positives = sum(matches.n_positives for matches in per_class)
    n_images = max(len(per_class[0].positives), 1)
    reported = [reported_ap(matches) for matches in per_class if matches.n_positives]
    return Measures(
        map50=float(np.mean(reported)) if reported else 0.0,
        best_recall=metrics.best_f1_point(per_class)[2],
        precision=found / max(shown, 1),
        recall=found / max(positives, 1),
        f1=2 * found / max(shown + positives, 1),
        false_alarms_per_image=(shown - found) / n_images,
        sensitivity40=found40 / max(positives, 1),
        false_alarms40=(shown - found40) / n_images,
    )


def reported_ap(matches: Matches) -> float:
    """AP at the first overlap of a record with true boxes, as ultralytics reports it.

    It joins the points of the precision-recall curve by lines and integrates by trapezoids, where COCO
    (`core.metrics.average_precision`) takes steps and a mean: up to 0.01 apart when recall falls on a hundredth.

    Source: `compute_ap` in ultralytics/utils/metrics.py.
    """
    found = np.cumsum(matches.hit[0])
    if not len(found):
        return 0.0
    recall = found / matches.n_positives
    precision = found / np.arange(1, len(found) + 1)
    recall = np.concatenate(([0.0], recall, [recall[-1], 1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([1.0], precision, [0.0, 0.0]))[::-1])[::-1]
    heights = np.interp(RECALLS, recall, envelope)
    return float((heights[1:] + heights[:-1]).mean() / 2)


def f_beta(precision: float, recall: float, *, beta: float) -> float:
    """Weighted harmonic mean of precision and recall; 0 when both are 0.

    >>> round(f_beta(0.5, 1.0, beta=2.0), 4)
    0.8333

    Source: van Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    whole = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / whole if whole else 0.0
