"""Boxes that a model guesses on films whose label names a finding nobody located: self-training.

A guess is the model's best box of a class the film is labelled with. How often such a box hits is counted on films
whose box is known, by class; that is what the box counts in training, and classes that miss too often get none. In
tables a guess is a row whose `reader` names the model and whose `probability` is what it counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.readings import EDGES, SEPARATOR

GUESSED_BY = "model:"
MIN_SCORE = 0.02  # below it a model says nothing
MIN_FILMS = 5  # fewer films tell nothing
MIN_SIDE_PX = 1.0

Box = NDArray[np.floating]
BestBoxes = Mapping[str, Mapping[str, Box]]  # image, class, box


class HitRate(NamedTuple):
    """How often a model's best box of a class hits on films that are labelled with the class.

    Attributes:
        class_name: The class.
        films: Films with a known box of the class.
        shown: Those of them where the model has a box of the class.
        hits: Those of them where its best box overlaps a known box enough.
    """

    class_name: str
    films: int
    shown: int
    hits: int

    @property
    def weight(self) -> float:
        """What a guess counts: the probability that it hits, as far as so few films can tell.

        Source: Laplace's rule of succession, the mean of the posterior from a uniform prior.
        """
        return (self.hits + 1) / (self.shown + 2)

    def is_enough(self, min_weight: float) -> bool:
        """Whether guesses of this class are worth training on."""
        return self.shown >= MIN_FILMS and self.weight >= min_weight


def is_guess(annotations: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of an annotation table are guesses of a model; none where it has no column `reader`."""
    reader = annotations.get("reader", pd.Series("", annotations.index))
    return reader.astype(str).str.startswith(GUESSED_BY).astype(bool)


def best_boxes(found: Detections, classes: Sequence[str], *, width: float, height: float) -> dict[str, Box]:
    """The best box of every class that a model sees, in pixels of a film's reference size.

    Args:
        found: What the model says about the film, best first.
        classes: Class names by class id.
        width: Width of the reference size.
        height: Height likewise.
    """
    gain = np.tile([width / found.width_px, height / found.height_px], 2)
    xyxy = boxes.clip(found.xyxy * gain, width, height)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    rows = np.flatnonzero((found.score >= MIN_SCORE) & (sides >= MIN_SIDE_PX).all(axis=1))
    best: dict[str, Box] = {}
    for row in rows:
        best.setdefault(classes[int(found.class_id[row])], xyxy[row])
    return best


def hit_rates(best: BestBoxes, truth: pd.DataFrame, classes: Sequence[str], *, iou: float) -> tuple[HitRate, ...]:
    """Count how often the best boxes hit.

    Args:
        best: The best boxes of a model on the films of `truth`.
        truth: Known boxes: image_id, class (a class name), x_min, y_min, x_max, y_max in pixels of the reference size.
        classes: The classes to count, in this order.
        iou: Overlap with any known box of the class from which a box hits.
    """
    rates = []
    for name in classes:
        of_image = truth[truth["class"] == name].groupby("image_id")
        known = {str(image_id): rows[EDGES].to_numpy(np.float64) for image_id, rows in of_image}
        shown = {image_id: best[image_id][name] for image_id in known if name in best.get(image_id, {})}
        hits = sum(bool((boxes.iou(box[None], known[image_id]) >= iou).any()) for image_id, box in shown.items())
        rates.append(HitRate(name, len(known), len(shown), hits))
    return tuple(rates)


def guess_boxes(
    images: pd.DataFrame,
    unlocated: Iterable[tuple[str, str]],
    best: BestBoxes,
    weights: Mapping[str, float],
    scheme: ClassScheme,
    *,
    model: str,
) -> pd.DataFrame:
    """Rows of an annotation table for findings nobody located, one for each that the model has a box of.

    Args:
        images: Image table.
        unlocated: Image and class of every finding that the labels name and nobody drew.
        best: The best boxes of the model on these images.
        weights: What a guess counts, by class; other classes get none.
        scheme: Class scheme; a row's class_name is the image's own label, as its source spells it.
        model: What names the model.
    """
    columns = (images[name] for name in ("image_id", "source", "labels"))
    labels_of = {image_id: (source, text) for image_id, source, text in zip(*columns, strict=True)}
    rows = []
    for image_id, name in unlocated:
        box = best.get(image_id, {}).get(name)
        if name in weights and box is not None:
            source, text = labels_of[image_id]
            spelled = next(label for label in text.split(SEPARATOR) if scheme.sources[source].get(label) == name)
            rows.append((image_id, spelled, *map(float, box), f"{GUESSED_BY}{model}", weights[name]))
    return pd.DataFrame(rows, columns=["image_id", "class_name", *EDGES, "reader", "probability"])
