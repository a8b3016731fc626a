"""The human ceiling beside a model: how the readers of the data do on its classes, scored by the same evaluator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.manifest import FILE_NAME, read_manifest
from xray_chest_detection.data.agreement_results import ALL_CLASSES, Estimate
from xray_chest_detection.data.human_ceiling import (
    MEAN,
    WEIGHTED_MEAN,
    CeilingRow,
    flat_row,
    human_ceiling,
)
from xray_chest_detection.data.reading_source import read_source
from xray_chest_detection.data.readings import SEPARATOR, Readings
from xray_chest_detection.data.tables import read_tables
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.errors import DataError

_ESTIMATES = ("ap40", "ap50", "sensitivity", "false_positives_per_image")


@dataclass(frozen=True)
class Ceiling:
    """Readers against the consensus of the others, on the classes of a model.

    Attributes:
        origin: Where the numbers come from, for people.
        same_images: Whether they were measured on the images of the model's split.
        rows: Rows of single readers and of means, on all classes and on each.
    """

    origin: str
    same_images: bool
    rows: tuple[CeilingRow, ...]

    def of_class(self, class_name: str = ALL_CLASSES) -> CeilingRow | None:
        """The mean of the readers, weighted by their images with a finding; None where no reader could be compared."""
        wanted = (WEIGHTED_MEAN, class_name)
        row = next((row for row in self.rows if (row.reader, row.class_name) == wanted), None)
        return row if row is not None and row.n_boxes else None

    def rates(self, classes: Sequence[str]) -> dict[str, float]:
        """False positives per image of the readers' mean, by `ALL_CLASSES` and class name, where there is a mean."""
        rows = {name: self.of_class(name) for name in (ALL_CLASSES, *classes)}
        rates = {name: row.false_positives_per_image.value for name, row in rows.items() if row is not None}
        return {name: rate for name, rate in rates.items() if rate is not None}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "origin": self.origin,
            "same_images": self.same_images,
            "rows": [flat_row(row) for row in self.rows],
        }

    @property
    def readers(self) -> tuple[CeilingRow, ...]:
        """Single readers on all classes who could be compared on at least one box."""
        return tuple(
            row
            for row in self.rows
            if row.class_name == ALL_CLASSES and row.n_boxes and row.reader not in (MEAN, WEIGHTED_MEAN)
        )


def read_ceiling(path: Path, classes: Sequence[str]) -> Ceiling:
    """The human ceiling of an `agreement.json` of `xray agreement`; a folder stands for the file in it.

    The row of all classes is kept only where these are exactly the given ones.

    Raises:
        DataError: The file is missing or damaged, or is about other classes.
    """
    file = path / "agreement.json" if path.is_dir() else path
    try:
        rows = tuple(_row(row) for row in json.loads(file.read_text(encoding="utf-8"))["human_ceiling"])
    except FileNotFoundError:
        raise DataError(f"{file}: no such file; make it with `xray agreement SOURCE --out {path}`") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{file}: not a report of `xray agreement`, or damaged; make it again") from None
    known = {row.class_name for row in rows} - {ALL_CLASSES}
    if not known & set(classes):
        raise DataError(
            f"{file}: is about other classes ({', '.join(sorted(known))}) than the run ({', '.join(classes)}); "
            "give `xray agreement` the run's --scheme"
        )
    return Ceiling(str(file), same_images=False, rows=_comparable(rows, classes))


def ceiling_of_data(data: Path, split: LabelledSplit, *, resamples: int, seed: int = 0) -> Ceiling | None:
    """The human ceiling on the very images of a split, from the tables that the data set was built of.

    Returns:
        None where the tables are not there any more, have no readers, or not two readers for an image of the split.

    Raises:
        DataError: The tables or their scheme are damaged.
    """
    for folder, scheme in _sources(data):
        readings = _readings(folder, scheme)
        chosen = None if readings is None else _of_split(readings, split, as_one=_is_binary(data))
        if chosen is not None:
            others = int(chosen.n_readers.max()) - 1
            config = ConsensusConfig(rule="quorum", quorum=min(2, others))
            ceiling = human_ceiling(chosen, config, resamples=resamples, seed=seed)
            origin = f"the readers of {folder} on {len(chosen.images)} images of the split '{split.name}'"
            return Ceiling(origin, same_images=True, rows=_comparable(ceiling.rows, split.classes))
    return None


def _row(row: dict[str, Any]) -> CeilingRow:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(CeilingRow)}
    for name in _ESTIMATES:
        values[name] = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    return CeilingRow(**values)


def _sources(data: Path) -> list[tuple[Path, Path]]:
    """Folders of tables with the scheme that their labels went through, as the manifests tell it."""
    if not (data / FILE_NAME).is_file():
        return []
    config = read_manifest(data).config
    tables, scheme = config.get("tables"), config.get("scheme")
    if tables is None or scheme is None or not (Path(tables) / FILE_NAME).is_file():
        return []
    united = read_manifest(Path(tables)).config
    found = [(Path(source), Path(united["scheme"])) for source in united.get("sources", ())]
    return found or [(Path(tables), Path(scheme))]


def _readings(folder: Path, scheme: Path) -> Readings | None:
    if not (folder / FILE_NAME).is_file() or not scheme.is_file():
        return None
    images, _ = read_tables(folder)
    if not images["readers"].fillna("").str.contains(SEPARATOR, regex=False).any():
        return None
    return read_source(folder, scheme=read_scheme(scheme)).readings


def _is_binary(data: Path) -> bool:
    return bool(read_manifest(data).config.get("kind") == "binary")


def _of_split(readings: Readings, split: LabelledSplit, *, as_one: bool) -> Readings | None:
    """The readings of the split's images in those of its classes that the readers know; None without a comparison."""
    kept = np.isin(readings.images, split.image_id)
    names = split.classes * len(readings.classes) if as_one else readings.classes
    classes = tuple(name for name in split.classes if name in names)
    if not classes or not (readings.read[kept].sum(axis=1) > 1).any():
        return None
    new_id = np.array([classes.index(name) if name in classes else -1 for name in names], np.int64)
    number, class_id = np.cumsum(kept) - 1, new_id[readings.class_id]
    order = np.lexsort((*readings.xyxy.T[::-1], readings.reader, class_id, readings.image))
    order = order[kept[readings.image[order]] & (class_id[order] >= 0)]
    columns = (number[readings.image[order]], class_id[order], readings.reader[order], readings.xyxy[order])
    images = tuple(np.array(readings.images)[kept].tolist())
    return Readings(images, classes, readings.readers, *columns, readings.read[kept])


def _comparable(rows: Sequence[CeilingRow], classes: Sequence[str]) -> tuple[CeilingRow, ...]:
    """The rows of the given classes; that of all classes only where it is about exactly these."""
    same = {row.class_name for row in rows} - {ALL_CLASSES} == set(classes)
    kept = {*classes, ALL_CLASSES} if same else set(classes)
    return tuple(row for row in rows if row.class_name in kept)
