"""The images that readers disagree on most: every reader's boxes in the reader's colour, silent readers named."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.data.reading_source import Film
from xray_chest_detection.data.readings import SEPARATOR, Readings
from xray_chest_detection.report.canvas import PAPER, QUIET_ON_BLACK, TEXT_ON_BLACK, save_figure

Progress = Callable[[Iterable[int], int], Iterable[int]]

COLUMNS = 4
MAX_NAMED_BOXES = 14
LETTER = 0.0145  # width of a letter of a name, as a share of the film's longer side
# Okabe and Ito's, as the palette of the classes. The readers of one image take them in turn; an eighth gets dashes.
_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00", "#ffffff")


class _Pen(NamedTuple):
    """How one reader's boxes are drawn on one image, and where their names stand, so that each keeps its own side."""

    colour: str
    line: str
    side: int


def draw_disputed(
    readings: Readings,
    disputed: pd.DataFrame,
    films: Mapping[str, Film],
    path: Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """One cell an image, in the order of the table.

    Args:
        readings: What everybody drew.
        disputed: Rows of `data.disagreement.disagreement_table`, one at least.
        films: Image name to film.
        path: PNG file to write.
        progress: Wraps the images.

    Raises:
        ImageError: A film cannot be read.
    """
    count = len(disputed)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.9 * columns, 4.3 * rows + 0.7), layout="constrained", facecolor=PAPER)
    cells = np.atleast_1d(figure.subplots(rows, columns)).reshape(-1)
    for axes in cells:
        axes.axis("off")
    for number in progress(range(count), count) if progress else range(count):
        row = disputed.iloc[number]
        pens = {name: _pen_of(place) for place, name in enumerate(row["readers"].split(SEPARATOR))}
        drawn = readings.select(readings.image == readings.images.index(row["image_id"]))
        _draw_film(cells[number], drawn, films[row["image_id"]], pens)
        _caption(cells[number], row, drawn, pens)
    figure.suptitle("Images that their readers disagree on most", color=TEXT_ON_BLACK, fontsize=12)
    figure.supxlabel(NOT_A_DEVICE, color=QUIET_ON_BLACK, fontsize=8)
    return save_figure(figure, path)


def _pen_of(place: int) -> _Pen:
    return _Pen(_COLOURS[place % len(_COLOURS)], "-" if place < len(_COLOURS) else "--", place % 4)


def _draw_film(axes: Axes, drawn: Readings, film: Film, pens: Mapping[str, _Pen]) -> None:
    pixels = read_image(film.path).pixels
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    scale = np.array([pixels.shape[1] / film.width, pixels.shape[0] / film.height] * 2)
    for reader, class_id, xyxy in zip(drawn.reader, drawn.class_id, drawn.xyxy * scale, strict=True):
        pen = pens[drawn.readers[reader]]
        x_min, y_min, x_max, y_max = xyxy.tolist()
        size = (x_max - x_min, y_max - y_min)
        axes.add_patch(
            Rectangle((x_min, y_min), *size, fill=False, edgecolor=pen.colour, linewidth=1.3, linestyle=pen.line)
        )
        if len(drawn) <= MAX_NAMED_BOXES:
            _name_box(axes, drawn.classes[class_id], (x_min, y_min, x_max, y_max), pen, shape=pixels.shape)


def _name_box(
    axes: Axes, text: str, xyxy: tuple[float, float, float, float], pen: _Pen, *, shape: tuple[int, ...]
) -> None:
    """Write a name beside its box, moved inwards where it would leave the film."""
    x_min, y_min, x_max, y_max = xyxy
    middle = (y_min + y_max) / 2
    x, y, horizontal, vertical = (
        (x_min, y_min, "left", "bottom"),
        (x_min, y_max, "left", "top"),
        (x_max, middle, "left", "center"),
        (x_min, middle, "right", "center"),
    )[pen.side]
    length = LETTER * len(text) * max(shape[:2])
    x = min(x, shape[1] - length) if horizontal == "left" else max(x, length)
    back = {"facecolor": "#101214", "edgecolor": "none", "pad": 0.8, "alpha": 0.7}
    axes.text(x, y, text, color=pen.colour, fontsize=6, ha=horizontal, va=vertical, bbox=back, clip_on=True)


def _caption(axes: Axes, row: pd.Series, drawn: Readings, pens: Mapping[str, _Pen]) -> None:
    """What is disputed, and below, in each reader's colour, how many boxes he drew."""
    many = "" if row["boxes"] <= MAX_NAMED_BOXES else f", {row['boxes']} boxes not named"
    title = f"{row['image_id'][:12]}: {row['disagreement']:.1f} of {row['findings']} findings in dispute{many}\n"
    axes.set_title(title, color=TEXT_ON_BLACK, fontsize=8, loc="left")
    for place, (name, pen) in enumerate(pens.items()):
        boxes = int((drawn.reader == drawn.readers.index(name)).sum())
        text = f"{name}: {'silent' if not boxes else '1 box' if boxes == 1 else f'{boxes} boxes'}"
        axes.text(place / len(pens), 1.015, text, color=pen.colour, fontsize=8, transform=axes.transAxes, va="bottom")
