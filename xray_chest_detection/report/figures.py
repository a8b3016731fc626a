"""Figures of an evaluation: its curves, the confusion matrix, labels beside predictions."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.report.canvas import INK, PAPER, QUIET_ON_BLACK, TEXT_ON_BLACK, save_figure
from xray_chest_detection.report.curves import (
    described,
    draw_calibration,
    draw_froc,
    draw_precision_recall,
    draw_score_curves,
)
from xray_chest_detection.report.marks import draw_boxes_on


def draw_evaluation(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Every figure of an evaluation; names end with the split."""
    split = evaluation.split
    return [
        draw_precision_recall(evaluation, folder / f"precision-recall-{split}.png"),
        draw_score_curves(evaluation, folder / f"scores-{split}.png"),
        draw_froc(evaluation, folder / f"froc-{split}.png"),
        draw_calibration(evaluation, folder / f"calibration-{split}.png"),
        draw_confusion(evaluation, folder / f"confusion-{split}.png"),
        draw_mosaic(evaluation, folder / f"labels-and-predictions-{split}.png"),
    ]


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
    for edge in np.arange(len(names) - 1) + 0.5:
        axes.axhline(edge, color="white", linewidth=1.5)
        axes.axvline(edge, color="white", linewidth=1.5)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("shown")
    axes.set_ylabel("true")
    point = evaluation.thresholds
    figure.suptitle(
        f"{evaluation.run} on {described(evaluation)}\nscore from {point.conf:g}, boxes paired at IoU 0.5", fontsize=10
    )
    return save_figure(figure, path)


def draw_mosaic(evaluation: Evaluation, path: Path, *, count: int = 12, columns: int = 4) -> Path:
    """Films with true boxes (left of each pair) and what the operating point shows (right), spread over the classes."""
    chosen = spread_images(evaluation.evidence.split, count)
    columns = min(columns, max(1, len(chosen)))
    rows = -(-max(len(chosen), 1) // columns)
    figure = Figure(figsize=(4.3 * columns, 2.32 * rows + 0.6), layout="constrained", facecolor=PAPER)
    cells = np.atleast_1d(figure.subplots(rows, columns * 2)).reshape(-1, 2)
    for pair in cells:
        for axes in pair:
            axes.axis("off")
    for pair, image in zip(cells, chosen, strict=False):
        _draw_pair(pair, evaluation, image)
    figure.suptitle(
        f"{evaluation.run} on {described(evaluation)}: true boxes left, shown boxes right",
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
