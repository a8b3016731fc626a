"""`xray figures RUN`: draw the curves, confusion matrix and panels of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.detect.runs import open_trained_run


@dataclass(frozen=True)
class Options:
    """Draw every figure of a run: training curves, boxes of the data set, curves, confusion matrix and films.

    Attributes:
        run: Run folder.
        split: The split the results are drawn for.
        out: Folder of the figures; `figures` in the run folder when not given.
        checkpoints: Folder with deployed models; their answers are drawn beside the true boxes.
        films: Number of films in the panels.
        device: Torch device, if a forward pass is needed.
    """

    run: Annotated[Path, tyro.conf.Positional]
    split: Literal["test", "val", "train"] = "test"
    out: Path | None = None
    checkpoints: Path | None = None
    films: int = 6
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Draw the figures and print their names."""
    options = tyro.cli(Options, args=list(argv), prog="xray figures")
    run = open_trained_run(options.run)
    from xray_chest_detection.data.yolo_read import read_labelled_split
    from xray_chest_detection.detect.evaluate import evaluate
    from xray_chest_detection.detect.tracking import epoch_rows
    from xray_chest_detection.inference.registry import Registry
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.figures import draw_evaluation, spread_images
    from xray_chest_detection.report.panels import draw_panels
    from xray_chest_detection.report.training_figures import draw_boxes, draw_training

    out = options.out or run.folder / FOLDER
    registry = Registry.load(options.checkpoints) if options.checkpoints else None
    written = [draw_boxes(read_labelled_split(run.config.data, "train"), out / "boxes-train.png")]
    epochs = epoch_rows(run.folder / "results.csv")
    if epochs:
        written.append(draw_training(epochs, out / "training.png", title=run.folder.name))
    progress = partial(bar, title=options.split)
    evaluation = evaluate(run, options.split, resamples=0, device=options.device, progress=progress)
    written += draw_evaluation(evaluation, out)
    if registry is not None:
        split = evaluation.evidence.split
        images = spread_images(split, max(1, options.films))
        path = out / f"panels-{options.split}.png"
        written.append(draw_panels(split, registry, path, images=images, progress=partial(bar, title="panels")))
    print("\n".join(str(path) for path in written))
    return 0
