"""What the augmentations of a training do to a film."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xray_chest_detection.detect.augment.preview import Preview
from xray_chest_detection.report.canvas import PAPER, QUIET_ON_BLACK, TEXT_ON_BLACK, save_figure
from xray_chest_detection.report.marks import draw_boxes_on


def draw_augmentations(previews: Sequence[Preview], classes: Sequence[str], path: Path, *, columns: int = 5) -> Path:
    """One film under each augmentation, with its boxes; titles are keys of the configuration."""
    rows = -(-len(previews) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.45 * rows + 0.4), layout="constrained", facecolor=PAPER)
    cells = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, shown in zip(cells, previews, strict=False):
        axes.imshow(shown.pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        draw_boxes_on(axes, shown.xyxy, [classes[class_id] for class_id in shown.class_id], None)
        axes.set_title(shown.title, color=TEXT_ON_BLACK, fontsize=10, loc="left")
    figure.supxlabel(
        "numbers: the probability or the largest strength in the configuration; "
        "each step alone is the strongest of twelve draws",
        color=QUIET_ON_BLACK,
        fontsize=9,
    )
    return save_figure(figure, path)
