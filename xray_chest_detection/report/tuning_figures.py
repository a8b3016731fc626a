"""The grid of operating points as heat maps."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from xray_chest_detection.detect.thresholds import TunedThresholds
from xray_chest_detection.detect.tuning.grid import Axes as GridAxes
from xray_chest_detection.detect.tuning.grid import GridPoint
from xray_chest_detection.report.canvas import save_figure

GRID_FIGURE = "nms-grid.png"
_MOST_NUMBERS = 12  # columns up to which every cell has room for its number
_CHOSEN, _REFUSED = "#d55e00", "#c8c8c8"


def draw_grid(tuned: TunedThresholds, points: Sequence[GridPoint], path: Path) -> Path:
    """Heat maps of the objective over score threshold and overlap, one per suppression mode, in one scale of colours.

    The chosen point is framed, what was chosen without one fold of the patients has a dot, and points that break the
    limit of the objective are grey.
    """
    grid = GridAxes(tuple(sorted({point.conf for point in points})), tuple(sorted({point.iou for point in points})))
    modes = sorted({point.agnostic for point in points})
    figure = Figure(figsize=(1.4 + 5.0 * len(modes), 4.8), layout="constrained")
    highest = max((point.score for point in points if point.allowed), default=0.0)
    panels = np.atleast_1d(figure.subplots(1, len(modes), sharey=True))
    for axes, agnostic in zip(panels, modes, strict=True):
        shown = [point for point in points if point.agnostic == agnostic]
        image = _heat_map(axes, shown, grid, highest=max(highest, 1e-9))
        if len(modes) > 1:
            axes.set_title("suppression across classes" if agnostic else "suppression within classes", fontsize=10)
        _mark(axes, tuned, grid, agnostic=agnostic)
    panels[0].set_ylabel("suppression IoU")
    figure.colorbar(image, ax=list(panels), fraction=0.04, pad=0.02)
    figure.suptitle(_title(tuned), fontsize=11)
    refused = any(not point.allowed for point in points)
    figure.legend(
        handles=_legend(tuned, refused=refused),
        loc="outside lower center",
        ncols=3 if len(modes) > 1 else 1,
        frameon=False,
        fontsize=9,
    )
    return save_figure(figure, path)


def _heat_map(axes: Axes, points: Sequence[GridPoint], grid: GridAxes, *, highest: float) -> AxesImage:
    at = {(point.conf, point.iou): point for point in points}
    rows = [[at[conf, iou] for conf in grid.confs] for iou in grid.ious]
    values = np.array([[point.score if point.allowed else np.nan for point in row] for row in rows])
    axes.set_facecolor(_REFUSED)
    image = axes.imshow(values, cmap="viridis", vmin=0, vmax=highest, aspect="auto", origin="lower")
    few = len(grid.confs) <= _MOST_NUMBERS
    for row, column in np.ndindex(*values.shape) if few else ():
        value = rows[row][column].score
        light = not values[row, column] < 0.65 * highest  # grey cells, too
        axes.text(column, row - 0.08, f"{value:.3f}", ha="center", va="center", fontsize=8, color="k" if light else "w")
    ticks = range(0 if few else 4, len(grid.confs), 1 if few else 5)
    axes.set_xticks(list(ticks), [f"{grid.confs[tick]:g}" for tick in ticks])
    axes.set_yticks(range(len(grid.ious)), [f"{iou:g}" for iou in grid.ious])
    axes.set_xlabel("score threshold")
    return image


def _mark(axes: Axes, tuned: TunedThresholds, grid: GridAxes, *, agnostic: bool) -> None:
    chosen = tuned.thresholds
    lift = 0.3 if len(grid.confs) <= _MOST_NUMBERS else 0.0  # above the number in the cell
    votes = Counter(
        (grid.confs.index(fold.conf), grid.ious.index(fold.iou))
        for fold in (tuned.out_of_fold.folds if tuned.out_of_fold else ())
        if fold.agnostic == agnostic
    )
    for (column, row), count in votes.items():
        size = 3.2 * count**0.5
        axes.plot(column, row + lift, "o", markersize=size, color="white", markeredgecolor="black", markeredgewidth=0.8)
    if chosen.agnostic == agnostic:
        corner = (grid.confs.index(chosen.conf) - 0.5, grid.ious.index(chosen.iou) - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_CHOSEN, linewidth=2.5, clip_on=False, zorder=3))


def _title(tuned: TunedThresholds) -> str:
    text, honest = tuned.thresholds.objective, tuned.out_of_fold
    worth = f"; chosen {tuned.score:.3f}, out of fold {honest.score:.3f}" if honest else ""
    return f"{text[:1].upper()}{text[1:]}\n{tuned.n_images} validation images, {tuned.n_boxes} boxes{worth}"


def _legend(tuned: TunedThresholds, *, refused: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [Patch(facecolor="none", edgecolor=_CHOSEN, linewidth=2.5, label="chosen")]
    if tuned.out_of_fold:
        label = "chosen without one fold of the patients (larger: by more folds)"
        dot = Line2D(
            [], [], marker="o", markersize=6, color="white", markeredgecolor="black", linestyle="none", label=label
        )
        handles.append(dot)
    if refused:
        handles.append(Patch(facecolor=_REFUSED, label="too many false positives"))
    return handles
