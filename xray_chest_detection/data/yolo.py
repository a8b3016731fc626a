"""Writing one view of a split as a YOLO data set: `images/<split>/`, `labels/<split>/`, `data.yaml`, `index.csv`.

Folders are real and one per split, because ultralytics finds labels by swapping the last `/images/` of a path for
`/labels/` and keeps one label cache per label folder.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from xray_chest_detection.config.data import SPLITS, YoloConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.schemes import FINDING, ClassScheme
from xray_chest_detection.errors import DataError

DATA_FILE = "data.yaml"
INDEX_FILE = "index.csv"
_PLAIN_FORMATS = {"JPEG": ".jpg", "PNG": ".png"}
_EXIF_ORIENTATION = 274

Progress = Callable[[Iterable[tuple[str, pd.DataFrame]], int], Iterable[tuple[str, pd.DataFrame]]]


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
    classes = pd.Series(
        [mapping[pair] for pair in zip(sources, annotations["class_name"], strict=True)],
        annotations.index,
        dtype=object,
    )
    labels = annotations.assign(united=classes)[classes.notna()]
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


def write_yolo(view: View, out: Path, *, longest_side_px: int | None, progress: Progress | None = None) -> None:
    """Write a view as a data set; the folder appears when it is complete and replaces an older one.

    8-bit PNG and JPEG files are hard-linked or copied as they are; everything else (DICOM, 16 bits, a rotated JPEG,
    a file to be reduced) goes through the decoder that the demo uses and becomes an 8-bit PNG.

    Raises:
        DataError: The folder cannot be written.
        ImageError: An image cannot be read.
    """
    labels_of = dict(tuple(view.labels.groupby("image_id")))
    empty = view.labels.iloc[:0]
    with _new_folder(out) as folder:
        for split in SPLITS:
            (folder / "images" / split).mkdir(parents=True)
            (folder / "labels" / split).mkdir(parents=True)
        rows = []
        todo = [(str(row.image_id), row) for row in view.images.itertuples()]
        for image_id, row in progress(todo, len(todo)) if progress else todo:
            file = _place_image(Path(row.path), folder / "images" / row.split / image_id, longest_side_px)
            lines = _label_lines(labels_of.get(image_id, empty), row.width, row.height)
            (folder / "labels" / row.split / f"{image_id}.txt").write_text(lines, encoding="utf-8")
            rows.append((image_id, row.patient_id, row.source, row.split, str(file.relative_to(folder))))
        index = pd.DataFrame(rows, columns=["image_id", "patient_id", "source", "split", "file"])
        index.to_csv(folder / INDEX_FILE, index=False)
        names = dict(enumerate(view.classes))
        splits = {split: f"images/{split}" for split in SPLITS}
        write_text(folder / DATA_FILE, yaml.safe_dump({**splits, "nc": len(names), "names": names}, sort_keys=False))


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


def _label_lines(labels: pd.DataFrame, width_px: float, height_px: float) -> str:
    xyxy = labels[["x_min", "y_min", "x_max", "y_max"]].to_numpy(np.float64)
    cxcywhn = boxes.to_cxcywhn(xyxy, width_px, height_px).clip(0, 1)
    return "".join(
        f"{class_id} {' '.join(f'{value:.6f}' for value in row)}\n"
        for class_id, row in zip(labels["class_id"], cxcywhn, strict=True)
    )


def _place_image(source: Path, target_stem: Path, longest_side_px: int | None) -> Path:
    suffix = _suffix_if_plain(source, longest_side_px)
    if suffix is None:
        target = target_stem.with_name(f"{target_stem.name}.png")
        image = Image.fromarray(read_image(source).pixels)
        if longest_side_px is not None and max(image.size) > longest_side_px:
            gain = longest_side_px / max(image.size)
            size = (max(1, round(image.width * gain)), max(1, round(image.height * gain)))
            image = image.resize(size, Image.Resampling.BILINEAR)
        image.save(target)
        return target
    target = target_stem.with_name(target_stem.name + suffix)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return target


def _suffix_if_plain(source: Path, longest_side_px: int | None) -> str | None:
    """The suffix of a file that ultralytics reads exactly as the demo's decoder does, else None."""
    try:
        with Image.open(source) as image:
            fits = longest_side_px is None or max(image.size) <= longest_side_px
            upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
            if image.mode == "L" and upright and fits:
                return _PLAIN_FORMATS.get(str(image.format))
    except (OSError, Image.DecompressionBombError):
        pass
    return None


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends without an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.replace(out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror or error}); free some space") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
