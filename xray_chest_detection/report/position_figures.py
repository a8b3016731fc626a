"""Figures of where boxes lie and how large they are: heat maps per class, and every pair of x, y, width and height."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xray_chest_detection.data.box_sources import BoxSource
from xray_chest_detection.report.canvas import QUIET, save_small_figure, tidy_axes

CELLS = 96
BINS = 48
_COLUMNS = 8


def draw_positions(sources: Sequence[BoxSource], colours: Sequence[str], path: Path) -> Path:
    """Heat maps of each class: the share of its boxes that cover a place, white for none, dark for the most."""
    lines = [-(-len(source.classes) // _COLUMNS) for source in sources]
    figure = Figure(figsize=(13.2, 1.95 * sum(lines) + 0.45 * len(sources) + 0.25), layout="constrained")
    blocks = figure.subfigures(len(sources), 1, squeeze=False, height_ratios=[line + 0.25 for line in lines])
    for block, source, colour, count in zip(blocks[:, 0], sources, colours, lines, strict=True):
        block.suptitle(f"{source.title}, {source.counted}; {_frame(source)}", fontsize=10.5, x=0.005, ha="left")
        cells = np.ravel(block.subplots(count, _COLUMNS))
        for axes in cells:
            axes.axis("off")
        _draw_maps(list(cells), source, colour)
    figure.supxlabel(
        "Colour: share of a class's boxes that cover a place, from none (white) to the share below its name (darkest)",
        fontsize=9,
        color=QUIET,
    )
    return save_small_figure(figure, path)


def draw_correlogram(source: BoxSource, colour: str, path: Path) -> Path:
    """Every pair of centre x, centre y, width and height as shares of the image, and each by itself.

    Without image sizes only width and height are drawn, in pixels.
    """
    values = _centres_and_sides(source)
    names, side = list(values), len(values)
    figure = Figure(figsize=(2.1 * side + 1.2, 2.1 * side + 0.9), layout="constrained")
    cells: Any = figure.subplots(side, side, squeeze=False)
    top = 1.0 if source.size_px is not None else float(max(column.max() for column in values.values()))
    for row, column in np.ndindex(side, side):
        axes: Axes = cells[row][column]
        if column > row:
            axes.set_visible(False)
            continue
        _draw_cell(axes, values[names[column]], None if row == column else values[names[row]], colour, top)
        tidy_axes(axes, names[column] if row == side - 1 else "", names[row] if column == 0 and row else "")
        axes.tick_params(labelbottom=row == side - 1, labelleft=column == 0 and row > 0, labelsize=8)
        if row == column:
            axes.tick_params(left=False)
            axes.grid(visible=False)
    unit = "shares of the image" if source.size_px is not None else "no places: the table has no image sizes"
    figure.suptitle(f"{source.title}\n{source.counted}\n{unit}; darker: more boxes, logarithmic", fontsize=10)
    return save_small_figure(figure, path)


def coverage(unit_xyxy: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
    """Share of boxes that cover each cell of a square grid.

    Args:
        unit_xyxy: Boxes `(N, 4)` in [0, 1]; parts outside are cut off.
        cells: Number of cells along a side.

    Returns:
        `(cells, cells)` in [0, 1], rows first; a cell counts when the box covers any of it. Zeros for no boxes.

    >>> coverage(np.array([[0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0]]), 2).tolist()
    [[0.5, 0.0], [1.0, 0.5]]
    """
    scaled = np.clip(unit_xyxy, 0, 1) * cells
    low = np.minimum(np.floor(scaled[:, :2]), cells - 1).astype(np.int64)
    high = np.maximum(np.ceil(scaled[:, 2:]).astype(np.int64), low + 1)
    corners = np.zeros((cells + 1, cells + 1))
    for x, y, sign in ((low, low, 1), (high, low, -1), (low, high, -1), (high, high, 1)):
        np.add.at(corners, (y[:, 1], x[:, 0]), sign)
    return np.asarray(corners.cumsum(axis=0).cumsum(axis=1)[:cells, :cells] / max(len(unit_xyxy), 1))


def _draw_maps(cells: Sequence[Axes], source: BoxSource, colour: str) -> None:
    whole = _frame_px(source) if source.size_px is None else np.tile(source.size_px, 2)
    unit = source.xyxy / whole
    for index, name in enumerate(source.classes):
        axes, rows = cells[index], source.class_id == index
        covered = coverage(unit[rows], CELLS)
        axes.axis("on")
        axes.imshow(covered, cmap=_shades(colour), vmin=0, interpolation="nearest")
        axes.set_title(f"{name}\n{np.count_nonzero(rows):,} boxes, {covered.max():.0%}", fontsize=8.5)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("#c8ccd1")


def _frame_px(source: BoxSource) -> float:
    """Side of a square that holds all boxes, in whole hundreds of pixels."""
    return float(100 * np.ceil(source.xyxy[:, 2:].max() / 100))


def _frame(source: BoxSource) -> str:
    if source.size_px is not None:
        return "a map is the whole image"
    return f"a map is {_frame_px(source):,.0f} px a side, from the top left corner (the table has no image sizes)"


def _draw_cell(
    axes: Axes, across: NDArray[np.float64], up: NDArray[np.float64] | None, colour: str, top: float
) -> None:
    """A histogram of one value, or of two against each other."""
    edges = np.linspace(0, top, BINS + 1)
    axes.set_xlim(0, top)
    if up is None:
        axes.stairs(np.histogram(across, edges)[0], edges, fill=True, color=colour)
        return
    counts, _, _ = np.histogram2d(across, up, (edges, edges))
    shown = np.ma.masked_equal(counts.T, 0)
    axes.pcolormesh(edges, edges, shown, cmap=_shades(colour), norm=LogNorm(0.5, max(counts.max(), 1.0)))
    axes.set_ylim(0, top)


def _centres_and_sides(source: BoxSource) -> dict[str, NDArray[np.float64]]:
    sides = source.xyxy[:, 2:] - source.xyxy[:, :2]
    if source.size_px is None:
        return {"width, px": sides[:, 0], "height, px": sides[:, 1]}
    centre = (source.xyxy[:, :2] + source.xyxy[:, 2:]) / 2 / source.size_px
    sides = sides / source.size_px
    return {"centre x": centre[:, 0], "centre y (0: top)": centre[:, 1], "width": sides[:, 0], "height": sides[:, 1]}


def _shades(colour: str) -> LinearSegmentedColormap:
    """White to a colour to nearly black, so that both ends tell apart in grey as well."""
    return LinearSegmentedColormap.from_list("shades", ["#ffffff", colour, "#14171a"])
