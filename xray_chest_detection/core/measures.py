"""The measures of `core.evaluation`, each as named numbers with their resamples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core import localisation, matching, metrics
from xray_chest_detection.core.auroc import auroc, image_scores
from xray_chest_detection.core.calibration import Calibration, calibration
from xray_chest_detection.core.centre_hit import SMALL_SHARE, is_small, match_centres
from xray_chest_detection.core.matching import BoxTable, Matches
from xray_chest_detection.core.metrics import COCO_IOUS, FROC_RATES
from xray_chest_detection.core.numbers import BoolArray, FloatArray, Number, mean_over_classes, rates_of
from xray_chest_detection.errors import UsageError

LOW_IOU = 0.4  # the overlap of the VinBigData challenge; findings have soft borders
ALL_CLASSES = "all classes"
AT_POINT = "at the operating point"
AT_READERS_RATE = f"sensitivity at the readers' false positives per image, IoU {LOW_IOU:g}"
SMALL = f"boxes under {SMALL_SHARE:.0%} of the image"
CALIBRATION_IOUS = (LOW_IOU, 0.5)
_ALWAYS = {"40": (LOW_IOU,), "50": (0.5,), "50-95": COCO_IOUS}


def parse_ious(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Overlaps of average precision by name, lowest first; `0.5:0.95` is the mean from 0.5 to 0.95 in steps of 0.05.

    0.4, 0.5 and 0.5:0.95 are always among them, for cards and tables need them.

    Raises:
        UsageError: A text is neither an overlap nor a range of overlaps.

    >>> list(parse_ious(["0.3", "0.4:0.75"]))
    ['30', '40', '40-75', '50', '50-95']
    """
    found = dict(_ALWAYS)
    for text in texts:
        try:
            ends = [float(part) for part in text.split(":")]
        except ValueError:
            ends = []
        if len(ends) not in (1, 2) or not 0 < ends[0] <= ends[-1] <= 1:
            raise UsageError(f"--ious: '{text}' is not an overlap in (0, 1], as 0.5, or a range of them, as 0.5:0.95")
        name = "-".join(f"{100 * end:g}" for end in ends)
        found[name] = tuple(np.arange(ends[0], ends[-1] + 1e-9, 0.05).round(4).tolist())
    return dict(sorted(found.items(), key=lambda item: (item[1][0], len(item[1]))))


@dataclass(frozen=True, eq=False)
class Scene:
    """What is measured. Boxes of classes that are unknown on their image are gone.

    Attributes:
        classes: Class names by class id.
        truth: True boxes.
        predictions: Every box.
        shown: The boxes of the operating point.
        class_free: Every box for numbers that ignore classes.
        known: `(I, C)` which classes are known on which image.
        present: `(I, C)` which classes are on which image, boxed or labelled.
        image_area_px: `(I,)`, or None where nobody knows.
        rows: `(1 + R, I)` image weights: every image once, then the resamples.
    """

    classes: tuple[str, ...]
    truth: BoxTable
    predictions: BoxTable
    shown: BoxTable
    class_free: BoxTable
    known: BoolArray
    present: BoolArray
    image_area_px: FloatArray | None
    rows: FloatArray

    @classmethod
    def make(
        cls,
        tables: tuple[BoxTable, BoxTable, BoxTable, BoxTable],
        *,
        classes: tuple[str, ...],
        unknown: BoolArray | None,
        labelled: BoolArray | None,
        image_area_px: FloatArray | None,
        rows: FloatArray,
    ) -> "Scene":
        """A scene from true boxes, all boxes, shown boxes and boxes for numbers that ignore classes."""
        truth, predictions, shown, class_free = (known_boxes(table, unknown) for table in tables)
        shape = truth.n_images, len(classes)
        known = np.ones(shape, np.bool_) if unknown is None else ~unknown
        present = np.zeros(shape, np.bool_) if labelled is None else labelled & known
        present[truth.image, truth.class_id] = True
        return cls(classes, truth, predictions, shown, class_free, known, present, image_area_px, rows)

    @property
    def measured_on(self) -> NDArray[np.int64]:
        """Number of images that each class was measured on, `(C,)`."""
        return np.asarray(self.known.sum(axis=0), np.int64)

    @property
    def several(self) -> bool:
        """Whether there is more than one class, so that numbers of one class differ from those of all."""
        return len(self.classes) > 1

    def number(self, name: str, values: FloatArray, *, n_boxes: int | None = None) -> Number:
        """A number over all images and, unless said otherwise, all true boxes."""
        return Number(name, values, len(self.truth) if n_boxes is None else n_boxes, self.truth.n_images)

    def class_number(self, name: str, values: FloatArray, index: int, *, n_boxes: int | None = None) -> Number:
        """A number of one class over the images it was measured on."""
        boxes = int((self.truth.class_id == index).sum()) if n_boxes is None else n_boxes
        return Number(name, values, boxes, int(self.measured_on[index]))

    def rows_of(self, index: int) -> FloatArray:
        """The image weights, 0 where the class is unknown."""
        return self.rows if self.known[:, index].all() else self.rows * self.known[:, index]


@dataclass(frozen=True, eq=False)
class Records:
    """The matchings most numbers come from.

    Attributes:
        ious: Overlaps of `per_class`, rising.
        per_class: Every box of each class.
        at_low_iou: The same at IoU 0.4 alone.
        shown: The operating point, each class at IoU 0.5.
        froc: Every box, classes pooled, at IoU 0.4.
        froc_any: Every box, class ignored, at IoU 0.4.
        confusion: `(C + 1, C + 1)` of the shown boxes.
    """

    ious: tuple[float, ...]
    per_class: tuple[Matches, ...]
    at_low_iou: tuple[Matches, ...]
    shown: tuple[Matches, ...]
    froc: Matches
    froc_any: Matches
    confusion: NDArray[np.int64]

    @classmethod
    def make(cls, scene: Scene, overlaps: Mapping[str, tuple[float, ...]]) -> "Records":
        """Match once at every overlap that is asked for."""
        ious = tuple(sorted({iou for several in (*overlaps.values(), *_ALWAYS.values()) for iou in several}))
        n_classes, truth = len(scene.classes), scene.truth
        per_class = matching.match_classes(truth, scene.predictions, n_classes=n_classes, ious=ious)
        low = tuple(_only(matches, ious.index(LOW_IOU)) for matches in per_class)
        return cls(
            ious=ious,
            per_class=per_class,
            at_low_iou=low,
            shown=matching.match_classes(truth, scene.shown, n_classes=n_classes),
            froc=matching.pool(low),
            froc_any=matching.match(truth.as_one_class(), scene.class_free.as_one_class(), ious=(LOW_IOU,)),
            confusion=matching.confusion(truth, scene.shown, n_classes=n_classes),
        )

    def place(self, iou: float) -> int:
        """The row of an overlap in the records of the classes."""
        return self.ious.index(iou)

    def average_precision(self, scene: Scene) -> FloatArray:
        """`(C, 1 + R, T)` at all overlaps."""
        return np.stack([metrics.average_precision(matches, weights=scene.rows) for matches in self.per_class])


def known_boxes(table: BoxTable, unknown: BoolArray | None) -> BoxTable:
    """The boxes without those of classes that are unknown, `(I, C)`, on their image.

    >>> table = BoxTable(np.array([0, 1]), np.array([0, 0]), np.ones(2), np.zeros((2, 4)), 2)
    >>> known_boxes(table, np.array([[True], [False]])).image.tolist()
    [1]
    """
    return table if unknown is None else table.select(~unknown[table.image, table.class_id])


def precision_numbers(
    precision: FloatArray, records: Records, scene: Scene, overlaps: Mapping[str, tuple[float, ...]]
) -> list[Number]:
    """`mAP...`, the mean over classes with true boxes, and `AP... class`, from `(C, 1 + R, T)`."""
    found, per_class = [], []
    for name, ious in overlaps.items():
        values = precision[:, :, [records.place(iou) for iou in ious]].mean(axis=2)
        found.append(scene.number(f"mAP{name}", mean_over_classes(values)))
        if scene.several:
            per_class += [
                scene.class_number(f"AP{name} {class_name}", values[index], index)
                for index, class_name in enumerate(scene.classes)
            ]
    return found + per_class


def froc_numbers(records: Records, scene: Scene) -> list[Number]:
    """Sensitivity at IoU 0.4 by false positives per image, all images in the denominator."""
    found = []
    several = [(", class ignored", records.froc_any)] if scene.several else []
    for label, record in [("", records.froc), *several]:
        values = metrics.sensitivity_at(record, weights=scene.rows)
        for column, rate in enumerate(FROC_RATES):
            name = f"sensitivity at {rate:g} false positives per image, IoU {LOW_IOU:g}{label}"
            found.append(scene.number(name, values[:, column]))
    return found


def reader_rate_numbers(records: Records, scene: Scene, rates: Mapping[str, float]) -> list[Number]:
    """Sensitivity at IoU 0.4 where readers have as many false positives per image, of all classes or of one."""
    found = []
    for class_name, rate in rates.items():
        if class_name == ALL_CLASSES:
            values = metrics.sensitivity_at(records.froc, (rate,), weights=scene.rows)
            found.append(scene.number(AT_READERS_RATE, values[:, 0]))
        else:
            index = scene.classes.index(class_name)
            values = metrics.sensitivity_at(records.at_low_iou[index], (rate,), weights=scene.rows_of(index))
            found.append(scene.class_number(f"{AT_READERS_RATE}, {class_name}", values[:, 0], index))
    return found


def point_numbers(records: Records, scene: Scene) -> list[Number]:
    """Precision, recall, F1 and false positives per image of the shown boxes at IoU 0.5."""
    totals = [metrics.counts_of(matches, weights=scene.rows) for matches in records.shown]
    overall = rates_of(np.sum(totals, axis=0), scene.rows.sum(axis=1))
    found = [scene.number(f"{name} {AT_POINT}", values) for name, values in overall.items()]
    for index, class_name in enumerate(scene.classes if scene.several else ()):
        rates = rates_of(totals[index], scene.rows_of(index).sum(axis=1))
        found += [
            scene.class_number(f"{name} {AT_POINT}, {class_name}", values, index) for name, values in rates.items()
        ]
    return found


def image_numbers(scene: Scene) -> list[Number]:
    """AUROC of the best score of each class on an image, their mean, and of the best score of any class.

    An image has a finding when it has a box of it or is labelled with it. Images on which a class is unknown are left
    out for this class; for any finding, those without a known finding are left out as well.
    """
    scores = image_scores(scene.predictions, n_classes=len(scene.classes))
    classes = range(len(scene.classes))
    values = [auroc(scores[:, i], scene.present[:, i], weights=scene.rows_of(i)) for i in classes]
    any_finding = np.asarray(scene.present.any(axis=1), np.bool_)
    decided = any_finding | scene.known.all(axis=1)
    best = scores.max(axis=1, initial=0)
    found = [scene.number("AUROC any finding", auroc(best, any_finding, weights=scene.rows * decided))]
    if scene.several:
        found.append(scene.number("mean AUROC", mean_over_classes(np.stack(values))))
        found += [scene.class_number(f"AUROC {scene.classes[i]}", values[i], i) for i in classes]
    return found


def centre_numbers(scene: Scene) -> list[Number]:
    """Share of the small true boxes whose centre is hit, by false positives per image; per class at one per image."""
    if scene.image_area_px is None:
        return []
    records = []
    for index in range(len(scene.classes)):
        truth = scene.truth.of_class(index)
        small = is_small(truth, scene.image_area_px)
        records.append(match_centres(truth, scene.predictions.of_class(index), small))
    pooled = matching.pool(records)
    values = metrics.sensitivity_at(pooled, weights=scene.rows)
    found = [
        scene.number(_centre_name(rate), values[:, column], n_boxes=pooled.n_positives)
        for column, rate in enumerate(FROC_RATES)
    ]
    for index, class_name in enumerate(scene.classes if scene.several else ()):
        values = metrics.sensitivity_at(records[index], (1.0,), weights=scene.rows_of(index))[:, 0]
        name, count = f"{_centre_name(1.0)}, {class_name}", records[index].n_positives
        found.append(scene.class_number(name, values, index, n_boxes=count))
    return found


def calibrations(records: Records, scene: Scene) -> dict[float, dict[str, Calibration]]:
    """Reliability at each of `CALIBRATION_IOUS`: of all boxes, and of each class where there are several."""
    found = {}
    for iou in CALIBRATION_IOUS:
        place = records.place(iou)
        pooled = matching.pool([_only(matches, place) for matches in records.per_class])
        found[iou] = {ALL_CLASSES: calibration(pooled, overlap=0, weights=scene.rows)}
        for name, matches in zip(scene.classes if scene.several else (), records.per_class, strict=False):
            found[iou][name] = calibration(matches, overlap=place, weights=scene.rows)
    return found


def calibration_numbers(found: Mapping[float, Mapping[str, Calibration]], scene: Scene) -> list[Number]:
    """Expected calibration errors; `n_boxes` are the predicted boxes they rest on."""
    numbers = []
    for iou, several in found.items():
        for name, one in several.items():
            label, count = f"ECE at IoU {iou:g}", int(one.boxes[0].sum())
            if name == ALL_CLASSES:
                numbers.append(scene.number(label, one.error, n_boxes=count))
            else:
                index = scene.classes.index(name)
                numbers.append(scene.class_number(f"{label}, {name}", one.error, index, n_boxes=count))
    return numbers


def localisation_numbers(scene: Scene) -> list[Number]:
    """Accuracy and false positives per image of the ChestX-ray8 table: the mean over classes, and each class."""
    found = []
    for measure in localisation.MEASURES:
        records = [
            localisation.locate(scene.truth.of_class(index), scene.shown.of_class(index), measure=measure)
            for index in range(len(scene.classes))
        ]
        columns = {
            "accuracy": np.stack([record.accuracy(scene.rows) for record in records]),
            "false positives": np.stack(
                [record.false_positives_per_image(scene.rows_of(index)) for index, record in enumerate(records)]
            ),
        }
        for column, values in columns.items():
            for place, threshold in enumerate(localisation.THRESHOLDS):
                name = localisation_name(column, measure, threshold)
                found.append(scene.number(name, mean_over_classes(values[:, place])))
                for index, class_name in enumerate(scene.classes if scene.several else ()):
                    found.append(scene.class_number(f"{name}, {class_name}", values[index, place], index))
    return found


def localisation_name(column: str, measure: str, threshold: float) -> str:
    """Name of a number of the localisation table; column `accuracy` or `false positives`."""
    return f"localisation {column} at {measure} {threshold:g}"


def _centre_name(rate: float) -> str:
    return f"centre hits at {rate:g} false positives per image, {SMALL}"


def _only(matches: Matches, overlap: int) -> Matches:
    rows = slice(overlap, overlap + 1)
    return Matches(matches.ious[rows], matches.score, matches.image, matches.hit[rows], matches.positives)
