"""What the pages say of the models: one line each for comparison, and the whole card."""

import re
from dataclasses import dataclass

from xray_chest_detection.core.model_card import Metric, ModelCard
from xray_chest_detection.web.curve import with_interval

AP50 = "mAP50"
FOUND = "recall at the operating point"
FALSE_MARKS = "false positives per image at the operating point"


@dataclass(frozen=True)
class Summary:
    """A model in one line.

    Attributes:
        card: Its card.
        ap50: Mean average precision at IoU 0.5.
        found: Share of the boxes that are found at the operating point.
        false_marks: Wrong boxes per film there.
        films: What these were measured on, in words.
    """

    card: ModelCard
    ap50: str
    found: str
    false_marks: str
    films: str


def summary_of(card: ModelCard) -> Summary:
    """The line of a model; what was not measured is a dash."""
    metrics = {metric.name: metric for metric in card.metrics}
    first = metrics.get(AP50)
    return Summary(
        card,
        ap50=_estimate(metrics.get(AP50)),
        found=_estimate(metrics.get(FOUND), percent=True),
        false_marks=_estimate(metrics.get(FALSE_MARKS)),
        films=f"{first.n_boxes} boxes on {first.n_images} films" if first and first.n_images and first.n_boxes else "–",
    )


def section_key(title: str) -> str:
    """The anchor of a section.

    >>> section_key("CLAIM 2024 check list")
    'claim-2024-check-list'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _estimate(metric: Metric | None, *, percent: bool = False) -> str:
    if metric is None or metric.value is None:
        return "–"
    return with_interval(metric.value, metric.low, metric.high, percent=percent)
