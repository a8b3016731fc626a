"""A cross-validation as Markdown."""

import numpy as np

from xray_chest_detection.detect.fold_results import CrossValidation
from xray_chest_detection.report.tables import SUMMARY, markdown_table, with_interval

_CLASS_COLUMNS = (
    ("AP50", "AP50 {}"),
    ("AP40", "AP40 {}"),
    ("sensitivity at 1 FP of the class/image", "sensitivity {} at 1 false positives per image, IoU 0.4"),
)


def cross_validation_markdown(result: CrossValidation) -> str:
    """A cross-validation as a page: what was done, the main numbers, the classes and the folds."""
    images, patients, boxes = np.sum([(row.images, row.patients, row.boxes) for row in result.folds], axis=0)
    intro = (
        f"# {result.name}, {len(result.folds)}-fold cross-validation by patient\n\n"
        f"{images} images of {patients} patients, {boxes} boxes; each image was tested once, by the model that was "
        "trained without its patient. **Mean over folds**: how a model of this recipe does; plus-minus is the standard "
        "error (standard deviation between folds over the root of their number), which is rather too small, because "
        "the folds share training patients. **Pooled**: the marks of all folds scored together as if one model had "
        f"made them; in brackets 95 % intervals from {result.resamples} resamples of the patients. Average precision "
        "and sensitivity use every box from score 0.001 up. Every number: `cross_validation.csv`."
    )
    classes = ["## Classes", _classes(result)] if len(result.classes) > 1 else []
    return "\n\n".join([intro, _numbers(result), *classes, "## Folds", _folds(result)]) + "\n"


def cross_validation_summary(result: CrossValidation) -> str:
    """The numbers that matter most, for the terminal."""
    tables = [_numbers(result)] + ([_classes(result)] if len(result.classes) > 1 else [])
    return "\n\n".join(tables)


def _numbers(result: CrossValidation) -> str:
    pooled = {metric.name: metric for metric in result.pooled}
    rows = []
    for mean in result.means:
        if mean.name.startswith(SUMMARY):
            metric = pooled[mean.name]
            of_folds = _plus_minus(mean.mean, mean.standard_error), mean.sd
            rows.append([mean.name, *of_folds, with_interval(metric.value, metric.low, metric.high)])
    return markdown_table(["", "mean over folds", "sd of folds", "pooled"], rows)


def _classes(result: CrossValidation) -> str:
    means, pooled = {mean.name: mean for mean in result.means}, {metric.name: metric for metric in result.pooled}
    rows = []
    for name in result.classes:
        row: list[object] = [name, pooled[f"AP40 {name}"].n_boxes]
        for _, pattern in _CLASS_COLUMNS:
            mean, metric = means[pattern.format(name)], pooled[pattern.format(name)]
            row += [_plus_minus(mean.mean, mean.standard_error), with_interval(metric.value, metric.low, metric.high)]
        rows.append(row)
    header = ["class", "boxes"]
    for title, _ in _CLASS_COLUMNS:
        header += [f"{title}, mean", "pooled"]
    return markdown_table(header, rows)


def _folds(result: CrossValidation) -> str:
    by_name = {mean.name: mean.per_fold for mean in result.means}
    main = [name for name in SUMMARY if name in by_name]
    rows = []
    for row in result.folds:
        point = row.thresholds
        shown = f"{point.conf:g}, {point.iou:g}{' across classes' if point.agnostic else ''}"
        numbers = [by_name[name][row.fold] for name in main]
        rows.append([row.fold, row.images, row.patients, row.boxes, *numbers, shown])
    return markdown_table(["fold", "images", "patients", "boxes", *main, "score from, suppression IoU"], rows)


def _plus_minus(value: float | None, error: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if error is None else f"{value:.3f} ± {error:.3f}"
