"""Films of the test split: true boxes beside what each deployed model shows."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.report.canvas import PAPER, QUIET_ON_BLACK, TEXT_ON_BLACK, save_figure
from xray_chest_detection.report.marks import draw_boxes_on

Progress = Callable[[Iterable[int], int], Iterable[int]]


def draw_panels(
    split: LabelledSplit, registry: Registry, path: Path, *, images: Sequence[int], progress: Progress | None = None
) -> Path:
    """One row a film: the true boxes, then each model at its own operating point.

    Args:
        split: Films and true boxes.
        registry: The deployed models.
        path: PNG file to write.
        images: Which films of the split, by index.
        progress: Wraps the films.
    """
    columns = 1 + len(registry.names)
    figure = Figure(figsize=(2.7 * columns, 2.76 * len(images) + 0.5), layout="constrained", facecolor=PAPER)
    cells = np.atleast_1d(figure.subplots(len(images), columns)).reshape(len(images), columns)
    titles = ["true boxes", *(registry.get(name).card.title for name in registry.names)]
    for axes, title in zip(cells[0], titles, strict=True):
        axes.set_title(title, color=TEXT_ON_BLACK, fontsize=10)
    for row, image in enumerate(progress(images, len(images)) if progress else images):
        pixels = read_image(split.files[image]).pixels
        true_rows = split.truth.image == image
        for axes in cells[row]:
            axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            axes.axis("off")
        names = [split.classes[index] for index in split.truth.class_id[true_rows]]
        draw_boxes_on(cells[row, 0], split.truth.xyxy[true_rows], names, None)
        for axes, name in zip(cells[row, 1:], registry.names, strict=True):
            session = registry.get(name)
            found = session.detect(pixels)
            draw_boxes_on(axes, found.xyxy, [session.card.classes[index] for index in found.class_id], found.score)
    figure.supxlabel(NOT_A_DEVICE, color=QUIET_ON_BLACK, fontsize=8)
    return save_figure(figure, path)
