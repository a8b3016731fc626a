"""Views of one split: the images and boxes of a multiclass, binary or one-class data set."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xray_chest_detection.config.data import SPLITS, YoloConfig
from xray_chest_detection.core.schemes import FINDING, ClassScheme
from xray_chest_detection.data.class_names import box_classes, known_classes, labelled_classes
from xray_chest_detection.data.everything import everything_but
from xray_chest_detection.data.label_files import label_lines
from xray_chest_detection.data.pseudo_boxes import is_guess
from xray_chest_detection.data.readings import SEPARATOR
from xray_chest_detection.data.side_files import Reason
from xray_chest_detection.errors import DataError

MIN_WEIGHT = 1e-6  # a weight of 0 would make a box background, which is a stronger claim than nobody made


@dataclass(frozen=True)
class View:
    """A view of the tables: what is in which split, with class ids.

    Attributes:
        classes: Class names by class id.
        images: Image rows with an additional column `split`.
        labels: Boxes with the additional columns `class_id` and `weight`, in pixels of the reference size.
        unknown: Columns image_id, class_name, reason: classes whose absence of boxes says nothing on that image; see
            `data.side_files`.
        merged: Number of boxes that were merged with an equal one.
    """

    classes: tuple[str, ...]
    images: pd.DataFrame
    labels: pd.DataFrame
    unknown: pd.DataFrame
    merged: int

    def counts(self) -> dict[str, dict[str, int]]:
        """Per split: images, images without a box, patients, boxes per class, and guessed ones where there are any."""
        result = {}
        guessed = is_guess(self.labels)
        for split in SPLITS:
            images = self.images[self.images["split"] == split]
            labels = self.labels[self.labels["image_id"].isin(images["image_id"])]
            per_class = labels["class_id"].value_counts()
            result[split] = {
                "images": len(images),
                "without_box": int((~images["image_id"].isin(labels["image_id"])).sum()),
                "patients": len(images[["source", "patient_id"]].drop_duplicates()),
                "boxes": len(labels),
            } | {name: int(per_class.get(index, 0)) for index, name in enumerate(self.classes)}
            if guessed.any():
                result[split]["guessed"] = int(guessed[labels.index].sum())
        return result


def make_view(
    images: pd.DataFrame, annotations: pd.DataFrame, split: pd.DataFrame, scheme: ClassScheme, config: YoloConfig
) -> View:
    """Select the images and boxes of a multiclass, binary or one-class data set.

    A class is unknown on an image when the image is not labelled for it, or is labelled with it but has no box of it:
    the finding is there, nobody drew where, or a model guessed. An image that tells nothing about the class of a
    one-class data set is left out of it. In a binary data set "Finding" is unknown on an image that is labelled with a
    class but has no box at all that somebody drew; where one finding has a box and another has none, the image stays as
    it is.

    Boxes of one class and image whose label lines would be equal become one, with the largest of their weights:
    ultralytics would drop all but one of them and sort the other lines.

    Images of the split that the tables lack are an error, and the reverse.

    Raises:
        DataError: Tables and split disagree, the boxes are still those of several readers, a model guessed a box on an
            image that is not trained on, the scheme does not know a label or class, or no box has the weight that is
            asked for.
    """
    if config.everything_but is not None:
        split = everything_but(split, config.everything_but, seed=config.seed)
    _check_one_reading(images, config)
    _check_same_images(images, split, config)
    images = images.merge(split[["image_id", "split"]], on="image_id")
    annotations = _usable(annotations, images, config)
    sizes_px = images.set_index("image_id")[["width", "height"]]
    labels = annotations.assign(united=box_classes(images, annotations, scheme)).dropna(subset="united")
    unknown = unknown_classes(images, labels, scheme)
    if config.kind == "one_class":
        name = str(config.class_name)
        scheme.index_of(name)
        names: tuple[str, ...] = (name,)
        labels = labels[labels["united"] == name]
        unknown = unknown[unknown["class_name"] == name]
        images = images[~images["image_id"].isin(unknown.loc[unknown["reason"] != "guessed", "image_id"])]
    elif config.kind == "binary":
        labels, names = labels.assign(united=FINDING), (FINDING,)
        unknown = _unknown_findings(unknown, labels)
    else:
        names = scheme.classes
    labels = labels.assign(class_id=labels["united"].map(names.index), weight=_weights(labels, config))
    distinct = merge_equal(labels, sizes_px)
    if config.train_negatives_per_positive is not None:
        images = thin_train_negatives(images, labels, config.train_negatives_per_positive, seed=config.seed)
    return View(
        names,
        images.sort_values("image_id").reset_index(drop=True),
        distinct.drop(columns="united").reset_index(drop=True),
        unknown[unknown["image_id"].isin(images["image_id"])].reset_index(drop=True),
        merged=len(labels) - len(distinct),
    )


def merge_equal(labels: pd.DataFrame, sizes_px: pd.DataFrame) -> pd.DataFrame:
    """Boxes without those whose label lines another one has, which gets the largest of their weights.

    Args:
        labels: Boxes of a view, with the class in `class_id`.
        sizes_px: Columns width and height, by image_id.
    """
    of_box = sizes_px.loc[labels["image_id"]].to_numpy(np.float64)
    lines = labels.assign(line=label_lines(labels, *of_box.T))
    heaviest = lines.groupby(["image_id", "line"])["weight"].transform("max")
    return labels.assign(weight=heaviest)[~lines.duplicated(["image_id", "line"])]


def thin_train_negatives(images: pd.DataFrame, labels: pd.DataFrame, ratio: float, *, seed: int) -> pd.DataFrame:
    """Images with at most `ratio` training images without a box, drawn by chance, per training image with one."""
    positive = images["image_id"].isin(labels["image_id"])
    train = images["split"] == "train"
    negatives = images[train & ~positive].sort_values("image_id")
    count = min(len(negatives), round(ratio * int((train & positive).sum())))
    drawn = negatives.iloc[np.random.default_rng(seed).permutation(len(negatives))[:count]]
    return pd.concat([images[~train | positive], drawn])


def _check_same_images(images: pd.DataFrame, split: pd.DataFrame, config: YoloConfig) -> None:
    without = sorted(set(images["image_id"]) - set(split["image_id"]))
    if without:
        raise DataError(
            f"{config.split}: {len(without)} images of {config.tables} have no split, first '{without[0]}'; "
            "run data_prep.split again"
        )
    gone = sorted(set(split["image_id"]) - set(images["image_id"]))
    if gone:
        raise DataError(
            f"{config.tables}: {len(gone)} images of {config.split} are missing, first '{gone[0]}'; "
            "run the step that writes the tables, or data_prep.split, again"
        )


def _check_one_reading(images: pd.DataFrame, config: YoloConfig) -> None:
    """Boxes of several readers are one finding several times; only united tables hold what they agreed on."""
    if "readers" not in images:
        return
    several = images["readers"].str.contains(SEPARATOR, regex=False, na=False) & images["known"].isna()
    if several.any():
        raise DataError(
            f"{config.tables}: image '{images.loc[several, 'image_id'].iloc[0]}' has the boxes of several readers "
            f"({int(several.sum())} such images); join them with `python -m data_prep.unite` first"
        )


def unknown_classes(images: pd.DataFrame, labels: pd.DataFrame, scheme: ClassScheme) -> pd.DataFrame:
    """The classes whose absence of boxes says nothing on an image: columns image_id, class_name, reason.

    Args:
        images: Image table.
        labels: Annotation table with the class of each box in `united`.
        scheme: Class scheme.
    """
    by_model = is_guess(labels)
    drawn, guessed = (
        set(zip(rows["image_id"], rows["united"], strict=True)) for rows in (labels[~by_model], labels[by_model])
    )
    rows: list[tuple[str, str, Reason]] = []
    for image_id, known, named in zip(
        images["image_id"], known_classes(images, scheme), labelled_classes(images, scheme), strict=True
    ):
        rows += [(image_id, name, "not_labelled") for name in scheme.classes if name not in known]
        for name in named:
            if name in known and (image_id, name) not in drawn:
                rows.append((image_id, name, "guessed" if (image_id, name) in guessed else "not_located"))
    return pd.DataFrame(rows, columns=["image_id", "class_name", "reason"])


def _unknown_findings(unknown: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Images with a finding that nobody located, and no box of a reader; a class a source lacks changes nothing."""
    drawn = labels.loc[~is_guess(labels), "image_id"]
    unlocated = unknown[(unknown["reason"] != "not_labelled") & ~unknown["image_id"].isin(drawn)]
    first = unlocated.sort_values("reason", kind="stable").drop_duplicates("image_id")  # "guessed" before "not_located"
    return first.assign(class_name=FINDING)


def _usable(annotations: pd.DataFrame, images: pd.DataFrame, config: YoloConfig) -> pd.DataFrame:
    """The boxes without guesses on patients that a training on everything keeps in val.

    Raises:
        DataError: Others than these would be judged by what a model guessed.
    """
    trained_on = images.loc[images["split"] == "train", "image_id"]
    judged = is_guess(annotations) & ~annotations["image_id"].isin(trained_on)
    if judged.any() and config.everything_but is None:
        first = annotations.loc[judged, "image_id"].iloc[0]
        raise DataError(
            f"{config.tables}: a model guessed a box on image '{first}', which is not in train "
            f"({int(judged.sum())} such boxes); make the tables without --everyone, or train on "
            "everything_but a few patients"
        )
    return annotations[~judged]


def _weights(labels: pd.DataFrame, config: YoloConfig) -> "pd.Series[float]":
    """What each box counts; a guess always counts what its table says."""
    weights = pd.Series(1.0, labels.index) if config.weights == "none" else labels[config.weights]
    if config.weights != "none" and weights.isna().all():
        raise DataError(
            f"{config.tables}: no box has a value in the column '{config.weights}' that weights asks for; unite with "
            "a rule that gives one (probability: --consensus.rule em), or set weights to none"
        )
    by_model = is_guess(labels)
    if by_model.any():
        weights = weights.where(~by_model, labels["probability"])
    return weights.fillna(1.0).clip(lower=MIN_WEIGHT)
