"""What every table of results shares, as Markdown."""

from collections.abc import Sequence

from xray_chest_detection.core.model_card import Metric

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


def metric_text(metric: Metric | None) -> str:
    """A metric with its interval; `-` when it is undefined or was not measured."""
    return "-" if metric is None else with_interval(metric.value, metric.low, metric.high)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)
