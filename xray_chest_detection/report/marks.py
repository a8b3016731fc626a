"""Boxes and their names on a film."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from xray_chest_detection.inference.palette import mark_of
from xray_chest_detection.report.canvas import PAPER, TEXT_ON_BLACK

_NAME_PT = 6.0

Box = tuple[float, float, float, float]


def draw_boxes_on(
    axes: Axes, xyxy: NDArray[np.floating], names: Sequence[str], score: NDArray[np.floating] | None
) -> None:
    """Draw boxes `(N, 4)` in the classes' colours, named by class when there is no score, else by letter and score.

    The film must be on the axes already: names are put where they cover neither its edge nor each other.
    """
    taken: list[Box] = []
    for row, (name, (x_min, y_min, x_max, y_max)) in enumerate(zip(names, xyxy.tolist(), strict=True)):
        colour = mark_of(name).colour
        size = (x_max - x_min, y_max - y_min)
        axes.add_patch(Rectangle((x_min, y_min), *size, fill=False, edgecolor=colour, linewidth=1.2))
        text = name if score is None else f"{mark_of(name).letter} {score[row]:.2f}"
        place = _free_place(axes, (x_min, y_min, x_max, y_max), len(text), taken)
        taken.append(place)
        plate = {"facecolor": PAPER, "edgecolor": colour, "linewidth": 0.7, "pad": 1, "alpha": 0.85}
        axes.text(place[0], place[3], text, color=TEXT_ON_BLACK, fontsize=_NAME_PT, va="bottom", bbox=plate)


def _free_place(axes: Axes, box: Box, letters: int, taken: Sequence[Box]) -> Box:
    """Where a name of so many letters stands: above the box, below it, inside or a line off, from its left or right."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    per_point = (right - left) / (axes.bbox.width / axes.figure.dpi * 72)
    width, height = (0.62 * letters + 0.4) * _NAME_PT * per_point, 1.5 * _NAME_PT * per_point
    x_min, y_min, x_max, y_max = box
    starts = [min(max(x, left), right - width) for x in (x_min, x_max - width)]
    lines = (y_min, y_max + height, y_min + height, y_max, y_min - height, y_max + 2 * height)
    ends = [min(max(y, top + height), bottom) for y in lines]
    places = [(x, y - height, x + width, y) for y in ends for x in starts]
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
