"""Figures of what is in a data set: classes, boxes per image, shapes and sizes, one colour per source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from xray_chest_detection.data.box_sources import BoxSource
from xray_chest_detection.report.canvas import INK, QUIET, save_small_figure, tidy_axes
from xray_chest_detection.report.position_figures import draw_correlogram, draw_positions

_COLOURS = {"nih": "#0072b2", "vinbigdata": "#d55e00"}
_OTHER_COLOURS = ("#009e73", "#cc79a7", "#b8860b", "#555555")
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_ASPECT_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8)
_BARS, _SHOWN = 10, 0.99  # above so many bars, this share of the images has bars of its own; the others share one


def draw_sources(sources: Sequence[BoxSource], folder: Path) -> list[Path]:
    """Every figure of some sources: `boxes-*.png`."""
    colours = source_colours(sources)
    return [
        draw_classes(sources, colours, folder / "boxes-classes.png"),
        draw_counts(sources, colours, folder / "boxes-per-image.png"),
        draw_shapes(sources, colours, folder / "boxes-shapes.png"),
        draw_positions(sources, colours, folder / "boxes-positions.png"),
        *(
            draw_correlogram(source, colour, folder / f"boxes-correlogram-{source.key}.png")
            for source, colour in zip(sources, colours, strict=True)
        ),
    ]


def source_colours(sources: Sequence[BoxSource]) -> list[str]:
    """One colour a source, the same in every figure, whatever stands beside it."""
    others = [source.key for source in sources if source.key not in _COLOURS]
    return [
        _COLOURS.get(source.key) or _OTHER_COLOURS[others.index(source.key) % len(_OTHER_COLOURS)] for source in sources
    ]


def draw_classes(sources: Sequence[BoxSource], colours: Sequence[str], path: Path) -> Path:
    """Boxes of each class and the number of images they are on; image-level labels below, where the table has them."""
    panels: list[tuple[str, str, str, dict[str, int], list[str]]] = []
    for source, colour in zip(sources, colours, strict=True):
        boxes = np.bincount(source.class_id, minlength=len(source.classes))
        images = [len(np.unique(source.image[source.class_id == index])) for index in range(len(source.classes))]
        notes = [f"{count:,}  ({on:,})" for count, on in zip(boxes, images, strict=True)]
        counts = dict(zip(source.classes, map(int, boxes), strict=True))
        panels.append((f"{source.title}\n{source.counted}", "boxes (images with one)", colour, counts, notes))
        if source.labels:
            title = f"{source.name}\nlabels of {source.n_images:,} images"
            panels.append((title, "images", QUIET, source.labels, [f"{count:,}" for count in source.labels.values()]))
    bars = max(len(panel[3]) for panel in panels)
    figure, cells = _grid(len(panels), width=4.7, height=0.27 * bars + 1.1, columns=3)
    for axes, (title, x_label, colour, counts, notes) in zip(cells, panels, strict=True):
        axes.barh(range(len(counts)), list(counts.values()), color=colour, height=0.72)
        for place, (count, note) in enumerate(zip(counts.values(), notes, strict=True)):
            axes.annotate(note, (count, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
        _name_rows(axes, list(counts), rows=bars)
        tidy_axes(axes, x_label, "")
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.4 * max(counts.values()))
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_title(title, fontsize=10, loc="left")
    return save_small_figure(figure, path)


def draw_counts(sources: Sequence[BoxSource], colours: Sequence[str], path: Path) -> Path:
    """Boxes per image; for sources with several readers, boxes per reader and image, and readers who drew something."""
    panels: list[tuple[str, str, str, str, NDArray[np.int64]]] = []
    for source, colour in zip(sources, colours, strict=True):
        per_image = np.bincount(source.image)
        without = "" if source.n_images is None else f"\n{source.n_images - len(per_image):,} images have no box"
        panels.append((f"{source.name}{without}", "boxes per image", "images", colour, per_image))
        if source.per_reading is not None and source.who_drew is not None:
            drawn = source.per_reading[source.per_reading > 0]
            title = f"{source.name}, reader by reader\n{len(source.per_reading) - len(drawn):,} readings have no box"
            panels.append((title, "boxes per image and reader", "readings", colour, drawn))
            title = f"{source.name}\n{len(source.who_drew):,} images"
            panels.append((title, "readers who drew something", "images", colour, source.who_drew))
    figure, cells = _grid(len(panels), width=3.4, height=3.0, columns=4)
    for axes, (title, x_label, y_label, colour, values) in zip(cells, panels, strict=True):
        _draw_histogram(axes, values, colour)
        tidy_axes(axes, x_label, y_label)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_title(title, fontsize=9.5, loc="left")
    return save_small_figure(figure, path)


def draw_shapes(sources: Sequence[BoxSource], colours: Sequence[str], path: Path) -> Path:
    """Width over height and size of the boxes of each class: median, middle half and 5 to 95 %."""
    heights = [len(source.classes) + 2.2 for source in sources]
    figure = Figure(figsize=(10.5, 0.27 * sum(heights) + 0.4), layout="constrained")
    cells = figure.subplots(len(sources), 2, squeeze=False, height_ratios=heights)
    for (aspect, area), source, colour in zip(cells, sources, colours, strict=True):
        sides = source.xyxy[:, 2:] - source.xyxy[:, :2]
        _draw_ranges(aspect, np.log2(sides[:, 0] / sides[:, 1]), source, colour)
        aspect.set_xticks(np.log2(_ASPECT_TICKS), ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        aspect.axvline(0, color=QUIET, linewidth=0.8, zorder=0)
        tidy_axes(aspect, "width / height", "")
        counts = np.bincount(source.class_id, minlength=len(source.classes))
        _name_rows(aspect, [f"{name}  ({count:,})" for name, count in zip(source.classes, counts, strict=True)])
        if source.size_px is None:
            _draw_ranges(area, np.sqrt(sides.prod(axis=1)), source, colour)
            tidy_axes(area, "√(width × height), pixels", "")
            area.set_title("the table has no image sizes", fontsize=9, color=QUIET, loc="right")
        else:
            _draw_ranges(area, 100 * (sides / source.size_px).prod(axis=1), source, colour)
            tidy_axes(area, "area, % of the image", "")
        area.set_xlim(left=0)
        _name_rows(area, [""] * len(source.classes))
        aspect.set_title(f"{source.title}: {source.counted}", fontsize=10, loc="left")
    figure.supxlabel("line: median, bar: middle half, whiskers: 5 to 95 % of the boxes", fontsize=9, color=QUIET)
    return save_small_figure(figure, path)


def _grid(count: int, *, width: float, height: float, columns: int) -> tuple[Figure, list[Any]]:
    """A figure with panels of this size in inches, at most so many beside each other."""
    columns = min(count, columns)
    lines = -(-count // columns)
    figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
    cells = list(np.ravel(figure.subplots(lines, columns, squeeze=False)))
    for axes in cells[count:]:
        axes.set_visible(False)
    return figure, cells[:count]


def _name_rows(axes: Axes, names: Sequence[str], *, rows: int | None = None) -> None:
    """Names beside the bars; room for more rows than there are names keeps bars of one height across panels."""
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim((rows or len(names)) - 0.4, -0.6)


def _draw_histogram(axes: Axes, values: NDArray[np.int64], colour: str) -> None:
    """Bars of whole numbers; the rare large ones share the last bar."""
    first, last = int(values.min()), int(values.max())
    if last - first > _BARS:
        last = max(int(np.quantile(values, _SHOWN)), first + _BARS)
    shown = np.arange(first, last + 1)
    counts = np.bincount(np.minimum(values, last) - first, minlength=len(shown))
    axes.bar(shown, counts, color=colour, width=0.8)
    step = 1 if len(shown) <= _BARS + 1 else 5
    over = values.max() > last
    room = max(step, 1 + over)  # the last name is wider
    ticks = [*(number for number in range(first, last - room + 1) if number % step == 0), last]
    axes.set_xticks(ticks, [f"{number}+" if over and number == last else str(number) for number in ticks])
    axes.margins(y=0.12)
    if len(shown) <= 5:
        for place, count in zip(shown, counts, strict=True):
            axes.annotate(f"{count:,}", (place, count), (0, 3), textcoords="offset points", ha="center", fontsize=8.5)


def _draw_ranges(axes: Axes, values: NDArray[np.float64], source: BoxSource, colour: str) -> None:
    """Median, middle half and 5 to 95 % of the values of each class."""
    for index in range(len(source.classes)):
        low, first, middle, third, high = np.quantile(values[source.class_id == index], _QUANTILES)
        axes.hlines(index, low, high, color=colour, linewidth=1.2)
        axes.barh(index, third - first, left=first, height=0.56, color=colour, alpha=0.55)
        axes.vlines(middle, index - 0.36, index + 0.36, color=INK, linewidth=1.8)
