"""Figures of the agreement of readers: pairs of readers, classes, and readers one by one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xray_chest_detection.data.agreement_results import ALL_CLASSES, Agreement, Estimate, PairAgreement
from xray_chest_detection.report.canvas import INK, QUIET, save_figure, tidy_axes

MIN_IMAGES, MIN_BOXES = 30, 10
_COLOUR, _MASKED = "#0072b2", "#f2f3f5"


def draw_pairs(agreement: Agreement, path: Path) -> Path:
    """Kappa of presence and match rate of each pair of readers, above the number of images that both read.

    Readers who appear in no pair with enough images and boxes are left out and named below.

    Raises:
        ValueError: No pair has enough images and boxes; see `is_enough`.
    """
    rows = [row for row in agreement.pairs if row.class_name == ALL_CLASSES]
    readers = tuple(dict.fromkeys(name for row in rows for name in (row.first, row.second)))
    shown = [name for name in readers if any(is_enough(row) for row in rows if name in (row.first, row.second))]
    if not shown:
        raise ValueError("no pair of readers has enough images and boxes to be drawn")
    side = 1.6 + 0.56 * max(len(shown), 4)
    figure = Figure(figsize=(2 * side + 0.8, side + 0.9))
    figure.set_layout_engine("constrained", wspace=0.06)
    panels = figure.subplots(1, 2)
    titles = ("Cohen's kappa: class present or not, all classes", "match rate of boxes, IoU 0.4, all classes")
    values = ([row.kappa for row in rows], [row.match_rate_40 for row in rows])
    for axes, title, estimates in zip(panels, titles, values, strict=True):
        _draw_matrix(axes, shown, rows, estimates)
        axes.set_title(title, fontsize=11)
    left_out = [name for name in readers if name not in shown]
    note = f"Below the diagonal: images that both read. Grey: fewer than {MIN_IMAGES} images or {MIN_BOXES} boxes."
    note += f"\nLeft out, because they are in such pairs only: {', '.join(left_out)}." if left_out else ""
    figure.supxlabel(note, fontsize=9, color=QUIET)
    return save_figure(figure, path)


def draw_classes(agreement: Agreement, path: Path) -> Path:
    """Match rate, alpha of presence and alpha of boxes of each class with intervals, best matched class on top."""
    named = sorted(agreement.classes[:-2], key=lambda row: (row.match_rate_40.value or 0, row.class_name))
    rows = [*agreement.classes[-2:][::-1], *named]
    places = np.array([0.0, 1.0, *np.arange(len(named)) + 2.5])
    figure = Figure(figsize=(10.5, 1.5 + 0.31 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    columns = (
        ("match rate of boxes, IoU 0.4", [row.match_rate_40 for row in rows]),
        ("alpha: class present or not", [row.presence_alpha for row in rows]),
        ("alpha of boxes, IoU 0.4", [row.box_alpha for row in rows]),
    )
    lowest = min([0.0, *(value.low for _, column in columns for value in column if value.low is not None)])
    for axes, (title, column) in zip(panels, columns, strict=True):
        tidy_axes(axes, title, "")
        _draw_intervals(axes, column, places)
        axes.axhline(1.75, color=QUIET, linewidth=0.8)
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set_xlim(lowest - 0.04, 1.04)
    panels[0].set_yticks(places, [f"{row.class_name}  ({row.boxes})" for row in rows])
    panels[0].set_ylim(places[0] - 0.6, places[-1] + 0.6)
    intervals = f", 95 % intervals from {agreement.resamples} resamples" if agreement.resamples else ""
    figure.suptitle(
        f"{agreement.readers} readers, {agreement.images} images; boxes drawn in brackets{intervals}", fontsize=11
    )
    return save_figure(figure, path)


def is_enough(row: PairAgreement) -> bool:
    """Whether a pair has enough images and boxes for its numbers to mean something."""
    return row.images >= MIN_IMAGES and row.boxes_first + row.boxes_second >= MIN_BOXES


def _draw_matrix(
    axes: Axes, names: Sequence[str], rows: Sequence[PairAgreement], estimates: Sequence[Estimate]
) -> None:
    count = len(names)
    values, images = np.full((count, count), np.nan), np.zeros((count, count), np.int64)
    for row, estimate in zip(rows, estimates, strict=True):
        if row.first in names and row.second in names:
            one, other = names.index(row.first), names.index(row.second)
            images[other, one] = row.images
            if is_enough(row) and estimate.value is not None:
                values[one, other] = estimate.value
    axes.set_facecolor("white")
    masked: NDArray[np.float64] = np.where(np.triu(np.ones((count, count)), 1) > 0, 1.0, np.nan)
    axes.imshow(masked, cmap="Greys", norm=Normalize(0, 12))
    axes.imshow(values, cmap="viridis", norm=Normalize(0, 1))
    for one, other in np.ndindex(count, count):
        if np.isfinite(values[one, other]):
            colour = "white" if values[one, other] < 0.65 else "black"
            axes.text(other, one, f"{values[one, other]:.2f}", ha="center", va="center", color=colour, fontsize=9)
        elif one > other:
            axes.text(other, one, str(images[one, other]), ha="center", va="center", color=QUIET, fontsize=8)
    axes.set_xticks(range(count), names)
    axes.set_yticks(range(count), names)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_intervals(axes: Axes, column: Sequence[Estimate], places: NDArray[np.float64]) -> None:
    for estimate, place in zip(column, places, strict=True):
        if estimate.value is None:
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [place, place], color=_COLOUR, linewidth=2.2, alpha=0.55)
        axes.plot([estimate.value], [place], "o", color=_COLOUR, markersize=5)
        edge = estimate.value if estimate.high is None else estimate.high
        at_right = edge > 0.82
        start = (estimate.value if estimate.low is None else estimate.low) if at_right else edge
        axes.annotate(
            f"{estimate.value:.2f}",
            (start, place),
            xytext=(-6 if at_right else 6, 0),
            textcoords="offset points",
            ha="right" if at_right else "left",
            va="center",
            fontsize=8,
            color=INK,
        )
