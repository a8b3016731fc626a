"""What several readers drew on the same images, and what a consensus makes of it, both as columns.

A reading is one reader looking at one image. A reader who drew nothing is silent there, which is a vote against every
finding of that image; a reader who never saw the image says nothing about it. `Readings.read` keeps the two apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.errors import DataError

SEPARATOR = "|"
EDGES = ["x_min", "y_min", "x_max", "y_max"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Readings:
    """Boxes of several readers, one row a box, ordered by image, class, reader and edges.

    Attributes:
        images: `(I,)` names of the images, sorted; images on which nobody drew anything included.
        classes: `(C,)` class names.
        readers: `(R,)` names of the readers, sorted.
        image: `(N,)` int64, index into `images`, rising.
        class_id: `(N,)` int64, index into `classes`.
        reader: `(N,)` int64, index into `readers`.
        xyxy: `(N, 4)` float64, pixels of the image's reference size, max exclusive.
        read: `(I, R)` bool, who read which image.

    Raises:
        ValueError: The columns differ in length, or a reader drew on an image that he did not read.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    readers: tuple[str, ...]
    image: IntArray
    class_id: IntArray
    reader: IntArray
    xyxy: FloatArray
    read: BoolArray

    def __post_init__(self) -> None:
        count = len(self.image)
        if self.class_id.shape != (count,) or self.reader.shape != (count,) or self.xyxy.shape != (count, 4):
            raise ValueError(
                f"expected image (N,), class_id (N,), reader (N,), xyxy (N, 4); "
                f"got {self.image.shape}, {self.class_id.shape}, {self.reader.shape}, {self.xyxy.shape}"
            )
        if self.read.shape != (len(self.images), len(self.readers)):
            raise ValueError(f"expected read {(len(self.images), len(self.readers))}, got {self.read.shape}")
        if not self.read[self.image, self.reader].all():
            raise ValueError("a reader drew on an image that he did not read")

    def __len__(self) -> int:
        return len(self.image)

    @property
    def n_readers(self) -> IntArray:
        """Number of readers of each image, `(I,)`."""
        return np.asarray(self.read.sum(axis=1), np.int64)

    def select(self, rows: BoolArray) -> "Readings":
        """The boxes picked by a mask; images, classes, readers and who read what stay."""
        columns = (self.image[rows], self.class_id[rows], self.reader[rows], self.xyxy[rows])
        return Readings(self.images, self.classes, self.readers, *columns, self.read)

    def without_reader(self, reader: int) -> "Readings":
        """The same images as if this reader had never seen them; the list of readers stays."""
        read = self.read.copy()
        read[:, reader] = False
        others = self.select(self.reader != reader)
        columns = (others.image, others.class_id, others.reader, others.xyxy)
        return Readings(self.images, self.classes, self.readers, *columns, read)


@dataclass(frozen=True, eq=False)
class Consensus:
    """One set of boxes made of several readers', one row a box, ordered by image, class and edges.

    Attributes:
        image: `(M,)` int64, index into the images of the readings.
        class_id: `(M,)` int64.
        xyxy: `(M, 4)` float64, pixels of the reference size.
        votes: `(M, R)` bool, which readers drew this box.
        n_readers: `(M,)` int64, how many readers read the image, silent ones included.
        probability: `(M,)` float64 in [0, 1], that the finding is there; NaN where the rule knows none.
        spread_px: `(M,)` float64, root mean square distance of the readers' edges from the box's; NaN for one reader.
    """

    image: IntArray
    class_id: IntArray
    xyxy: FloatArray
    votes: BoolArray
    n_readers: IntArray
    probability: FloatArray
    spread_px: FloatArray

    def __len__(self) -> int:
        return len(self.image)

    @property
    def agreement(self) -> FloatArray:
        """Share of the image's readers who drew the box, `(M,)` in (0, 1]."""
        return np.asarray(self.votes.sum(axis=1) / self.n_readers, np.float64)

    def select(self, rows: BoolArray) -> "Consensus":
        """The boxes picked by a mask."""
        return Consensus(
            self.image[rows],
            self.class_id[rows],
            self.xyxy[rows],
            self.votes[rows],
            self.n_readers[rows],
            self.probability[rows],
            self.spread_px[rows],
        )


def readings_of(images: pd.DataFrame, annotations: pd.DataFrame, classes: Sequence[str]) -> Readings:
    """Readings from an image table with a column `readers` and an annotation table with one reader a row.

    Rows of a class that is not in `classes` are left out: map class names before.

    Raises:
        DataError: An image has no readers, or a box is by somebody who is not among its image's readers.
    """
    images = images.sort_values("image_id")
    without = images.loc[images["readers"].isna(), "image_id"]
    if len(without):
        raise DataError(f"image '{without.iloc[0]}' has no readers ({len(without)} such images); nothing to compare")
    names = tuple(images["image_id"])
    per_image = [tuple(text.split(SEPARATOR)) for text in images["readers"]]
    readers = tuple(sorted({reader for several in per_image for reader in several}, key=reader_order))
    column_of = {reader: number for number, reader in enumerate(readers)}
    read = np.zeros((len(names), len(readers)), np.bool_)
    rows_of = np.repeat(np.arange(len(names)), [len(several) for several in per_image])
    read[rows_of, [column_of[name] for several in per_image for name in several]] = True
    rows = annotations[annotations["class_name"].isin(classes)]
    return _from_columns(names, tuple(classes), readers, rows, read)


def consensus_table(consensus: Consensus, readings: Readings) -> pd.DataFrame:
    """A consensus as rows of an annotation table, class names being those of the readings."""
    names = np.array(readings.readers, dtype=object)
    table = pd.DataFrame(
        {
            "image_id": np.array(readings.images, dtype=object)[consensus.image],
            "class_name": np.array(readings.classes, dtype=object)[consensus.class_id],
        }
    )
    table[EDGES] = consensus.xyxy
    return table.assign(
        reader=[SEPARATOR.join(names[row]) for row in consensus.votes],
        n_readers=consensus.n_readers.astype(float),
        votes=consensus.votes.sum(axis=1).astype(float),
        agreement=consensus.agreement,
        probability=consensus.probability,
        spread_px=consensus.spread_px,
    )


def reader_order(name: str) -> tuple[str, int, str]:
    """Sort key that puts R2 before R10."""
    digits = len(name) - len(name.rstrip("0123456789"))
    head, tail = name[: len(name) - digits], name[len(name) - digits :]
    return head, int(tail) if tail else -1, name


def _from_columns(
    images: tuple[str, ...], classes: tuple[str, ...], readers: tuple[str, ...], rows: pd.DataFrame, read: BoolArray
) -> Readings:
    image = pd.Index(images).get_indexer(pd.Index(rows["image_id"])).astype(np.int64)
    reader = pd.Index(readers).get_indexer(pd.Index(rows["reader"])).astype(np.int64)
    class_id = pd.Index(classes).get_indexer(pd.Index(rows["class_name"])).astype(np.int64)
    stranger = (image < 0) | (reader < 0)
    stranger[~stranger] = ~read[image[~stranger], reader[~stranger]]
    if stranger.any():
        row = rows[stranger].iloc[0]
        drawn = "nobody" if pd.isna(row["reader"]) else f"'{row['reader']}'"
        raise DataError(
            f"row {rows.index[stranger][0]}: a box by {drawn} on image '{row['image_id']}', "
            f"which has no such reader ({int(stranger.sum())} such rows)"
        )
    xyxy = rows[EDGES].to_numpy(np.float64)
    order = np.lexsort((*xyxy.T[::-1], reader, class_id, image))
    return Readings(images, classes, readers, image[order], class_id[order], reader[order], xyxy[order], read)
