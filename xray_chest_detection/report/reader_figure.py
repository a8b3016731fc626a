"""Readers one by one: what they find, what they add, and how exactly they draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from xray_chest_detection.data.reader_table import ReaderRow
from xray_chest_detection.data.readings import FloatArray
from xray_chest_detection.report.agreement_figures import MIN_BOXES
from xray_chest_detection.report.canvas import INK, QUIET, save_figure, tidy_axes

_COLOUR = "#0072b2"
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # where a name may stand


def draw_readers(rows: Sequence[ReaderRow], path: Path) -> Path:
    """Sensitivity over false positives, the marker's area by boxes drawn, beside the error of each reader's edges.

    Readers with too few boxes are left out and named below.

    Raises:
        ValueError: No reader has enough boxes.
    """
    shown = [row for row in rows if row.boxes >= MIN_BOXES]
    if not shown:
        raise ValueError(f"no reader has drawn {MIN_BOXES} boxes")
    figure = Figure(figsize=(10.5, max(4.6, 1.6 + 0.27 * len(shown))), layout="constrained")
    plane, errors = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_errors(errors, shown)
    left_out = [row.reader for row in rows if row not in shown]
    note = "Estimates of the reader-aware consensus on images on which somebody drew something."
    note += f"\nFewer than {MIN_BOXES} boxes: {', '.join(left_out)}." if left_out else ""
    figure.supxlabel(note, fontsize=9, color=QUIET)
    _draw_plane(figure, plane, shown)
    return save_figure(figure, path)


def _draw_plane(figure: Figure, axes: Axes, rows: Sequence[ReaderRow]) -> None:
    x = np.array([row.false_positives for row in rows], np.float64)
    y = np.array([row.sensitivity for row in rows], np.float64)
    share = np.sqrt(np.array([row.boxes for row in rows]) / max(row.boxes for row in rows))
    sizes = (4 + 12 * share) ** 2  # square points
    axes.scatter(x, y, s=sizes, color=_COLOUR, alpha=0.75, edgecolor="white", linewidth=1)
    tidy_axes(axes, "false positives per image with a finding", "sensitivity")
    axes.set_xlim(0, 1.12 * x.max())
    axes.set_ylim(0, 1.02)
    axes.set_title("Marker: boxes drawn", fontsize=10)
    _label_points(figure, axes, [row.reader for row in rows], x, y, np.sqrt(sizes) / 2)


def _draw_errors(axes: Axes, rows: Sequence[ReaderRow]) -> None:
    errors = [100 * (row.edge_error or 0) for row in rows]
    axes.hlines(range(len(rows)), 0, errors, color=_COLOUR, alpha=0.4, linewidth=2)
    axes.plot(errors, range(len(rows)), "o", color=_COLOUR)
    tidy_axes(axes, "error of the edges, % of the box's side", "")
    axes.set_yticks(range(len(rows)), [f"{row.reader}  ({row.boxes})" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.15 * max(errors))
    axes.set_title("Boxes drawn in brackets", fontsize=10)


def _label_points(
    figure: Figure, axes: Axes, names: Sequence[str], x: FloatArray, y: FloatArray, radius: FloatArray
) -> None:
    """Write each name beside its point, on the first side where it covers neither point nor name, else on the right."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the layout is known only now
    scale = figure.dpi / 72
    centres = axes.transData.transform(np.column_stack([x, y]))
    taken = [
        Bbox.from_extents(*(centre - size * scale), *(centre + size * scale))
        for centre, size in zip(centres, radius, strict=True)
    ]
    for name, place, size in zip(names, zip(x, y, strict=True), radius, strict=True):
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": INK, "va": "center"}
        for side_x, side_y in _SIDES:
            offset = (side_x * (size + 2), side_y * (size + 7))
            label = axes.annotate(name, place, offset, ha=("center", "left", "right")[side_x], **style)
            extent = label.get_window_extent(canvas.get_renderer())
            if not any(extent.overlaps(other) for other in taken):
                break
            label.remove()
        else:
            label = axes.annotate(name, place, (size + 2, 0), ha="left", **style)
            extent = label.get_window_extent(canvas.get_renderer())
        taken.append(extent)
