"""Curves of an evaluation: precision and recall, FROC with the readers, calibration."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xray_chest_detection.core.calibration import MIN_SCORE
from xray_chest_detection.core.evaluation import ReliabilityBin
from xray_chest_detection.core.measures import ALL_CLASSES, CALIBRATION_IOUS
from xray_chest_detection.core.metrics import FROC_RATES, RECALLS, SCORES
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.detect.ceiling import Ceiling
from xray_chest_detection.detect.results import Evaluation
from xray_chest_detection.report.canvas import INK, QUIET, class_colour, save_figure, tidy_axes

_READER = "#00664b"
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_LINE_STYLES = {ALL_CLASSES: (INK, "-", 2.4), "class ignored": (QUIET, "--", 2.0)}
_IOU_COLOURS = dict(zip(CALIBRATION_IOUS, ("#0072b2", "#d55e00"), strict=True))


def draw_precision_recall(evaluation: Evaluation, path: Path) -> Path:
    """Interpolated precision over recall at IoU 0.5, a line per class and their mean."""
    curves = evaluation.evidence.scores.pr_curves
    figure = Figure(figsize=(8.4, 5), layout="constrained")
    axes = figure.subplots()
    values = {row.name: row.ap50 for row in evaluation.per_class}
    for name, curve in curves.items():
        axes.plot(RECALLS, curve, color=class_colour(name), linewidth=1.6, label=f"{name}  {values[name] or 0:.3f}")
    if len(curves) > 1:
        mean = np.mean(list(curves.values()), axis=0)
        axes.plot(RECALLS, mean, color=INK, linewidth=2.6, label=f"mean  {evaluation.value('mAP50') or 0:.3f}")
    _axes_frame(axes, "recall", "precision", (0, 1), (0, 1.02))
    _legend(axes, "AP at IoU 0.5")
    axes.set_title(f"{evaluation.run} on {described(evaluation)}", fontsize=11)
    return save_figure(figure, path)


def draw_score_curves(evaluation: Evaluation, path: Path) -> Path:
    """Precision, recall and F1 over the score from which boxes are shown, at IoU 0.5, one panel each."""
    figure = Figure(figsize=(13, 4.3), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for place, (axes, title) in enumerate(zip(panels, ("precision", "recall", "F1"), strict=True)):
        for name, values in evaluation.evidence.scores.score_curves.items():
            colour, style, width = _LINE_STYLES.get(name, (class_colour(name), "-", 1.4))
            axes.plot(SCORES, values[place], color=colour, linestyle=style, linewidth=width, label=name)
        axes.axvline(evaluation.thresholds.conf, color=QUIET, linewidth=1.2, linestyle=":", label="operating point")
        _axes_frame(axes, "score from which boxes are shown", "", (0, 1), (0, 1.02))
        axes.set_title(title, fontsize=11)
    _legend(panels[-1], "boxes paired at IoU 0.5")
    figure.suptitle(f"{evaluation.run} on {described(evaluation)}", fontsize=11)
    return save_figure(figure, path)


def draw_froc(evaluation: Evaluation, path: Path) -> Path:
    """Sensitivity over false positives per image, all images in the denominator; readers as points."""
    figure = Figure(figsize=(8.8, 5), layout="constrained")
    axes = figure.subplots()
    for name, (false_alarms, sensitivity) in evaluation.evidence.scores.froc.items():
        colour, style, width = _LINE_STYLES.get(name, (class_colour(name), "-", 1.3))
        x = np.concatenate([[1e-3], np.maximum(false_alarms, 1e-3), [1e3]])
        y = np.concatenate([[0.0], sensitivity, sensitivity[-1:] if len(sensitivity) else [0.0]])
        axes.step(x, y, where="post", color=colour, linestyle=style, linewidth=width, label=name)
    classes = [row.name for row in evaluation.per_class]
    lowest = _draw_readers(axes, evaluation.ceiling, classes) if evaluation.ceiling else FROC_RATES[0]
    axes.set_xscale("log", base=2)
    edge = 2.0 ** np.floor(np.log2(min(lowest, FROC_RATES[0])))
    ticks = [*(2.0**power for power in range(int(np.log2(edge)), 0)), 1, 2, 4, 8]
    _axes_frame(axes, "false positives per image", "sensitivity", (edge / 1.2, ticks[-1] * 1.2), (0, 1.02))
    axes.set_xticks(ticks, [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks])
    axes.minorticks_off()
    _legend(axes, f"found at IoU {LOW_IOU:g}")
    axes.set_title(f"{evaluation.run} on {described(evaluation)}", fontsize=11)
    return save_figure(figure, path)


def draw_calibration(evaluation: Evaluation, path: Path) -> Path:
    """Share of right boxes over their score: all boxes, then each class, the markers' area by the number of boxes."""
    reliability = evaluation.evidence.scores.reliability
    names = list(reliability[LOW_IOU])
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(max(6.0, 3.1 * columns), 3.2 * rows + 1.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(panels, names, strict=False):
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":")
        for shift, (iou, several) in zip((-0.01, 0.01), reliability.items(), strict=True):
            _draw_bins(axes, several[name], colour=_IOU_COLOURS[iou], shift=shift, label=f"right at IoU {iou:g}")
        _axes_frame(axes, "", "", (-0.03, 1.03), (-0.03, 1.03))
        axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        axes.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        errors = " and ".join(_error(evaluation, iou, name) for iou in reliability)
        count = sum(one.n_boxes for one in reliability[LOW_IOU][name])
        axes.set_title(f"{name}\n{count} marks, ECE {errors}", fontsize=9.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    for axes in panels[max(0, len(names) - columns) : len(names)]:
        axes.set_xlabel("score")
        axes.tick_params(labelbottom=True)
    figure.supylabel("share that is right", fontsize=10)
    figure.suptitle(
        f"{evaluation.run} on {described(evaluation)}\nmarks of score {MIN_SCORE:g} and more, bars are 95 % intervals",
        fontsize=11,
    )
    return save_figure(figure, path)


def described(evaluation: Evaluation) -> str:
    """The split of an evaluation and its size, for titles."""
    return f"{evaluation.split}: {evaluation.n_images} images, {evaluation.n_boxes} boxes"


def _draw_readers(axes: Axes, ceiling: Ceiling, classes: Sequence[str]) -> float:
    """Readers as points: single ones hollow, means filled, those of a class in its colour; the lowest rate of all."""
    mean, means = ceiling.of_class(), {name: ceiling.of_class(name) for name in classes}
    points = [(row, "o", 24.0, "none") for row in ceiling.readers]
    points += [(mean, "o", 80.0, _READER)] if mean else []
    points += [(row, "D", 36.0, class_colour(name)) for name, row in means.items() if row]
    rates = [FROC_RATES[0]]
    for row, marker, area, face in points:
        rate, sensitivity = row.false_positives_per_image.value, row.sensitivity.value
        if rate is not None and sensitivity is not None:
            rates.append(max(rate, 2.0**-8))  # a logarithmic axis has no 0
            edge = _READER if marker == "o" else INK
            axes.scatter(rates[-1], sensitivity, s=area, marker=marker, color=face, edgecolor=edge, zorder=5)
    if ceiling.readers:
        axes.scatter([], [], s=24, color="none", edgecolor=_READER, label="one reader")
    if mean:
        axes.scatter([], [], s=80, color=_READER, label="mean of the readers")
    if any(means.values()):
        axes.scatter([], [], s=36, marker="D", color="white", edgecolor=INK, label="the readers, class by class")
    return min(rates)


def _draw_bins(axes: Axes, bins: Sequence[ReliabilityBin], *, colour: str, shift: float, label: str) -> None:
    filled = [one for one in bins if one.mean_score is not None and one.share_right is not None]
    x = np.array([one.mean_score for one in filled], np.float64) + shift
    y = np.array([one.share_right for one in filled], np.float64)
    low, high = (
        np.array([share if end is None else end for share, end in zip(y, ends, strict=True)], np.float64)
        for ends in ([one.low for one in filled], [one.high for one in filled])
    )
    errors = np.clip([y - low, high - y], 0, None)
    axes.errorbar(x, y, yerr=errors, fmt="none", ecolor=colour, elinewidth=1, alpha=0.5)
    axes.plot(x, y, color=colour, linewidth=1, alpha=0.5)
    area = [8 + 2.5 * min(one.n_boxes, 60) for one in filled]
    axes.scatter(x, y, s=area, color=colour, zorder=3, linewidth=0, label=label)


def _error(evaluation: Evaluation, iou: float, name: str) -> str:
    value = evaluation.value(f"ECE at IoU {iou:g}" + ("" if name == ALL_CLASSES else f", {name}"))
    return "-" if value is None else f"{value:.2f}"


def _axes_frame(
    axes: Axes, x_label: str, y_label: str, x_range: tuple[float, float], y_range: tuple[float, float]
) -> None:
    tidy_axes(axes, x_label, y_label)
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)


def _legend(axes: Axes, title: str) -> None:
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9, alignment="left")
