"""How well each reader agrees with the consensus of the others, scored by exactly the evaluator that scores models.

It is the number a model can honestly be compared with: where readers disagree this much, a model that learnt from them
cannot be measured to do better than they do, however good it is.

A reader has no scores. All his boxes tie, and the evaluator takes ties by image, in the order of the image names, and
then by box. Along such an order, which means nothing, precision stays about the same, so that his average precision
comes out near precision times recall of his one operating point. Under resampling it comes out a little higher: the
evaluator gives each recall the best precision from there on, and chance has more room. A model ranks its boxes and
gains from that. The fairest comparison is the point itself: a model whose FROC curve passes above it has reached the
reader.

Two things make readers look different from a model that is scored against the consensus of all: their truth is made of
one reader less, and they are one of the people whose habits made the data. In VinBigData's `train.csv` there is a
third. On 4,394 of its 15,000 images all three readers drew something, on the others nobody did, so that readers never
disagree on whether an image is healthy; counted in the table that torchxrayvision 1.5.7 carries.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.core import matching, metrics
from xray_chest_detection.core.intervals import RESAMPLES, patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.numbers import image_rows, mean_over_classes, rates_of, with_interval
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.data.agreement_results import ALL_CLASSES, Estimate
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.readings import BoolArray, FloatArray, Readings
from xray_chest_detection.errors import DataError

MEAN = "mean of readers"
WEIGHTED_MEAN = "mean of readers, weighted by images with a finding"
IOUS = (LOW_IOU, 0.5)


@dataclass(frozen=True)
class CeilingRow:
    """One reader, or a mean of readers, on one class or on all.

    Attributes:
        reader: Name of the reader, `MEAN` or `WEIGHTED_MEAN`.
        class_name: Name of the class, or `ALL_CLASSES`.
        n_images: Images he read that others read too; for means the sum.
        n_findings: Of these, images on which the others' consensus has a box of the class.
        n_boxes: Boxes of the others' consensus on them.
        n_drawn: Boxes he drew on them.
        ap40: Average precision at IoU 0.4, for all classes its mean over the classes; see the module on ties.
        ap50: The same at IoU 0.5.
        sensitivity: Share of the others' boxes that he found at IoU 0.4.
        false_positives_per_image: His boxes that are none of theirs at IoU 0.4, per image.
    """

    reader: str
    class_name: str
    n_images: int
    n_findings: int
    n_boxes: int
    n_drawn: int
    ap40: Estimate
    ap50: Estimate
    sensitivity: Estimate
    false_positives_per_image: Estimate


@dataclass(frozen=True, eq=False)
class HumanCeiling:
    """Every reader against the others.

    Attributes:
        config: The rule that made the others one.
        resamples: Resamples of the images behind the intervals; 0 without intervals.
        rows: Per reader all classes and each class, in the order of the readings, then the two means.
    """

    config: ConsensusConfig
    resamples: int
    rows: tuple[CeilingRow, ...]

    def row(self, reader: str, class_name: str = ALL_CLASSES) -> CeilingRow:
        """One row.

        Raises:
            KeyError: There is no such row.
        """
        for row in self.rows:
            if (row.reader, row.class_name) == (reader, class_name):
                return row
        raise KeyError((reader, class_name))

    def to_rows(self) -> list[dict[str, str | int | float | None]]:
        """The rows as plain values, each interval as two more columns."""
        return [flat_row(row) for row in self.rows]


def human_ceiling(
    readings: Readings, config: ConsensusConfig, *, resamples: int = RESAMPLES, seed: int = 0
) -> HumanCeiling:
    """Score each reader against the consensus of the others.

    A reader is scored on the images that he and two others read; where no image has three readers, he and one other.
    The consensus of the others is made of all images, as if he had never been there. Readers with no such image have no
    row. The means leave out readers on whose images the others found nothing; the weighted one counts each reader by
    his images with a finding, so that somebody who read three of them says little.

    Args:
        readings: Who drew what.
        config: The rule for the others, as it is: `quorum` 2 of the other two is stricter than 2 of three.
        resamples: Resamples of the images for the intervals; 0 leaves them out.
        seed: Seed of the resamples.

    Raises:
        DataError: No image was read by two readers.
    """
    others = min(2, int(readings.n_readers.max(initial=0)) - 1)
    if others < 1:
        raise DataError("no image was read by two readers, so that nobody can be compared; give each image's readers")
    weights = patient_weights(readings.images, resamples=resamples, seed=seed) if resamples else None
    rows = image_rows(len(readings.images), weights)
    shared = readings.n_readers > others
    parts = [
        _score(readings, reader, readings.read[:, reader] & shared, config, rows)
        for reader in range(len(readings.readers))
        if (readings.read[:, reader] & shared).any()
    ]
    compared = [part for part in parts if part.counts[0, 1]] or parts
    findings = np.array([part.counts[0, 1] for part in compared], np.float64)
    parts += [_mean(MEAN, compared, np.ones(len(compared))), _mean(WEIGHTED_MEAN, compared, findings)]
    names = (ALL_CLASSES, *readings.classes)
    return HumanCeiling(config, resamples, tuple(row for part in parts for row in _rows(part, names)))


def flat_row(row: CeilingRow) -> dict[str, str | int | float | None]:
    """A row as plain values, each interval as two more columns."""
    flat: dict[str, str | int | float | None] = {}
    for name, value in vars(row).items():
        if isinstance(value, Estimate):
            flat |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            flat[name] = value
    return flat


@dataclass(frozen=True, eq=False)
class _Part:
    """Numbers of one reader; the first row is about all classes, the others about one each.

    `counts` `(1 + C, 4)`: images, images with a finding, boxes, drawn boxes. `values` `(1 + C, 4, 1 + R)`: AP40, AP50,
    sensitivity, false positives per image, each followed by its resamples.
    """

    reader: str
    counts: NDArray[np.int64]
    values: FloatArray


def _score(readings: Readings, reader: int, images: BoolArray, config: ConsensusConfig, rows: FloatArray) -> _Part:
    his = readings.select((readings.reader == reader) & images[readings.image])
    drawn = _table(his.image, his.class_id, his.xyxy, images)
    truth = _consensus_of_others(readings, reader, images, config)
    n_classes, rows = len(readings.classes), rows[:, images]
    classes = [(truth.of_class(index), drawn.of_class(index)) for index in range(n_classes)]
    scored = [_class_scores(*tables, rows) for tables in classes]
    precision, totals = (np.stack(several) for several in zip(*scored, strict=True))
    precision = np.concatenate([mean_over_classes(precision)[None], precision])
    totals = np.concatenate([totals.sum(axis=0)[None], totals])
    rates = [rates_of(total, rows.sum(axis=1)) for total in totals]
    points = np.array([[rate["recall"], rate["false positives per image"]] for rate in rates])
    counts = [_counts(*tables) for tables in ((truth, drawn), *classes)]
    return _Part(
        readings.readers[reader], np.array(counts), np.concatenate([precision.transpose(0, 2, 1), points], axis=1)
    )


def _consensus_of_others(readings: Readings, reader: int, images: BoolArray, config: ConsensusConfig) -> BoxTable:
    others = readings.without_reader(reader)
    if not images[others.image].any():  # nothing to merge: spares most readers of VinBigData the work
        return _table(others.image, others.class_id, others.xyxy, images)
    consensus = merge(others, config)
    return _table(consensus.image, consensus.class_id, consensus.xyxy, images)


def _class_scores(truth: BoxTable, drawn: BoxTable, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average precision `(1 + R, 2)`, and finds, false alarms and misses `(1 + R, 3)` at IoU 0.4, of one class.

    Images without a box of the class change neither, and leaving them out makes this many times faster.
    """
    near = np.zeros(truth.n_images, np.bool_)
    near[truth.image] = near[drawn.image] = True
    tables = (_table(table.image, table.class_id, table.xyxy, near) for table in (truth, drawn))
    record = matching.match(*tables, ious=IOUS)
    weights = rows[:, near]
    return metrics.average_precision(record, weights=weights), metrics.counts_of(record, weights=weights)


def _table(image: NDArray[np.int64], class_id: NDArray[np.int64], xyxy: FloatArray, images: BoolArray) -> BoxTable:
    """Boxes on the picked images, which are numbered anew."""
    number, kept = np.cumsum(images) - 1, images[image]
    columns = number[image[kept]], class_id[kept], np.ones(int(kept.sum())), xyxy[kept]
    return BoxTable(*columns, int(images.sum()))


def _counts(truth: BoxTable, drawn: BoxTable) -> tuple[int, int, int, int]:
    return truth.n_images, len(np.unique(truth.image)), len(truth), len(drawn)


def _mean(name: str, parts: list[_Part], weights: FloatArray) -> _Part:
    """Weighted mean of what is defined."""
    values = np.stack([part.values for part in parts])
    defined = np.isfinite(values)
    weight = weights[:, None, None, None] * defined
    total, whole = (np.where(defined, values, 0) * weight).sum(axis=0), weight.sum(axis=0)
    mean = np.divide(total, whole, out=np.full(total.shape, np.nan), where=whole > 0)
    return _Part(name, np.sum([part.counts for part in parts], axis=0), mean)


def _rows(part: _Part, names: tuple[str, ...]) -> list[CeilingRow]:
    rows = []
    for name, (n_images, n_findings, n_boxes, n_drawn), values in zip(
        names, part.counts.tolist(), part.values, strict=True
    ):
        ap40, ap50, sensitivity, false_positives = (Estimate(*with_interval(several)) for several in values)
        measures = (ap40, ap50, sensitivity, false_positives)
        rows.append(CeilingRow(part.reader, name, n_images, n_findings, n_boxes, n_drawn, *measures))
    return rows
