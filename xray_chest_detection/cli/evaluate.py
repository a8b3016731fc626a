"""`xray evaluate RUN --split test`: measure a run with the thresholds chosen before."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.core.evaluation import DEFAULT_IOUS
from xray_chest_detection.core.intervals import EVALUATION_RESAMPLES
from xray_chest_detection.core.measures import parse_ious
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, open_trained_run
from xray_chest_detection.detect.tracking import NoTracker, Tracker, make_tracker
from xray_chest_detection.errors import DependencyError, UsageError


@dataclass(frozen=True)
class Options:
    """Measure a run on a split with the thresholds chosen by `xray tune-nms`.

    Attributes:
        run: Run folder.
        split: The split; `val` is what the thresholds were chosen on, so its numbers flatter.
        ious: Overlaps of average precision, each a number or a range as 0.5:0.95; 0.4, 0.5 and 0.5:0.95 always are.
        resamples: Resamples of the patients behind the intervals; 0 leaves the intervals out.
        ceiling: Report of `xray agreement` (its folder or agreement.json) whose readers stand beside the model; not
            given, the readers of the data set's own tables, where it has any.
        device: Torch device for the one forward pass; chosen when not given.
        figures: Whether to draw the figures.
        comet: Whether to log the run with its new results to Comet, as the `comet` part of its configuration says.
    """

    run: Annotated[Path, tyro.conf.Positional]
    split: Literal["test", "val", "train"] = "test"
    ious: tuple[str, ...] = DEFAULT_IOUS
    resamples: int = EVALUATION_RESAMPLES
    ceiling: Path | None = None
    device: str | None = None
    figures: bool = True
    comet: bool = False


def main(argv: Sequence[str]) -> int:
    """Write `evaluation-<split>.{json,csv,md}` and figures into the run folder and print the page.

    Raises:
        UsageError: An overlap or the number of resamples is out of range.
        XrayError: The run, its data or the report about readers cannot be used.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray evaluate")
    if options.resamples < 0:
        raise UsageError(f"--resamples: {options.resamples} is less than 0")
    ious = parse_ious(options.ious)
    run = open_trained_run(options.run)
    tracker = _tracker(run) if options.comet else NoTracker()  # before torch
    from xray_chest_detection.detect.evaluate import evaluate
    from xray_chest_detection.detect.results import write_evaluation
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.evaluation_page import evaluation_markdown
    from xray_chest_detection.report.figures import draw_evaluation

    progress = partial(bar, title=options.split)
    started = perf_counter()
    evaluation = evaluate(
        run,
        options.split,
        resamples=options.resamples,
        ious=ious,
        ceiling=options.ceiling,
        device=options.device,
        progress=progress,
    )
    measured_in = perf_counter() - started
    markdown = evaluation_markdown(evaluation)
    written = write_evaluation(run, evaluation, markdown)
    if options.figures:
        written += draw_evaluation(evaluation, run.folder / FOLDER)
    tracker.start(run)
    tracker.finish()
    print(markdown)
    print(f"measured in {measured_in:.1f} s")
    print("wrote " + ", ".join(path.relative_to(run.folder).as_posix() for path in written) + f" in {run.folder}")
    return 0


def _tracker(run: Run) -> Tracker:
    if run.config.comet.mode == "off":
        raise UsageError(f"--comet: comet.mode is off in {run.folder / CONFIG_FILE}; set it to auto or offline")
    tracker = make_tracker(run.config.comet)
    if tracker.note:
        raise DependencyError(tracker.note)
    return tracker
