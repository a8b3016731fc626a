"""`xray evaluate RUN --split test`: measure a run with the thresholds chosen before."""

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
    """Measure a run on a split with the thresholds chosen by `xray tune-nms`.

    Attributes:
        run: Run folder.
        split: The split; `val` is what the thresholds were chosen on, so its numbers flatter.
        resamples: Resamples of the patients behind the intervals; 0 leaves the intervals out.
        device: Torch device for the one forward pass; chosen when not given.
        figures: Whether to draw the figures.
    """

    run: Annotated[Path, tyro.conf.Positional]
    split: Literal["test", "val", "train"] = "test"
    resamples: int = 1000
    device: str | None = None
    figures: bool = True


def main(argv: Sequence[str]) -> int:
    """Write `evaluation-<split>.{json,csv,md}` and figures into the run folder and print the table."""
    options = tyro.cli(Options, args=list(argv), prog="xray evaluate")
    run = open_trained_run(options.run)
    from xray_chest_detection.detect.evaluate import evaluate
    from xray_chest_detection.detect.results import write_evaluation
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.figures import draw_evaluation
    from xray_chest_detection.report.tables import evaluation_markdown

    progress = partial(bar, title=options.split)
    resamples = max(0, options.resamples)
    evaluation = evaluate(run, options.split, resamples=resamples, device=options.device, progress=progress)
    markdown = evaluation_markdown(evaluation)
    written = write_evaluation(run, evaluation, markdown)
    if options.figures:
        written += draw_evaluation(evaluation, run.folder / FOLDER)
    print(markdown)
    print("wrote " + ", ".join(path.relative_to(run.folder).as_posix() for path in written) + f" in {run.folder}")
    return 0
