"""`xray tune-nms RUN`: choose a run's thresholds on its validation split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.detect.runs import open_trained_run

SHOWN = 5


@dataclass(frozen=True)
class Options:
    """Choose the score threshold, the suppression overlap and the suppression mode of a run on its validation split.

    Attributes:
        run: Run folder.
        objective: What is maximised: `recall_map` is the mean of recall and mAP50, `f1` is F1 of the shown boxes,
            `map_then_f1` takes the suppression with the best mAP50 and then the score threshold with the best F1.
        device: Torch device for the one forward pass, for example `cpu` or `cuda:0`; chosen when not given.
    """

    run: Annotated[Path, tyro.conf.Positional]
    objective: Literal["recall_map", "f1", "map_then_f1"] = "recall_map"
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Write `thresholds.yaml`, `nms_grid.csv` and a heat map into the run folder; print the best points."""
    options = tyro.cli(Options, args=list(argv), prog="xray tune-nms")
    run = open_trained_run(options.run)
    from xray_chest_detection.detect.thresholds import thresholds_path
    from xray_chest_detection.detect.tune_nms import OBJECTIVES, tune_nms
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.figures import draw_grid

    progress = partial(bar, title="val")
    tuned, points = tune_nms(run, objective=options.objective, device=options.device, progress=progress)
    draw_grid(points, run.folder / FOLDER / "nms-grid.png")
    print(f"{tuned.n_images} validation images, {tuned.n_boxes} boxes; objective: {OBJECTIVES[options.objective]}")
    print(table([{**vars(point), "agnostic": "yes" if point.agnostic else "no"} for point in points[:SHOWN]]))
    print(f"chosen: the first row, written to {thresholds_path(run)}")
    return 0
