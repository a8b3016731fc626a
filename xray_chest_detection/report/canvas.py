"""What every figure shares: colours, axes and how a figure becomes a file. Needs matplotlib only.

Drawn with matplotlib's object interface: no window system, no global state.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.inference.palette import mark_of

FOLDER = "figures"
DPI = 150
INK, QUIET, GRID = "#1b1f23", "#6a737d", "#e1e4e8"
PAPER, TEXT_ON_BLACK, QUIET_ON_BLACK = "#0b0c0e", "#e6e8ea", "#9aa1a7"
# The marks' colours are made for black films; on paper the light ones need to be darker.
_ON_PAPER = {"#f0e442": "#b8a900", "#ffffff": "#444444", "#e8e8e8": "#444444", "#56b4e9": "#2f8fc7"}


def class_colour(name: str) -> str:
    """The colour of a class on white paper."""
    colour = mark_of(name).colour
    return _ON_PAPER.get(colour, colour)


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    return path


def save_small_figure(figure: Figure, path: Path) -> Path:
    """Write a figure of flat colours as PNG with a palette of 256: a third of the size, no difference to the eye."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic_path(path) as temporary:
        picture.quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)
    return path


def tidy_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Labels, a light grid behind the data, and no frame on the right and above."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
