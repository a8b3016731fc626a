"""The report of a run: where its figures go and what is said about it."""

from collections.abc import Sequence

from xray_chest_detection.detect.after import Report
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import TunedThresholds
from xray_chest_detection.detect.tuning.grid import GridPoint
from xray_chest_detection.report.canvas import FOLDER
from xray_chest_detection.report.evaluation_page import evaluation_markdown, evaluation_summary
from xray_chest_detection.report.figures import draw_evaluation
from xray_chest_detection.report.tuning_figures import GRID_FIGURE, draw_grid


def run_report() -> Report:
    """Figures in `RUN/figures/`, pages in Markdown."""
    return Report(_grid, _evaluation, evaluation_markdown, evaluation_summary)


def _grid(run: Run, tuned: TunedThresholds, points: Sequence[GridPoint]) -> object:
    return draw_grid(tuned, points, run.folder / FOLDER / GRID_FIGURE)


def _evaluation(run: Run, evaluation: Evaluation) -> object:
    return draw_evaluation(evaluation, run.folder / FOLDER)
