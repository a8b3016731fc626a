"""The measures of `core.evaluation`, each as named numbers with their resamples."""

from collections.abc import Mapping, Sequence

import numpy as np

from xray_chest_detection.core import localisation, matching, metrics
from xray_chest_detection.core.auroc import auroc, image_scores
from xray_chest_detection.core.calibration import Calibration, calibration
from xray_chest_detection.core.centre_hit import SMALL_SHARE, is_small, match_centres
from xray_chest_detection.core.metrics import COCO_IOUS, FROC_RATES
from xray_chest_detection.core.numbers import FloatArray, Number, mean_over_classes, rates_of
from xray_chest_detection.core.scene import LOW_IOU, Records, Scene
from xray_chest_detection.errors import UsageError

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
        pooled = matching.pool([matches.at(place) for matches in records.per_class])
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
