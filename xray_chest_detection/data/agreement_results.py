"""The agreement of readers as values: one row a class, one row a class and a pair of readers.

What the numbers mean is said in `data.agreement`, which measures them.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

Cell = str | int | float | None

ALL_CLASSES = "all classes"
ANY_FINDING = "any finding"


class Estimate(NamedTuple):
    """A number and its 95 % interval; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ClassAgreement:
    """All readers on one class, on all classes together, or on any finding.

    Attributes:
        class_name: The class, `all classes` or `any finding`.
        boxes: Boxes on images with several readers.
        prevalence: Share of the readings in which the class was drawn.
        match_rate_40: Match rate at IoU 0.4, over all pairs of readers.
        match_rate_50: The same at IoU 0.5.
        mean_iou: Mean overlap of the boxes matched at IoU 0.4.
        observed: Share of the pairs of readers of an image who agree on presence.
        presence_alpha: Krippendorff's alpha of presence.
        box_alpha: Krippendorff's alpha of boxes at IoU 0.4.
    """

    class_name: str
    boxes: int
    prevalence: float | None
    match_rate_40: Estimate
    match_rate_50: Estimate
    mean_iou: Estimate
    observed: float | None
    presence_alpha: Estimate
    box_alpha: Estimate


@dataclass(frozen=True)
class PairAgreement:
    """Two readers on one class, on the images that both read.

    Attributes:
        first: One reader.
        second: The other.
        class_name: The class, `all classes` or `any finding`.
        images: Images that both read.
        boxes_first: Boxes of the first reader on them.
        boxes_second: Boxes of the second reader.
        match_rate_40: Match rate at IoU 0.4.
        match_rate_50: The same at IoU 0.5.
        mean_iou: Mean overlap of the boxes matched at IoU 0.4.
        prevalence_first: Share of the images on which the first reader drew the class.
        prevalence_second: The same for the second reader.
        observed: Share of the images on which they agree on presence.
        kappa: Cohen's kappa of presence.
    """

    first: str
    second: str
    class_name: str
    images: int
    boxes_first: int
    boxes_second: int
    match_rate_40: Estimate
    match_rate_50: Estimate
    mean_iou: Estimate
    prevalence_first: float
    prevalence_second: float
    observed: float
    kappa: Estimate


@dataclass(frozen=True)
class Agreement:
    """The agreement of all readers.

    Attributes:
        images: Images read by two readers or more.
        patients: Patients they belong to; an image is its own patient where patients are not known.
        readers: Readers.
        resamples: Resamples behind the intervals; 0 without intervals.
        classes: One row a class, then `all classes` and `any finding`.
        pairs: One row a class and a pair of readers with an image in common.
    """

    images: int
    patients: int
    readers: int
    resamples: int
    classes: tuple[ClassAgreement, ...]
    pairs: tuple[PairAgreement, ...]


def flat(row: ClassAgreement | PairAgreement) -> dict[str, Cell]:
    """A row as plain values, the ends of each interval as two more columns `<name>_low` and `<name>_high`."""
    cells: dict[str, Cell] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, Estimate):
            cells |= {field.name: value.value, f"{field.name}_low": value.low, f"{field.name}_high": value.high}
        else:
            cells[field.name] = value
    return cells
