"""Figures of a run: precision-recall, FROC, confusion matrix, labels beside predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.measures import LOW_IOU
from xray_chest_detection.core.metrics import RECALLS
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.inference.palette import mark_of
from xray_chest_detection.report.canvas import (
    INK,
    PAPER,
    QUIET,
    QUIET_ON_BLACK,
    TEXT_ON_BLACK,
    class_colour,
    save_figure,
    tidy_axes,
)

_LINE_STYLES = {"all classes": (INK, "-", 2.4), "class ignored": (QUIET, "--", 2.0)}


def draw_evaluation(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Every figure of an evaluation; names end with the split."""
    split = evaluation.split
    return [
        draw_precision_recall(evaluation, folder / f"precision-recall-{split}.png"),
        draw_froc(evaluation, folder / f"froc-{split}.png"),
        draw_confusion(evaluation, folder / f"confusion-{split}.png"),
        draw_mosaic(evaluation, folder / f"labels-and-predictions-{split}.png"),
    ]


def draw_precision_recall(evaluation: Evaluation, path: Path) -> Path:
    """Interpolated precision over recall at IoU 0.5, a line per class and their mean."""
    curves = evaluation.evidence.scores.pr_curves
    figure = Figure(figsize=(8.4, 5), layout="constrained")
    axes = figure.subplots()
    values = {row.name: row.ap50 for row in evaluation.per_class}
    for name, curve in curves.items():
        axes.plot(RECALLS, curve, color=class_colour(name), linewidth=1.6, label=f"{name}  {values[name] or 0:.3f}")
    if len(curves) > 1:
        mean = np.mean(list(curves.values()), axis=0)
        axes.plot(RECALLS, mean, color=INK, linewidth=2.6, label=f"mean  {evaluation.value('mAP50') or 0:.3f}")
    _axes_frame(axes, "recall", "precision", (0, 1), (0, 1.02))
    _legend(axes, "AP at IoU 0.5")
    axes.set_title(f"{evaluation.run} on {_described(evaluation)}", fontsize=11)
    return save_figure(figure, path)


def draw_froc(evaluation: Evaluation, path: Path) -> Path:
    """Sensitivity over false positives per image, all images in the denominator."""
    figure = Figure(figsize=(8.4, 5), layout="constrained")
    axes = figure.subplots()
    for name, (false_alarms, sensitivity) in evaluation.evidence.scores.froc.items():
        colour, style, width = _LINE_STYLES.get(name, (class_colour(name), "-", 1.3))
        x = np.concatenate([[1e-3], np.maximum(false_alarms, 1e-3), [1e3]])
        y = np.concatenate([[0.0], sensitivity, sensitivity[-1:] if len(sensitivity) else [0.0]])
        axes.step(x, y, where="post", color=colour, linestyle=style, linewidth=width, label=name)
    axes.set_xscale("log", base=2)
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8]
    _axes_frame(axes, "false positives per image", "sensitivity", (ticks[0] / 1.2, ticks[-1] * 1.2), (0, 1.02))
    axes.set_xticks(ticks, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    _legend(axes, f"found at IoU {LOW_IOU:g}")
    axes.set_title(f"{evaluation.run} on {_described(evaluation)}", fontsize=11)
    return save_figure(figure, path)


def draw_confusion(evaluation: Evaluation, path: Path) -> Path:
    """Confusion matrix at the operating point: counts, shaded by the share of the true class."""
    matrix = evaluation.evidence.scores.confusion
    names = [*evaluation.evidence.split.classes, "nothing"]
    side = 2.4 + 0.72 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    totals = matrix.sum(axis=1, keepdims=True)
    share = matrix / np.maximum(totals, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*matrix.shape):
        if matrix[row, column]:
            colour = "white" if share[row, column] > 0.55 else INK
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("shown")
    axes.set_ylabel("true")
    point = evaluation.thresholds
    figure.suptitle(
        f"{evaluation.run} on {_described(evaluation)}\nscore from {point.conf:g}, boxes paired at IoU 0.5", fontsize=10
    )
    return save_figure(figure, path)


def draw_mosaic(evaluation: Evaluation, path: Path, *, count: int = 12, columns: int = 4) -> Path:
    """Films with true boxes (left of each pair) and what the operating point shows (right), spread over the classes."""
    chosen = spread_images(evaluation.evidence.split, count)
    columns = min(columns, max(1, len(chosen)))
    rows = -(-max(len(chosen), 1) // columns)
    figure = Figure(figsize=(4.3 * columns, 2.45 * rows + 0.8), layout="constrained", facecolor=PAPER)
    cells = np.atleast_1d(figure.subplots(rows, columns * 2)).reshape(-1, 2)
    for pair in cells:
        for axes in pair:
            axes.axis("off")
    for pair, image in zip(cells, chosen, strict=False):
        _draw_pair(pair, evaluation, image)
    figure.suptitle(
        f"{evaluation.run} on {_described(evaluation)}: true boxes left, shown boxes right",
        color=TEXT_ON_BLACK,
        fontsize=11,
    )
    figure.supxlabel(NOT_A_DEVICE, color=QUIET_ON_BLACK, fontsize=8)
    return save_figure(figure, path)


def spread_images(split: LabelledSplit, count: int) -> list[int]:
    """Films to show: of each class in turn, in the order of the image names, and a box-free one at the end."""
    truth = split.truth
    queues = [sorted(set(truth.image[truth.class_id == index].tolist())) for index in range(len(split.classes))]
    free = sorted(set(range(len(split.image_id))) - set(truth.image.tolist()))[:1]
    chosen: list[int] = []
    while any(queues) and len(chosen) < count - len(free):
        for queue in queues:
            image = next((image for image in queue if image not in chosen), None)
            if image is None:
                queue.clear()
            elif len(chosen) < count - len(free):
                chosen.append(image)
    return chosen + free


def draw_boxes_on(
    axes: Axes, xyxy: NDArray[np.floating], names: Sequence[str], score: NDArray[np.floating] | None
) -> None:
    """Draw boxes `(N, 4)` in the classes' colours, named by class when there is no score, else by letter and score."""
    for row, (name, (x_min, y_min, x_max, y_max)) in enumerate(zip(names, xyxy, strict=True)):
        colour = mark_of(name).colour
        size = (float(x_max - x_min), float(y_max - y_min))
        axes.add_patch(Rectangle((float(x_min), float(y_min)), *size, fill=False, edgecolor=colour, linewidth=1.2))
        text = name if score is None else f"{mark_of(name).letter} {score[row]:.2f}"
        box = {"facecolor": "#101214", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
        axes.text(float(x_min), float(y_min), text, color=colour, fontsize=6, va="bottom", bbox=box, clip_on=True)


def _draw_pair(pair: NDArray[Any], evaluation: Evaluation, image: int) -> None:
    split, shown = evaluation.evidence.split, evaluation.evidence.shown[image]
    pixels = read_image(split.files[image]).pixels
    true_rows = split.truth.image == image
    for axes in pair:
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    draw_boxes_on(
        pair[0], split.truth.xyxy[true_rows], [split.classes[i] for i in split.truth.class_id[true_rows]], None
    )
    draw_boxes_on(pair[1], shown.xyxy, [split.classes[i] for i in shown.class_id], shown.score)
    pair[0].set_title(split.image_id[image], color=QUIET_ON_BLACK, fontsize=7, loc="left")


def _axes_frame(
    axes: Axes, x_label: str, y_label: str, x_range: tuple[float, float], y_range: tuple[float, float]
) -> None:
    tidy_axes(axes, x_label, y_label)
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)


def _legend(axes: Axes, title: str) -> None:
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9, alignment="left")


def _described(evaluation: Evaluation) -> str:
    return f"{evaluation.split}: {evaluation.n_images} images, {evaluation.n_boxes} boxes"
