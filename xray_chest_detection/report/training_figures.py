"""Figures of what went into a training and how it went: losses and metrics by epoch, classes, places and sizes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.report.canvas import INK, QUIET, class_colour, save_figure, tidy_axes

Epochs = Sequence[tuple[int, dict[str, float]]]

_LOSSES = {"box_loss": "box loss", "cls_loss": "class loss", "dfl_loss": "distribution focal loss"}
_METRICS = {"mAP50(B)": "mAP50", "mAP50-95(B)": "mAP50-95", "precision(B)": "precision", "recall(B)": "recall"}
_LINES = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00")


def draw_training(epochs: Epochs, path: Path, *, title: str) -> Path:
    """Losses of the training and the validation images, and metrics of the latter, by epoch.

    Args:
        epochs: Epoch numbers and values as `detect.tracking.epoch_rows` reads them.
        path: PNG file to write.
        title: Name of the run.
    """
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    numbers = [number for number, _ in epochs]
    for place, (key, name) in zip(axes, _LOSSES.items(), strict=False):
        for part, colour in (("train", INK), ("val", "#d55e00")):
            values = [row.get(f"{part}/{key}", np.nan) for _, row in epochs]
            place.plot(numbers, values, color=colour, linewidth=1.6, label=part)
        tidy_axes(place, "epoch", name)
        place.set_ylim(bottom=0)
        place.legend(frameon=False, fontsize=8)
    for place, keys in ((axes[3], ("mAP50(B)", "mAP50-95(B)")), (axes[4], ("precision(B)", "recall(B)"))):
        for key, colour in zip(keys, _LINES[::2], strict=True):
            values = [row.get(f"metrics/{key}", np.nan) for _, row in epochs]
            place.plot(numbers, values, color=colour, linewidth=1.6, label=_METRICS[key])
        tidy_axes(place, "epoch", "on val")
        place.set_ylim(bottom=0)
        place.legend(frameon=False, fontsize=8)
    axes[5].plot(numbers, [row.get("lr/pg0", np.nan) for _, row in epochs], color=QUIET, linewidth=1.6)
    tidy_axes(axes[5], "epoch", "learning rate")
    figure.suptitle(f"{title}: training", fontsize=11)
    return save_figure(figure, path)


def draw_boxes(split: LabelledSplit, path: Path) -> Path:
    """Boxes per class, where their centres lie and how large they are, as shares of the image."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    bars, places, sizes = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    counts = split.boxes_per_class
    colours = [class_colour(name) for name in split.classes]
    bars.barh(range(len(counts)), counts, color=colours)
    bars.set_yticks(range(len(counts)), split.classes)
    bars.invert_yaxis()
    bars.bar_label(bars.containers[0], padding=3, fontsize=9)
    tidy_axes(bars, f"boxes in {split.name}", "")
    centre, side = _relative(split)
    for index, colour in enumerate(colours):
        rows = split.truth.class_id == index
        places.scatter(*centre[rows].T, s=14, color=colour, alpha=0.65, linewidths=0)
        sizes.scatter(*side[rows].T, s=14, color=colour, alpha=0.65, linewidths=0)
    tidy_axes(places, "centre x", "centre y")
    places.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
    tidy_axes(sizes, "width", "height")
    sizes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    images = len(split.image_id)
    free = images - len(set(split.truth.image.tolist()))
    figure.suptitle(
        f"{split.name}: {len(split.truth)} boxes on {images} images, {free} of them without a box", fontsize=11
    )
    return save_figure(figure, path)


def _relative(split: LabelledSplit) -> tuple[np.ndarray, np.ndarray]:
    """Centres and sides `(N, 2)` as shares of the image."""
    truth, size = split.truth, np.array(split.sizes_px, np.float64).reshape(-1, 2)[split.truth.image]
    return (truth.xyxy[:, :2] + truth.xyxy[:, 2:]) / 2 / size, (truth.xyxy[:, 2:] - truth.xyxy[:, :2]) / size
