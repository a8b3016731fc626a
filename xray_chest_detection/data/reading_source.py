"""Readings from what the step before left: a folder of tables, or VinBigData's own table, which needs no image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.readings import Readings, readings_of
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables
from xray_chest_detection.data.vinbigdata_table import read_readings_csv
from xray_chest_detection.errors import DataError

VINBIGDATA = "vinbigdata"


@dataclass(frozen=True)
class Film:
    """Where an image lies, and the size in pixels that its boxes refer to."""

    path: Path
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class ReadingSource:
    """Readings and what is known of their images.

    Attributes:
        readings: What everybody drew.
        patients: Patient of each image of the readings.
        films: Image name to film; empty when the source names no files.
        files: The tables that were read.
    """

    readings: Readings
    patients: tuple[str, ...]
    films: dict[str, Film]
    files: tuple[Path, ...]


def read_source(path: Path, *, scheme: ClassScheme | None = None) -> ReadingSource:
    """Read a folder of tables with one reader a row (`data_prep.vinbigdata`), or a `train.csv`, plain or gzipped.

    Args:
        path: The folder or the table.
        scheme: Classes to rename, merge or leave out first; not given: the source's own.

    Raises:
        DataError: Something is missing or wrong, images have no readers, rows have none or several, nobody drew a box,
            or the scheme does not know a label or the source.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; give a folder of tables or VinBigData's train.csv")
    source = _from_tables(path, scheme) if path.is_dir() else _from_csv(path, scheme)
    if not len(source.readings):
        classes = f" of the classes of scheme {scheme.name}" if scheme else ""
        raise DataError(f"{path}: no reader drew a box{classes}; there is nothing to compare")
    return source


def renamed(readings: Readings, scheme: ClassScheme, *, source: str) -> Readings:
    """The readings in the classes of a scheme that this source is labelled for; labels it leaves out lose their boxes.

    Two boxes of one reader that become one class on one place stay two.

    Raises:
        DataError: The scheme does not know the source or a label.
    """
    targets = [scheme.class_of(name, source=source) for name in readings.classes]
    classes = scheme.known_classes(source)
    new_id = np.array([-1 if name is None else classes.index(name) for name in targets], np.int64)
    class_id = new_id[readings.class_id]
    order = np.lexsort((*readings.xyxy.T[::-1], readings.reader, class_id, readings.image))
    order = order[class_id[order] >= 0]
    columns = (readings.image[order], class_id[order], readings.reader[order], readings.xyxy[order])
    return Readings(readings.images, classes, readings.readers, *columns, readings.read)


def _from_csv(path: Path, scheme: ClassScheme | None) -> ReadingSource:
    readings = read_readings_csv(path)
    if scheme is not None:
        readings = renamed(readings, scheme, source=VINBIGDATA)
    return ReadingSource(readings, readings.images, {}, (path,))


def _from_tables(folder: Path, scheme: ClassScheme | None) -> ReadingSource:
    images, annotations = read_tables(folder)
    images = images.sort_values("image_id")
    try:
        readings = readings_of(images, annotations, sorted(annotations["class_name"].unique()))
        if scheme is not None:
            readings = renamed(readings, scheme, source=_only_source(images))
    except DataError as error:
        raise DataError(f"{folder}: {error}; give the folder that data_prep.{VINBIGDATA} wrote") from None
    columns = (images[name].tolist() for name in ("image_id", "path", "width", "height"))
    films = {name: Film(Path(path), width, height) for name, path, width, height in zip(*columns, strict=True)}
    return ReadingSource(
        readings, tuple(images["patient_id"]), films, (folder / IMAGES_FILE, folder / ANNOTATIONS_FILE)
    )


def _only_source(images: pd.DataFrame) -> str:
    names = sorted(images["source"].unique())
    if len(names) != 1:
        raise DataError(f"a scheme can be applied to the tables of one source, these are of {', '.join(names)}")
    return str(names[0])
