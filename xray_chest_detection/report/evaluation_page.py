"""An evaluation as a page in Markdown, and in a few lines for the terminal."""

from xray_chest_detection.core.evaluation import ClassRow
from xray_chest_detection.core.localisation import MEASURES, PAPER_THRESHOLDS
from xray_chest_detection.core.measures import (
    ALL_CLASSES,
    AT_POINT,
    AT_READERS_RATE,
    CALIBRATION_IOUS,
    SMALL,
    localisation_name,
)
from xray_chest_detection.core.metrics import FROC_RATES
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.data.agreement_results import Estimate
from xray_chest_detection.detect.ceiling import Ceiling
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.report.tables import SUMMARY, markdown_table, metric_text, with_interval

_LOCALISATION = ("accuracy", "false positives")
_POINT = ("precision", "recall", "F1", "false positives per image")


def evaluation_markdown(evaluation: Evaluation) -> str:
    """An evaluation as a Markdown page: what was measured on what, and every number with its interval."""
    parts = [
        f"# {evaluation.run} on {evaluation.split}",
        " ".join(_intro(evaluation)),
        *_remarks(evaluation),
        number_table(evaluation),
        "## Average precision",
        precision_table(evaluation),
        "## Operating point, boxes paired at IoU 0.5",
        point_table(evaluation),
        "## Sensitivity by false positives per image (FROC)",
        f"A finding is found at IoU {LOW_IOU:g}; small findings ({SMALL}) by the centre of the mark. "
        "Images without a finding count.",
        froc_table(evaluation),
        *([reader_table(evaluation, evaluation.ceiling)] if evaluation.ceiling else []),
        "## Images, small findings and calibration",
        "AUROC of the best score on an image; expected calibration error (ECE) of boxes from score 0.05 up.",
        image_table(evaluation),
        "## Localisation as in ChestX-ray8",
        "Accuracy: share of the boxes that a shown box of the class overlaps by more than T. False positives: shown "
        "boxes that overlap no box of the class by more than T, per image. IoBB: intersection over the shown box. The "
        "JSON and CSV files have more values of T.",
        *(_localisation(evaluation, measure, column) for measure in MEASURES for column in _LOCALISATION),
    ]
    return "\n\n".join(parts) + "\n"


def evaluation_summary(evaluation: Evaluation) -> str:
    """The numbers that matter most, for the terminal: one line each, and the classes one by one."""
    head = f"{evaluation.split}: {evaluation.n_images} images, {evaluation.n_boxes} boxes (95 % intervals in brackets)"
    names = [*SUMMARY, *(f"{name} {AT_POINT}" for name in _POINT)]
    width = max(len(name) for name in names)
    lines = [f"  {name:<{width}}  {_cell(evaluation, name)}" for name in names]
    return "\n".join([head, *lines, class_table(evaluation)])


def number_table(evaluation: Evaluation) -> str:
    """The numbers over all classes, the readers' beside them where these are known."""
    names = [name for name in evaluation.by_name if name.startswith("mAP")]
    names += [name for name in ("mean AUROC", "AUROC any finding") if name in evaluation.by_name]
    names += [f"{name} {AT_POINT}" for name in _POINT]
    names += [f"ECE at IoU {iou:g}" for iou in CALIBRATION_IOUS]
    row = evaluation.ceiling.of_class() if evaluation.ceiling else None
    if row is None:
        return markdown_table(["metric", "value"], [[name, _cell(evaluation, name)] for name in names])
    readers = {"mAP40": row.ap40, "mAP50": row.ap50}
    rows = [[name, _cell(evaluation, name), _estimate(readers.get(name))] for name in names]
    return markdown_table(["metric", "value", "readers"], rows)


def class_table(evaluation: Evaluation) -> str:
    """One row a class: average precision, and the counts at the operating point.

    Where a class is unknown on some images, a column says how many images each class was measured on.
    """
    images = _images_column(evaluation)
    header = ["class", *images, "boxes", "AP50", "AP40", "AP50-95"]
    header += ["found", "false alarms", "precision", "recall", "F1"]
    rows = [
        [
            *((row.name, row.n_images) if images else (row.name,)),
            *(row.n_boxes, with_interval(row.ap50, row.ap50_low, row.ap50_high), row.ap40, row.ap50_95),
            *(row.found, row.false_alarms, row.precision, row.recall, row.f1),
        ]
        for row in evaluation.per_class
    ]
    return markdown_table(header, rows)


def precision_table(evaluation: Evaluation) -> str:
    """Average precision of each class at every overlap, the readers' at IoU 0.4 and 0.5 beside it."""
    overlaps = [name.removeprefix("m") for name in evaluation.by_name if name.startswith("mAP")]
    images, ceiling = _images_column(evaluation), evaluation.ceiling
    header = ["class", *images, "boxes", *overlaps, *(("readers AP40", "readers AP50") if ceiling else ())]
    rows = []
    for row in evaluation.per_class:
        cells = [row.name, *([row.n_images] if images else []), row.n_boxes]
        cells += [_class_cell(evaluation, name, row.name) for name in overlaps]
        if ceiling:
            readers = ceiling.of_class(row.name)
            cells += [_estimate(one) for one in ((readers.ap40, readers.ap50) if readers else (None, None))]
        rows.append(cells)
    return markdown_table(header, rows)


def point_table(evaluation: Evaluation) -> str:
    """Counts and rates of the shown boxes of each class."""
    header = ["class", "found", "false alarms", "missed", *_POINT]
    rows = [
        [
            *(row.name, row.found, row.false_alarms, row.missed),
            *(_class_cell(evaluation, f"{name} {AT_POINT}", row.name, separator=", ") for name in _POINT),
        ]
        for row in evaluation.per_class
    ]
    return markdown_table(header, rows)


def froc_table(evaluation: Evaluation) -> str:
    """Sensitivity of all findings and of small ones at each number of false positives per image."""
    endings = [f", IoU {LOW_IOU:g}", f", IoU {LOW_IOU:g}, class ignored"][: 1 + (len(evaluation.per_class) > 1)]
    rows = []
    for rate in FROC_RATES:
        at = f"at {rate:g} false positives per image"
        cells = [_cell(evaluation, f"sensitivity {at}{ending}") for ending in endings]
        rows.append([f"{rate:g}", *cells, _cell(evaluation, f"centre hits {at}, {SMALL}")])
    header = ["false positives per image", "all classes", "class ignored"][: 1 + len(endings)]
    return markdown_table([*header, "small findings"], rows)


def reader_table(evaluation: Evaluation, ceiling: Ceiling) -> str:
    """The readers' mean point, and the sensitivity of the model with as many false positives."""
    rows = []
    for name in ceiling.rates([row.name for row in evaluation.per_class]):
        row = ceiling.of_class(name)
        if row is not None:
            label = AT_READERS_RATE + ("" if name == ALL_CLASSES else f", {name}")
            cells = [_estimate(row.false_positives_per_image), _estimate(row.sensitivity), _cell(evaluation, label)]
            rows.append([name, *cells])
    header = ["class", "readers' false positives per image", "readers' sensitivity", "sensitivity of the model there"]
    return markdown_table(header, rows)


def image_table(evaluation: Evaluation) -> str:
    """AUROC, centre hits and calibration of each class."""
    names = ["AUROC", f"centre hits at 1 false positives per image, {SMALL}"]
    names += [f"ECE at IoU {iou:g}" for iou in CALIBRATION_IOUS]
    rows = []
    for row in evaluation.per_class:
        auroc = _class_cell(evaluation, "AUROC", row.name, overall="AUROC any finding")
        cells = [_class_cell(evaluation, name, row.name, separator=", ") for name in names[1:]]
        small = evaluation.by_name.get(f"{names[1]}, {row.name}", evaluation.by_name.get(names[1]))
        rows.append([row.name, auroc, (small and small.n_boxes) or 0, *cells])
    return markdown_table(
        ["class", "AUROC", "small boxes", "centre hits at 1 false positive per image", *names[2:]], rows
    )


def _localisation(evaluation: Evaluation, measure: str, column: str) -> str:
    header = [f"{column}, T({measure}) =", *(f"{threshold:g}" for threshold in PAPER_THRESHOLDS)]
    names = [localisation_name(column, measure, threshold) for threshold in PAPER_THRESHOLDS]
    rows = [
        [row.name, *(_class_cell(evaluation, name, row.name, separator=", ") for name in names)]
        for row in evaluation.per_class
    ]
    if len(rows) > 1:
        rows.append(["mean", *(_cell(evaluation, name) for name in names)])
    return markdown_table(header, rows)


def _intro(evaluation: Evaluation) -> list[str]:
    point = evaluation.thresholds
    across = " across classes" if point.agnostic else ""
    sentences = [
        f"{evaluation.n_images} images of {evaluation.n_patients} patients, {evaluation.n_boxes} boxes.",
        f"Operating point: score from {point.conf:g}, suppression IoU {point.iou:g}{across}, chosen on "
        f"{point.chosen_on} by {point.objective or 'hand'}.",
        "Average precision, sensitivity and AUROC use every box from score 0.001 up.",
    ]
    sentences += evaluation.views.told
    if evaluation.resamples:
        sentences.append(f"In brackets: 95 % intervals from {evaluation.resamples} resamples of the patients.")
    return [*sentences, "What each number means: docs/evaluation.md."]


def _remarks(evaluation: Evaluation) -> list[str]:
    """What a reader of the numbers has to know first, a paragraph each."""
    remarks = []
    unknown = evaluation.evidence.split.unknown
    if unknown.any():
        parts = [f"{row.name} on {evaluation.n_images - row.n_images}" for row in _partly_unknown(evaluation)]
        remarks.append(
            f"On {int(unknown.any(axis=1).sum())} of the images nobody looked for some classes ({', '.join(parts)}): "
            "there, marks of these classes are neither right nor wrong, and the images do not count for them."
        )
    empty = [row.name for row in evaluation.per_class if row.n_boxes == 0]
    if empty:
        remarks.append(f"Without a box in this split, and left out of every mean: {', '.join(empty)}.")
    if evaluation.ceiling:
        where = "" if evaluation.ceiling.same_images else " These are other images than the model's."
        remarks.append(
            f"Readers: {evaluation.ceiling.origin}, each against the consensus of the others.{where} A reader has no "
            "scores, so his average precision is lower than that of a model as good as he is: compare the sensitivity."
        )
    return remarks


def _partly_unknown(evaluation: Evaluation) -> list[ClassRow]:
    return [row for row in evaluation.per_class if row.n_images != evaluation.n_images]


def _images_column(evaluation: Evaluation) -> list[str]:
    return ["images"] if _partly_unknown(evaluation) else []


def _cell(evaluation: Evaluation, name: str) -> str:
    return metric_text(evaluation.by_name.get(name))


def _class_cell(
    evaluation: Evaluation, name: str, class_name: str, *, separator: str = " ", overall: str | None = None
) -> str:
    """The number of a class; of a model with one class, the number over all."""
    if len(evaluation.per_class) > 1:
        return _cell(evaluation, f"{name}{separator}{class_name}")
    return _cell(evaluation, overall or (f"m{name}" if name.startswith("AP") else name))


def _estimate(value: Estimate | None) -> str:
    return "-" if value is None else with_interval(*value)
