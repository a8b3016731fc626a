"""The report of a run: where its figures go and what is said about it."""

from collections.abc import Sequence

from xray_chest_detection.detect.after import Report
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tune_nms import GridPoint
from xray_chest_detection.report.canvas import FOLDER
from xray_chest_detection.report.figures import draw_evaluation, draw_grid
from xray_chest_detection.report.tables import evaluation_markdown, evaluation_summary


def run_report() -> Report:
    """Figures in `RUN/figures/`, pages in Markdown."""
    return Report(_grid, _evaluation, evaluation_markdown, evaluation_summary)


def _grid(run: Run, points: Sequence[GridPoint]) -> object:
    return draw_grid(points, run.folder / FOLDER / "nms-grid.png")


def _evaluation(run: Run, evaluation: Evaluation) -> object:
    return draw_evaluation(evaluation, run.folder / FOLDER)
