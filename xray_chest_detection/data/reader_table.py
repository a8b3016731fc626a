"""What each reader drew, and how good the reader-aware consensus finds him.

False positives are per image on which somebody drew something, for on others there is little to be mistaken for a
finding, and readers read very different numbers of them: in VinBigData's `train.csv` R8 drew on 63 % of his images, R11
on 7 %. So the model behind the consensus (`data.consensus.em`) is fitted to these images here. Sensitivity is that for
what somebody found: what everybody missed, nobody can count.
"""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.agreement_sums import LOW_IOU
from xray_chest_detection.data.consensus import fit_readers
from xray_chest_detection.data.readings import Readings


@dataclass(frozen=True)
class ReaderRow:
    """One reader. The estimates are None for somebody who drew nothing; with few boxes they lean on the others'.

    Attributes:
        reader: Name.
        images: Images he read.
        images_drawn_on: Of these, images on which he drew something.
        boxes: Boxes he drew.
        sensitivity: Chance that he draws a true finding, for the mix of classes of all images.
        false_positives: Boxes of nothing per image on which somebody drew something, all classes together.
        right_name: Chance that he calls a finding that he draws by its class, for the same mix.
        edge_error: Standard deviation of his edges, as a share of the side of the box.
    """

    reader: str
    images: int
    images_drawn_on: int
    boxes: int
    sensitivity: float | None
    false_positives: float | None
    right_name: float | None
    edge_error: float | None


@dataclass(frozen=True)
class ReaderClassRow:
    """One reader on one class: boxes, and the estimates of `ReaderRow` for this class."""

    reader: str
    class_name: str
    boxes: int
    sensitivity: float
    false_positives: float
    right_name: float


def reader_rows(readings: Readings, *, iou: float = LOW_IOU) -> tuple[list[ReaderRow], list[ReaderClassRow]]:
    """Every reader, and every reader who drew anything on every class; `iou` from which boxes are one finding."""
    boxes = np.zeros((len(readings.readers), len(readings.classes)), np.int64)
    np.add.at(boxes, (readings.reader, readings.class_id), 1)
    drawn_on = np.zeros((len(readings.images), len(readings.readers)), np.bool_)
    drawn_on[readings.image, readings.reader] = True
    counts = list(
        zip(readings.readers, readings.read.sum(axis=0), drawn_on.sum(axis=0), boxes.sum(axis=1), strict=True)
    )
    if not len(readings):
        return [ReaderRow(name, int(read), 0, 0, None, None, None, None) for name, read, _, _ in counts], []
    model = fit_readers(on_images_with_boxes(readings), iou=iou)
    mix = model.prevalence / model.prevalence.sum()
    rows = []
    for number, (name, read, drawn, total) in enumerate(counts):
        estimates = (
            model.sensitivity[number] @ mix,
            model.false_positives[number].sum(),
            model.right_name[number] @ mix,
            model.edge_sd[number],
        )
        values = [float(value) if total else None for value in estimates]
        rows.append(ReaderRow(name, int(read), int(drawn), int(total), *values))
    return rows, [
        ReaderClassRow(
            reader=readings.readers[reader],
            class_name=class_name,
            boxes=int(boxes[reader, column]),
            sensitivity=float(model.sensitivity[reader, column]),
            false_positives=float(model.false_positives[reader, column]),
            right_name=float(model.right_name[reader, column]),
        )
        for reader in np.flatnonzero(boxes.sum(axis=1)).tolist()
        for column, class_name in enumerate(readings.classes)
    ]


def on_images_with_boxes(readings: Readings) -> Readings:
    """The readings of the images on which somebody drew something; readers and classes stay."""
    kept = np.unique(readings.image)
    image = np.searchsorted(kept, readings.image)
    images = tuple(readings.images[row] for row in kept)
    columns = (image, readings.class_id, readings.reader, readings.xyxy)
    return Readings(images, readings.classes, readings.readers, *columns, readings.read[kept])
