"""A view of a split on disk, as ultralytics reads it: `images/<split>/`, `labels/<split>/`, `data.yaml`, `index.csv`.

A patch of a film is a row of its own, with the film's image_id and, in the column `patch`, the name of its own files.
`unknown.csv` and `label_weights.csv` beside them (`data.side_files`) say what label files cannot.

Folders are real and one per split, because ultralytics finds labels by swapping the last `/images/` of a path for
`/labels/` and keeps one label cache per label folder.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image

from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.images import MAX_PIXELS, read_image
from xray_chest_detection.core.letterbox import scale_to_fit
from xray_chest_detection.data.folders import new_folder
from xray_chest_detection.data.image_files import check_aspect, is_squeezed
from xray_chest_detection.data.label_files import label_lines
from xray_chest_detection.data.patches import write_patches
from xray_chest_detection.data.side_files import UNKNOWN_FILE, WEIGHTS_FILE, write_label_weights, write_unknown
from xray_chest_detection.data.views import View
from xray_chest_detection.errors import DataError

DATA_FILE = "data.yaml"
INDEX_FILE = "index.csv"
INDEX_COLUMNS = ["image_id", "patient_id", "source", "split", "file"]
PATCH = "patch"  # a further column of data sets with patches; empty for whole films
_PLAIN_FORMATS = {"JPEG": ".jpg", "PNG": ".png"}
_EXIF_ORIENTATION = 0x0112
_END_OF_JPEG = b"\xff\xd9"

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def write_yolo(
    view: View,
    out: Path,
    *,
    longest_side_px: int | None,
    patches: View | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a view as a data set; the folder appears when it is complete and replaces an older one.

    8-bit grey PNG and JPEG files are hard-linked, or copied where that is impossible; everything else (DICOM, 16 bits,
    colour, a rotated JPEG, a file to be reduced) goes through the decoder that the demo uses and becomes an 8-bit PNG.
    A square made of an image that is not square gets its aspect ratio back: the demo will see films as they are.
    Every image is decoded once, so that a damaged one stops this step and not the training.

    Args:
        view: The films.
        out: Folder of the data set.
        longest_side_px: Images with a longer side are reduced to it; None: none are.
        patches: Patches of these films, from `data.patches.cut_patches`.
        progress: Wraps the films.

    Raises:
        DataError: The folder cannot be written, or holds something else; an image is no resized copy of the reference.
        ImageError: An image cannot be read.
    """
    if len(view.images) == 0:
        raise DataError(f"{out}: the view has no images; check the tables, the split and class_name")
    patches_of = {} if patches is None else dict(tuple(patches.images.groupby("film")))
    with new_folder(out, marker=DATA_FILE) as folder:
        for split in SPLITS:
            (folder / "images" / split).mkdir(parents=True)
            (folder / "labels" / split).mkdir(parents=True)
        files: dict[str, Path] = {}
        todo: list[dict[str, Any]] = [dict(row) for _, row in view.images.iterrows()]
        for row in progress(todo, len(todo)) if progress else todo:
            image_id, path, reference = row["image_id"], Path(row["path"]), (row["width"], row["height"])
            target = folder / "images" / row["split"] / image_id
            files[image_id] = _place_image(path, target, longest_side_px, reference=reference)
            if image_id in patches_of:
                files |= write_patches(path, patches_of[image_id], target.parent, longest_side_px=longest_side_px)
        views = [view] if patches is None else [view, patches]
        images, labels, unknown = (pd.concat(several) for several in zip(*map(_tables, views), strict=True))
        _write_labels(folder, images, labels)
        images["file"] = images["image_id"].map(lambda name: files[name].relative_to(folder).as_posix())
        _write_index(folder, images)
        _write_side_files(folder, labels, unknown, images.set_index("image_id")["file"])
        names = dict(enumerate(view.classes))
        splits = {split: f"images/{split}" for split in SPLITS}
        write_text(folder / DATA_FILE, yaml.safe_dump({**splits, "nc": len(names), "names": names}, sort_keys=False))


def read_classes(folder: Path) -> tuple[str, ...]:
    """Class names of a data set, by class id.

    Raises:
        DataError: There is no `data.yaml`, or it has no names numbered from 0.
    """
    path = folder / DATA_FILE
    names = _read_description(path).get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or sorted(names, key=str) != sorted(range(len(names)), key=str):
        raise DataError(f"{path}: names must be numbered 0, 1, 2, ...; build it again with data_prep.build_yolo")
    return tuple(str(names[index]) for index in range(len(names)))


def foreign_folders(folder: Path) -> list[str]:
    """Entries of `data.yaml` that make ultralytics read other images than the ones of the split they stand for.

    Raises:
        DataError: There is no `data.yaml`, or it is not YAML.
    """
    content = _read_description(folder / DATA_FILE)
    expected = {split: f"images/{split}" for split in SPLITS}
    wrong = [f"{split}: {content[split]}" for split in SPLITS if content.get(split, expected[split]) != expected[split]]
    return [*wrong, f"path: {content['path']}"] if "path" in content else wrong


def read_index(folder: Path) -> pd.DataFrame:
    """The images of a data set: image_id, patient_id, source, split, file (relative to the folder), patch; all text.

    Raises:
        DataError: It is missing or damaged.
    """
    path = folder / INDEX_FILE
    try:
        index = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); build it with data_prep.build_yolo") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raise DataError(f"{path}: not a CSV table; build the data set again with data_prep.build_yolo") from None
    absent = [name for name in INDEX_COLUMNS if name not in index.columns]
    if absent:
        raise DataError(f"{path}: no column '{absent[0]}'; build the data set again with data_prep.build_yolo")
    return index if PATCH in index.columns else index.assign(**{PATCH: ""})


def is_complete(folder: Path) -> bool:
    """Whether every image of the index and its label file are there; False without a readable index."""
    try:
        index = read_index(folder)
    except DataError:
        return False
    files = [folder / file for file in index["file"]]
    labels = [folder / "labels" / part / f"{file.stem}.txt" for file, part in zip(files, index["split"], strict=True)]
    return all(path.is_file() for path in (*files, *labels))


def product_files(folder: Path) -> list[Path]:
    """The files that say what is in a data set, images and labels apart."""
    names = (DATA_FILE, INDEX_FILE, UNKNOWN_FILE, WEIGHTS_FILE)
    return [folder / name for name in names if (folder / name).is_file()]


def stamp_of_images(view: View) -> str:
    """One sha256 over sizes and times of change of a view's image files, so that a replaced one is noticed unread.

    Absent files count as absent; writing the data set names them.
    """
    digest = hashlib.sha256()
    for name, path in zip(view.images["image_id"], view.images["path"], strict=True):
        file = Path(path)
        status = file.stat() if file.is_file() else None
        digest.update(f"{name},{status and (status.st_size, status.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


def _tables(view: View) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return view.images, view.labels, view.unknown


def _write_labels(folder: Path, images: pd.DataFrame, labels: pd.DataFrame) -> None:
    labels_of = dict(tuple(labels.groupby("image_id")))
    for name, split, width, height in images[["image_id", "split", "width", "height"]].itertuples(index=False):
        lines = label_lines(labels_of.get(name, labels.iloc[:0]), width, height)
        text = "".join(f"{line}\n" for line in lines)
        (folder / "labels" / split / f"{name}.txt").write_text(text, encoding="utf-8")


def _write_index(folder: Path, images: pd.DataFrame) -> None:
    columns = INDEX_COLUMNS
    if "film" in images:
        whole = images["film"].isna()
        films = images["film"].where(~whole, images["image_id"])
        images = images.assign(**{PATCH: images["image_id"].mask(whole, ""), "image_id": films})
        columns = [*INDEX_COLUMNS, PATCH]
    images[columns].to_csv(folder / INDEX_FILE, index=False)


def _write_side_files(folder: Path, labels: pd.DataFrame, unknown: pd.DataFrame, file_of: "pd.Series[str]") -> None:
    write_unknown(folder, unknown.assign(file=unknown["image_id"].map(file_of)))
    line = labels.groupby("image_id").cumcount() + 1
    numbered = labels.assign(file=labels["image_id"].map(file_of), line=line)
    write_label_weights(folder, numbered[numbered["weight"] < 1])


def _read_description(path: Path) -> dict[str, Any]:
    """The content of a `data.yaml`; empty when it is no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); build it with data_prep.build_yolo") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DataError(f"{path}: not valid YAML; build the data set again with data_prep.build_yolo") from None
    return content if isinstance(content, dict) else {}


def _place_image(
    source: Path, target_stem: Path, longest_side_px: int | None, *, reference: tuple[float, float]
) -> Path:
    plain = _read_plain(source)
    if plain is not None and not _is_changed(plain[1], longest_side_px, reference):
        suffix, size_px = plain
        check_aspect([(source, size_px)], width=reference[0], height=reference[1])
        target = target_stem.with_name(target_stem.name + suffix)
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
        return target
    pixels = read_image(source, name=str(source)).pixels
    size_px = (pixels.shape[1], pixels.shape[0])
    check_aspect([(source, size_px)], width=reference[0], height=reference[1])
    if _is_changed(size_px, longest_side_px, reference):
        aspect = (round(reference[0]), round(reference[1])) if is_squeezed(size_px, reference) else size_px
        pixels = scale_to_fit(pixels, min(max(size_px), longest_side_px or max(size_px)), aspect=aspect)
    target = target_stem.with_name(f"{target_stem.name}.png")
    Image.fromarray(pixels).save(target)
    return target


def _is_changed(size_px: tuple[int, int], longest_side_px: int | None, reference: tuple[float, float]) -> bool:
    """Whether an image has to be reduced, or stretched back to its aspect ratio."""
    return max(size_px) > (longest_side_px or max(size_px)) or is_squeezed(size_px, reference)


def _read_plain(source: Path) -> tuple[str, tuple[int, int]] | None:
    """Suffix and size of a sound file that ultralytics reads exactly as the demo's decoder does, else None.

    ultralytics writes JPEG files that do not end with the end-of-image marker anew in their place, which a hard link
    would carry through to the original download: such files are not plain.
    """
    try:
        with Image.open(source) as image:
            suffix = _PLAIN_FORMATS.get(str(image.format))
            if suffix is None or image.mode != "L" or image.width * image.height > MAX_PIXELS:
                return None
            upright = image.getexif().get(_EXIF_ORIENTATION, 1) == 1
            image.load()
            size = image.size
    except Exception:  # the demo's decoder names what is wrong with it
        return None
    with source.open("rb") as stream:
        stream.seek(-2, os.SEEK_END)
        ends = stream.read() == _END_OF_JPEG
    return (suffix, size) if upright and (ends or suffix == ".png") else None
