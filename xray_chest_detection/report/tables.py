"""Tables of results as Markdown."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xray_chest_detection.core.model_card import Metric

if TYPE_CHECKING:  # results of a run bring torch, which tables of readers do without
    from xray_chest_detection.detect.results import Evaluation

AT_POINT = " at the operating point"
SUMMARY = ("mAP50", "mAP40", "mAP50-95", "sensitivity at 1 false positives per image, IoU 0.4")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; every column but the first is aligned to the right.

    >>> print(markdown_table(["class", "boxes"], [["Mass", 3]]))
    | class | boxes |
    | --- | ---: |
    | Mass | 3 |
    """
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, rule, *[[_text(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A number with its interval: `0.134 (0.081-0.196)`, `-` when it is undefined.

    >>> with_interval(0.1337, 0.0812, 0.196)
    '0.134 (0.081-0.196)'
    """
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f}-{high:.3f})"


def evaluation_markdown(evaluation: "Evaluation") -> str:
    """An evaluation as a Markdown page: what was measured on what, all numbers, and the classes one by one."""
    point = evaluation.thresholds
    intro = (
        f"# {evaluation.run} on {evaluation.split}\n\n"
        f"{evaluation.n_images} images of {evaluation.n_patients} patients, {evaluation.n_boxes} boxes. "
        f"Operating point: score from {point.conf:g}, suppression IoU {point.iou:g}"
        f"{' across classes' if point.agnostic else ''}, chosen on {point.chosen_on} by {point.objective or 'hand'}. "
        f"Average precision and sensitivity use every box from score 0.001 up. In brackets: 95 % intervals from "
        f"{evaluation.resamples} resamples of the patients.\n"
    )
    numbers = markdown_table(
        ["metric", "value"], [[metric.name, _with_interval(metric)] for metric in evaluation.metrics]
    )
    return f"{intro}\n{numbers}\n\n{class_table(evaluation)}\n"


def evaluation_summary(evaluation: "Evaluation") -> str:
    """The numbers that matter most, for the terminal: one line each, and the classes one by one."""
    head = f"{evaluation.split}: {evaluation.n_images} images, {evaluation.n_boxes} boxes (95 % intervals in brackets)"
    numbers = [metric for metric in evaluation.metrics if metric.name in SUMMARY or metric.name.endswith(AT_POINT)]
    width = max(len(metric.name) for metric in numbers)
    lines = [f"  {metric.name:<{width}}  {_with_interval(metric)}" for metric in numbers]
    return "\n".join([head, *lines, class_table(evaluation)])


def class_table(evaluation: "Evaluation") -> str:
    """One row a class: average precision, and the counts at the operating point.

    Where a class is unknown on some images, a column says how many images each class was measured on.
    """
    partly_unknown = any(row.n_images != evaluation.n_images for row in evaluation.per_class)
    images = ["images"] if partly_unknown else []
    header = ["class", *images, "boxes", "AP50", "AP40", "AP50-95"]
    header += ["found", "false alarms", "precision", "recall", "F1"]
    rows = [
        [
            *((row.name, row.n_images) if partly_unknown else (row.name,)),
            *(row.n_boxes, with_interval(row.ap50, row.ap50_low, row.ap50_high), row.ap40, row.ap50_95),
            *(row.found, row.false_alarms, row.precision, row.recall, row.f1),
        ]
        for row in evaluation.per_class
    ]
    return markdown_table(header, rows)


def _with_interval(metric: Metric) -> str:
    return with_interval(metric.value, metric.low, metric.high)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
