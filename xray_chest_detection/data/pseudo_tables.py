"""Tables with the boxes a model guessed: which films they are asked for, and the split of these films."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pandas as pd

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.class_names import box_classes
from xray_chest_detection.data.pseudo_boxes import is_guess
from xray_chest_detection.data.splits import COLUMNS
from xray_chest_detection.data.views import unknown_classes
from xray_chest_detection.errors import DataError


@dataclass(frozen=True, eq=False)
class Films:
    """The films of a data set and further ones without a box, who of them is in which part, and what is unlocated.

    Attributes:
        images: Image table.
        annotations: Annotation table: the boxes that somebody drew.
        split: Columns image_id, patient_id, source, split.
        truth: The boxes on val, with their class in `class`.
        unlocated: Image and class of every finding that the labels name and nobody drew, on films to be trained on.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    split: pd.DataFrame
    truth: pd.DataFrame
    unlocated: tuple[tuple[str, str], ...]

    @property
    def asked_for(self) -> AbstractSet[str]:
        """The films that the model has to look at."""
        return {image_id for image_id, _ in self.unlocated} | set(self.truth["image_id"])


def gather_films(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    split: pd.DataFrame,
    more: pd.DataFrame,
    scheme: ClassScheme,
    *,
    everyone: bool = False,
) -> Films:
    """Join a data set's films with further ones, which go where their patient is, new patients to train.

    Guesses of an earlier model are forgotten.

    Args:
        images: Image table of the data set.
        annotations: Annotation table of the data set.
        split: Its split.
        more: Image table that has further films; those that the data set has too, and finding-free ones, are passed
            over.
        scheme: Class scheme.
        everyone: Whether patients of val and test get further films and guesses too, for training on everything.

    Raises:
        DataError: There is no finding to locate.
    """
    who = ["source", "patient_id"]
    part_of = split.drop_duplicates(who).set_index(who)["split"]
    annotations = annotations[~is_guess(annotations)]
    new = more[~more["image_id"].isin(images["image_id"]) & ~more["healthy"]]
    parts = pd.Series([part_of.get(key, "train") for key in zip(*(new[name] for name in who), strict=True)], new.index)
    kept = new[parts.eq("train") | everyone]
    joined = pd.concat([images, kept]).sort_values("image_id").reset_index(drop=True)
    rows = pd.concat([split, kept.assign(split=parts[kept.index])[COLUMNS]]).sort_values("image_id")
    labels = annotations.assign(united=box_classes(images, annotations, scheme)).dropna(subset="united")
    of_image = dict(zip(rows["image_id"], rows["split"], strict=True))
    unknown = unknown_classes(joined, labels, scheme)
    wanted = unknown["reason"].eq("not_located") & (unknown["image_id"].map(of_image).eq("train") | everyone)
    if not wanted.any():
        raise DataError("every finding that the labels name has a box; add films with `data_prep.nih --unboxed`")
    truth = labels[labels["image_id"].map(of_image).eq("val")].rename(columns={"united": "class"})
    pairs = zip(unknown.loc[wanted, "image_id"], unknown.loc[wanted, "class_name"], strict=True)
    return Films(joined, annotations, rows.reset_index(drop=True), truth, tuple(pairs))
