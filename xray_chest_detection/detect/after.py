"""What follows a training: thresholds, the test split, ONNX and the card. Each step is also a command."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from xray_chest_detection.detect.evaluate import evaluate
from xray_chest_detection.detect.export import export
from xray_chest_detection.detect.results import Evaluation, write_evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import TunedThresholds
from xray_chest_detection.detect.tune_nms import tune_as_configured
from xray_chest_detection.detect.tuning.grid import GridPoint
from xray_chest_detection.errors import XrayError

Progress = Callable[[Iterable[Path], int], Iterable[Path]]


class Report(NamedTuple):
    """How results become figures and text; the package's own are in `report.run`.

    Attributes:
        grid: Draws the grid of thresholds into a run folder.
        evaluation: Draws an evaluation into a run folder.
        page: An evaluation as a page of text.
        summary: An evaluation in a few lines.
    """

    grid: Callable[[Run, TunedThresholds, Sequence[GridPoint]], object]
    evaluation: Callable[[Run, Evaluation], object]
    page: Callable[[Evaluation], str]
    summary: Callable[[Evaluation], str]


class Outcome(NamedTuple):
    """What the steps said, one paragraph each, and a message for every step that failed."""

    text: str
    errors: tuple[str, ...]


def finish_run(run: Run, report: Report, *, progress: Progress | None = None) -> Outcome:
    """Run the steps the configuration asks for. A step that fails gives its message and does not stop the others."""
    wanted = run.config.after
    steps: list[tuple[str, bool, Callable[[], str]]] = [
        ("tune-nms", wanted.tune_nms, lambda: _tune(run, report, progress)),
        ("evaluate", wanted.evaluate, lambda: _evaluate(run, report, progress)),
        ("export", wanted.export, lambda: _export(run, progress)),
    ]
    lines, errors = [f"trained {run.folder}"], []
    for name, is_wanted, step in steps:
        if is_wanted:
            try:
                lines.append(step())
            except XrayError as error:
                errors.append(f"{name}: {error}")
    return Outcome("\n".join(lines), tuple(errors))


def _tune(run: Run, report: Report, progress: Progress | None) -> str:
    tuned, points = tune_as_configured(run, progress=progress)
    report.grid(run, tuned, points)
    chosen = tuned.thresholds
    mode = " across classes" if chosen.agnostic else ""
    honest = f", {tuned.out_of_fold.score:.3f} out of fold" if tuned.out_of_fold else ""
    return (
        f"thresholds from {tuned.n_images} validation images: score from {chosen.conf:g}, "
        f"suppression IoU {chosen.iou:g}{mode} ({chosen.objective}: {tuned.score:.3f}{honest})"
    )


def _evaluate(run: Run, report: Report, progress: Progress | None) -> str:
    evaluation = evaluate(run, "test", progress=progress)
    write_evaluation(run, evaluation, report.page(evaluation))
    report.evaluation(run, evaluation)
    return report.summary(evaluation)


def _export(run: Run, progress: Progress | None) -> str:
    wanted = run.config.after
    written = export(run, out=wanted.checkpoints, form=wanted.precision, progress=progress)
    parity = written.parity
    return (
        f"wrote {written.path} ({written.size_bytes / 1e6:.1f} MB) and its card; against torch: "
        f"at most {parity.largest_box_px:.2f} px and {parity.largest_score:.4f} in score, mAP50 on val "
        f"{parity.map50_torch:.3f} and {parity.map50_exported:.3f}"
    )
