"""The figure that judges consensus rules: how near each comes to the truth that only a simulation knows."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xray_chest_detection.data.consensus_trials import RuleSummary
from xray_chest_detection.report.canvas import INK, QUIET, save_figure, tidy_axes

# Okabe and Ito's colours, and a shape each for those who do not see them.
_MARKERS = (("#999999", "s"), ("#56b4e9", "v"), ("#0072b2", "D"), ("#009e73", "P"), ("#e69f00", "^"), ("#d55e00", "o"))
_STEP = 0.13  # rules of a scenario lie this far apart, of 1 from scenario to scenario


def draw_rules(rows: Sequence[RuleSummary], path: Path, *, n_images: int, n_seeds: int) -> Path:
    """F1 and box overlap of every rule in every scenario, mean and standard deviation over the seeds."""
    scenarios, rules = _unique([row.scenario for row in rows]), _unique([row.rule for row in rows])
    figure = Figure(figsize=(10.5, 1.5 + 0.62 * len(scenarios)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for row in rows:
        colour, marker = _MARKERS[rules.index(row.rule) % len(_MARKERS)]
        y = scenarios.index(row.scenario) + (rules.index(row.rule) - (len(rules) - 1) / 2) * _STEP
        for axes, value, spread in ((left, row.f1, row.f1_sd), (right, row.iou, row.iou_sd)):
            axes.errorbar(
                value, y, xerr=spread, color=colour, ecolor=colour, elinewidth=1.2, marker=marker, markersize=6
            )
    for axes, name in ((left, "F1, boxes found at IoU 0.5"), (right, "mean IoU of the found boxes with the truth")):
        _frame(axes, name, scenarios)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=rule)
        for rule, (colour, marker) in zip(rules, _MARKERS, strict=False)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(rules), frameon=False, fontsize=9.5)
    figure.supxlabel(
        f"simulated readers of {n_images} films with known truth; mean and standard deviation over {n_seeds} seeds",
        color=QUIET,
        fontsize=9,
    )
    return save_figure(figure, path)


def _frame(axes: Axes, name: str, scenarios: Sequence[str]) -> None:
    tidy_axes(axes, name, "")
    axes.grid(visible=False, axis="y")
    for edge in range(1, len(scenarios)):
        axes.axhline(edge - 0.5, color="#d0d4d9", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(scenarios)), scenarios, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(scenarios) - 0.5, -0.5)


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
