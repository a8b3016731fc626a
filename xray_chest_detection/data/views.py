"""Views of one split: the images and boxes of a multiclass, binary or one-class data set."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from xray_chest_detection.config.data import SPLITS, YoloConfig
from xray_chest_detection.core.schemes import FINDING, ClassScheme
from xray_chest_detection.errors import DataError


@dataclass(frozen=True)
class View:
    """A view of the tables: what is in which split, with class ids.

    Attributes:
        classes: Class names by class id.
        images: Image rows with an additional column `split`.
        labels: Boxes with an additional column `class_id`, in pixels of the reference size.
    """

    classes: tuple[str, ...]
    images: pd.DataFrame
    labels: pd.DataFrame

    def counts(self) -> dict[str, dict[str, int]]:
        """Per split: images, images without a box, patients, and boxes per class."""
        result = {}
        for split in SPLITS:
            images = self.images[self.images["split"] == split]
            labels = self.labels[self.labels["image_id"].isin(images["image_id"])]
            per_class = labels["class_id"].value_counts()
            result[split] = {
                "images": len(images),
                "without_box": int((~images["image_id"].isin(labels["image_id"])).sum()),
                "patients": int(images["patient_id"].nunique()),
                "boxes": len(labels),
            } | {name: int(per_class.get(index, 0)) for index, name in enumerate(self.classes)}
        return result


def make_view(
    images: pd.DataFrame, annotations: pd.DataFrame, split: pd.DataFrame, scheme: ClassScheme, config: YoloConfig
) -> View:
    """Select the images and boxes of a multiclass, binary or one-class data set.

    An image whose image-level labels name the class of a one-class data set, but that has no box of it, is left out:
    the finding is there, nobody drew where. Images of the split that the tables lack are an error, and the reverse.

    Raises:
        DataError: Tables and split disagree, or the scheme does not know a label or class.
    """
    _check_same_images(images, split, config)
    images = images.merge(split[["image_id", "split"]], on="image_id")
    source_of = images.set_index("image_id")["source"]
    sources = annotations["image_id"].map(source_of)
    mapping = {
        pair: scheme.class_of(pair[1], source=pair[0])
        for pair in set(zip(sources, annotations["class_name"], strict=True))
    }
    united = [mapping[pair] for pair in zip(sources, annotations["class_name"], strict=True)]
    labels = annotations.assign(united=pd.Series(united, annotations.index, dtype=object)).dropna(subset="united")
    if config.kind == "one_class":
        images, labels = _keep_one_class(images, labels, scheme, str(config.class_name))
        names: tuple[str, ...] = (str(config.class_name),)
    elif config.kind == "binary":
        labels, names = labels.assign(united=FINDING), (FINDING,)
    else:
        names = scheme.classes
    labels = labels.assign(class_id=labels["united"].map(names.index)).drop(columns="united")
    if config.train_negatives_per_positive is not None:
        images = _thin_train_negatives(images, labels, config.train_negatives_per_positive, seed=config.seed)
    return View(names, images.sort_values("image_id").reset_index(drop=True), labels.reset_index(drop=True))


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


def _keep_one_class(
    images: pd.DataFrame, labels: pd.DataFrame, scheme: ClassScheme, class_name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    scheme.index_of(class_name)
    kept = labels[labels["united"] == class_name]
    spellings = {
        (source, label) for source, known in scheme.sources.items() for label, to in known.items() if to == class_name
    }
    named = [
        any((source, label) in spellings for label in str(text).split("|"))
        for source, text in zip(images["source"], images["labels"], strict=True)
    ]
    unlocated = np.array(named, np.bool_) & ~images["image_id"].isin(kept["image_id"]).to_numpy(bool)
    return images[~unlocated], kept


def _thin_train_negatives(images: pd.DataFrame, labels: pd.DataFrame, ratio: float, *, seed: int) -> pd.DataFrame:
    positive = images["image_id"].isin(labels["image_id"])
    train = images["split"] == "train"
    negatives = images[train & ~positive].sort_values("image_id")
    count = min(len(negatives), round(ratio * int((train & positive).sum())))
    drawn = negatives.iloc[np.random.default_rng(seed).permutation(len(negatives))[:count]]
    return pd.concat([images[~train | positive], drawn])
