"""The boxes of a source as columns, for figures of what is in it: from tables of this project or from the raw CSVs.

The raw CSVs need no image: `BBox_List_2017.csv`, `Data_Entry_2017*.csv` (labels and number of all images),
VinBigData's `train.csv`, and a `train_meta.csv` with the sizes of VinBigData's images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.data.image_sizes import read_train_meta
from xray_chest_detection.data.nih_tables import REFERENCE_PX, read_box_list, read_entries
from xray_chest_detection.data.raw_csv import normal_name, read_raw_csv
from xray_chest_detection.data.readings import EDGES, SEPARATOR
from xray_chest_detection.data.tables import read_tables
from xray_chest_detection.data.vinbigdata_table import read_train_csv
from xray_chest_detection.errors import DataError

NAMES = {"nih": "NIH ChestX-ray14", "vinbigdata": "VinBigData"}
# What a raw table is, a column tells; label tables may spell their label column like the box list.
_RAW_KINDS = {"entries": "patient id", "boxes": "finding label", "readings": "rad id", "sizes": "dim0"}


@dataclass(frozen=True, eq=False)
class BoxSource:
    """The boxes of one source, one row a box.

    Attributes:
        key: Short name, for example `nih`.
        classes: `(C,)` class names, the one with most boxes first.
        class_id: `(N,)` int64, index into `classes`.
        image: `(N,)` int64, number of the image among those with a box.
        xyxy: `(N, 4)` float64, pixels of the original image.
        size_px: `(N, 2)` float64, width and height of the image; None when the tables do not know them.
        n_images: Number of images, those without a box included; None when the tables do not know it.
        labels: Image-level label to number of images; empty when there are none but those that readers drew.
        per_reading: `(Q,)` int64, boxes of each reader on each image he read; None when it is not known who read what.
        who_drew: `(I,)` int64, number of readers who drew something on each image; None like `per_reading`.
    """

    key: str
    classes: tuple[str, ...]
    class_id: NDArray[np.int64]
    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    size_px: NDArray[np.float64] | None
    n_images: int | None
    labels: dict[str, int]
    per_reading: NDArray[np.int64] | None
    who_drew: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def name(self) -> str:
        """The name people know the source by."""
        return NAMES.get(self.key, self.key)

    @property
    def title(self) -> str:
        """The name, and whether the same finding may have several boxes."""
        return self.name if self.per_reading is None else f"{self.name}, boxes of all readers"

    @property
    def n_boxed(self) -> int:
        """Number of images with a box."""
        return len(np.unique(self.image))

    @property
    def counted(self) -> str:
        """Number of boxes and images, for a title."""
        of_all = "" if self.n_images is None else f" of {self.n_images:,}"
        return f"{len(self):,} boxes on {self.n_boxed:,}{of_all} images"


def read_sources(tables: Sequence[Path], csv: Sequence[Path]) -> list[BoxSource]:
    """The sources of folders with tables, then those of raw CSVs.

    Raises:
        DataError: A table is wrong, or a source is given twice.
    """
    found = [*read_table_sources(tables), *read_raw_sources(csv)]
    keys = [source.key for source in found]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise DataError(f"source '{twice}' is in two of the tables; give each source once")
    return found


def read_table_sources(folders: Sequence[Path]) -> list[BoxSource]:
    """The sources in folders with `images.csv` and `annotations.csv`, sorted within each folder.

    Raises:
        DataError: A table is missing or invalid, or has no box.
    """
    found = []
    for folder in folders:
        images, annotations = read_tables(folder)
        if annotations.empty:
            raise DataError(f"{folder}: no box in the annotation table; there is nothing to draw")
        for key, of_source in images.groupby("source", sort=True):
            rows = annotations[annotations["image_id"].isin(of_source["image_id"])]
            found += [_of_tables(str(key), of_source, rows)] if len(rows) else []
    return found


def read_raw_sources(paths: Sequence[Path]) -> list[BoxSource]:
    """The sources in raw CSVs, plain or gzipped; what a file is, its columns tell.

    Raises:
        DataError: A file is none of the known tables, two are of one kind, or a table is wrong or has no box.
    """
    files: dict[str, Path] = {}
    for path in paths:
        kind = _raw_kind(path)
        if kind in files:
            raise DataError(f"{path}: {files[kind]} is a table of the same kind; give one of the two")
        files[kind] = path
    for kind, needed, name in (("entries", "boxes", "BBox_List_2017.csv"), ("sizes", "readings", "train.csv")):
        if kind in files and needed not in files:
            raise DataError(f"{files[kind]}: has no boxes; give {name} as well")
    found = []
    if "boxes" in files:
        found.append((_nih(files["boxes"], files.get("entries")), files["boxes"]))
    if "readings" in files:
        found.append((_vinbigdata(files["readings"], files.get("sizes")), files["readings"]))
    empty = next((path for source, path in found if not len(source)), None)
    if empty is not None:
        raise DataError(f"{empty}: no row has a box, so there is nothing to draw; give the table of the full set")
    return [source for source, _ in found]


def _raw_kind(path: Path) -> str:
    columns = {normal_name(name) for name in read_raw_csv(path).columns}
    for kind, column in _RAW_KINDS.items():
        if column in columns:
            return kind
    shown = ", ".join(sorted(columns)[:6])
    raise DataError(
        f"{path}: not a known table (columns {shown}); give BBox_List_2017.csv, Data_Entry_2017*.csv, train.csv or "
        "train_meta.csv"
    )


def _nih(box_list: Path, entry_list: Path | None) -> BoxSource:
    boxes, _ = read_box_list(box_list)
    size_px = np.full((len(boxes), 2), float(REFERENCE_PX))
    if entry_list is None:
        return _source("nih", boxes, size_px=size_px)
    entries, _ = read_entries(entry_list)
    return _source("nih", boxes, size_px=size_px, n_images=len(entries), labels=_label_counts(entries["labels"]))


def _vinbigdata(train: Path, meta: Path | None) -> BoxSource:
    table = read_train_csv(train)
    size_px = None
    if meta is not None:
        sizes = read_train_meta(meta).sizes
        size_px = _sizes(table.boxes["image_id"], sizes, place=meta)
    return _source(
        "vinbigdata",
        table.boxes,
        size_px=size_px,
        n_images=table.counts["images"],
        readings=pd.MultiIndex.from_frame(table.readings[["image_id", "reader"]]),
    )


def _sizes(names: "pd.Series[str]", sizes: Mapping[str, tuple[float, float]], *, place: Path) -> NDArray[np.float64]:
    absent = [name for name in names if name not in sizes]
    if absent:
        raise DataError(f"{place}: image '{absent[0]}' has no line; use the table of the full set")
    return np.array([sizes[name] for name in names], np.float64).reshape(-1, 2)


def _of_tables(key: str, images: pd.DataFrame, rows: pd.DataFrame) -> BoxSource:
    size_px = images.set_index("image_id").loc[rows["image_id"], ["width", "height"]].to_numpy(np.float64)
    one_reader_each = rows["reader"].notna().all() and not rows["reader"].str.contains(SEPARATOR, regex=False).any()
    readings = None
    if images["readers"].notna().all() and one_reader_each:
        names = zip(images["image_id"], images["readers"], strict=True)
        pairs = [(name, who) for name, several in names for who in several.split(SEPARATOR)]
        readings = pd.MultiIndex.from_tuples(pairs, names=["image_id", "reader"])
    labels = _label_counts(images["labels"].dropna()) if readings is None else {}
    return _source(key, rows, size_px=size_px, n_images=len(images), labels=labels, readings=readings)


def _label_counts(labels: "pd.Series[str]") -> dict[str, int]:
    counts = labels.str.split(SEPARATOR, regex=False).explode().value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def _source(
    key: str,
    boxes: pd.DataFrame,
    *,
    size_px: NDArray[np.float64] | None,
    n_images: int | None = None,
    labels: dict[str, int] | None = None,
    readings: pd.MultiIndex | None = None,
) -> BoxSource:
    counts = boxes["class_name"].value_counts()
    classes = tuple(sorted(map(str, counts.index), key=lambda name: (-counts[name], name)))
    per_reading = who_drew = None
    if readings is not None:
        drawn = boxes.groupby(["image_id", "reader"]).size().reindex(readings, fill_value=0)
        per_reading = np.asarray(drawn, np.int64)
        who_drew = np.asarray((drawn > 0).groupby(level="image_id").sum(), np.int64)
    return BoxSource(
        key,
        classes,
        class_id=pd.Index(classes).get_indexer(pd.Index(boxes["class_name"])).astype(np.int64),
        image=pd.factorize(boxes["image_id"])[0].astype(np.int64),
        xyxy=boxes[EDGES].to_numpy(np.float64),
        size_px=size_px,
        n_images=n_images,
        labels=labels or {},
        per_reading=per_reading,
        who_drew=who_drew,
    )
