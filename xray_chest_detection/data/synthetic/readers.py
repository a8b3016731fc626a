"""Simulated radiologists: the same finding, drawn by three people with different habits.

VinBigData's training images were each read independently by three of seventeen radiologists; three of them (R8, R9,
R10) read most images with findings. Source: Nguyen et al., VinDr-CXR, 2022, and the competition's train.csv.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLASS_IDS = {
    "Aortic enlargement": 0, "Atelectasis": 1, "Calcification": 2, "Cardiomegaly": 3, "Consolidation": 4, "ILD": 5,
    "Infiltration": 6, "Lung Opacity": 7, "Nodule/Mass": 8, "Other lesion": 9, "Pleural effusion": 10,
    "Pleural thickening": 11, "Pneumothorax": 12, "Pulmonary fibrosis": 13, "No finding": 14,
}  # fmt: skip
FROM_NIH = {
    "Aortic enlargement": "Aortic enlargement", "Atelectasis": "Atelectasis", "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Pleural effusion", "Infiltrate": "Infiltration", "Mass": "Nodule/Mass", "Nodule": "Nodule/Mass",
    "Pneumonia": "Consolidation", "Pneumothorax": "Pneumothorax",
}  # fmt: skip

_INVENTED = ("Nodule/Mass", "Pleural thickening", "Infiltration", "Pulmonary fibrosis", "Calcification", "Other lesion")
_OPACITIES = ("Atelectasis", "Consolidation", "Infiltration")
_BUSY = ("R8", "R9", "R10")

XyxyBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reader:
    """Habits of one radiologist.

    Attributes:
        name: `R1` .. `R17`.
        jitter: Error of every box edge relative to the side of the box.
        miss: Chance to overlook a finding; subtle ones are overlooked twice as often.
        invent: Chance to draw a box where nothing is.
        vague: Chance to call an opacity `Lung Opacity`.
        split: Chance to draw one finding as two overlapping boxes.
    """

    name: str
    jitter: float
    miss: float
    invent: float
    vague: float
    split: float


@dataclass(frozen=True)
class Truth:
    """One true finding: VinBigData's class name, its box in pixels (max exclusive), and how visible it is, 0.3..1."""

    class_name: str
    xyxy: XyxyBox
    contrast: float


def reader_pool() -> tuple[Reader, ...]:
    """The seventeen readers; their habits are the same in every data set."""
    habits = {
        "careful": (0.025, 0.04, 0.02, 0.10, 0.02),
        "sloppy": (0.10, 0.12, 0.05, 0.25, 0.05),
        "over-caller": (0.05, 0.03, 0.40, 0.30, 0.20),
        "misser": (0.04, 0.32, 0.01, 0.15, 0.0),
    }
    order = ("careful", "sloppy", "careful", "misser", "over-caller", "careful", "sloppy", "careful", "over-caller")
    return tuple(Reader(f"R{k + 1}", *habits[order[k % len(order)]]) for k in range(17))


def choose_readers(rng: np.random.Generator, *, sick: bool) -> tuple[Reader, ...]:
    """Three different readers; images with findings go mostly to R8, R9 and R10."""
    pool = reader_pool()
    weight = np.array([8.0 if sick and reader.name in _BUSY else 1.0 for reader in pool])
    chosen = rng.choice(len(pool), size=3, replace=False, p=weight / weight.sum())
    return tuple(pool[int(k)] for k in chosen)


def read_image(
    reader: Reader, truths: Sequence[Truth], *, size_px: int, rng: np.random.Generator
) -> list[tuple[str, XyxyBox]]:
    """What one reader draws on one image; empty when he finds nothing."""
    drawn: list[tuple[str, XyxyBox]] = []
    for truth in truths:
        overlooked = rng.random() < reader.miss * (2.0 if truth.contrast < 0.55 else 1.0)
        vague = rng.random() < reader.vague and truth.class_name in _OPACITIES
        pieces = _halves(truth.xyxy, rng) if rng.random() < reader.split else [truth.xyxy]
        boxes = [_redrawn(piece, reader.jitter, size_px, rng) for piece in pieces]
        if not overlooked:
            drawn.extend(("Lung Opacity" if vague else truth.class_name, box) for box in boxes)
    if rng.random() < reader.invent:
        side = size_px * rng.uniform(0.04, 0.14)
        x = size_px * (rng.uniform(0.18, 0.36) if rng.random() < 0.5 else rng.uniform(0.6, 0.74))
        y = size_px * rng.uniform(0.18, 0.6)
        drawn.append((str(rng.choice(_INVENTED)), _redrawn((x, y, x + side, y + side), 0.1, size_px, rng)))
    return drawn


def _halves(box: XyxyBox, rng: np.random.Generator) -> list[XyxyBox]:
    """A box as two that overlap a little, upper and lower."""
    x1, y1, x2, y2 = box
    cut = y1 + (y2 - y1) * rng.uniform(0.4, 0.6)
    return [(x1, y1, x2, cut + 0.1 * (y2 - y1)), (x1, cut - 0.1 * (y2 - y1), x2, y2)]


def _redrawn(box: XyxyBox, jitter: float, size_px: int, rng: np.random.Generator) -> XyxyBox:
    """The box as another hand would draw it, whole pixels inside the image and at least two pixels wide."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    moved = np.array(box) + rng.normal(0, jitter, 4) * [width, height, width, height]
    left, top = (int(np.clip(round(edge), 0, size_px - 2)) for edge in moved[:2])
    right, bottom = (
        int(np.clip(round(edge), low + 2, size_px)) for edge, low in zip(moved[2:], (left, top), strict=True)
    )
    return float(left), float(top), float(right), float(bottom)
