"""`xray tune-nms RUN`: choose a run's thresholds on its validation split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.detect import GridName, ObjectiveName
from xray_chest_detection.detect.runs import open_trained_run
from xray_chest_detection.errors import UsageError

if TYPE_CHECKING:
    from xray_chest_detection.detect.thresholds import TunedThresholds
    from xray_chest_detection.detect.tuning.grid import GridPoint

SHOWN = 5
_AT_LOW_IOU = ("sensitivity40", "false_alarms40", "allowed")


@dataclass(frozen=True)
class Options:
    """Choose the score threshold, the suppression overlap and the suppression mode of a run on its validation split.

    Attributes:
        run: Run folder.
        objective: What is maximised: `recall_map` is the mean of recall and mAP50, `f1` is F1 of the shown boxes,
            `f_beta` weighs recall `beta` times as much as precision, `sensitivity` is the share of findings marked
            (IoU 0.4) with at most `rate` false positives per image, `map_then_f1` takes the suppression with the best
            mAP50 and then the score threshold with the best F1.
        beta: For `f_beta`.
        rate: For `sensitivity`.
        grid: `original` is 7 score thresholds by 5 overlaps, `fine` is 40 by 9.
        confs: Score thresholds to try instead of the grid's.
        ious: Overlaps to try instead of the grid's.
        per_class: Let classes with at least 20 validation boxes have a score threshold of their own, if that does
            better on patients it was not chosen on.
        device: Torch device for the one forward pass, for example `cpu` or `cuda:0`; chosen when not given.
    """

    run: Annotated[Path, tyro.conf.Positional]
    objective: ObjectiveName = "recall_map"
    beta: float = 2.0
    rate: float = 1.0
    grid: GridName = "original"
    confs: tuple[float, ...] = ()
    ious: tuple[float, ...] = ()
    per_class: bool = True
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Write `thresholds.yaml`, `nms_grid.csv` and a heat map into the run folder; print the best points."""
    options = tyro.cli(Options, args=list(argv), prog="xray tune-nms")
    for name, value in (("beta", options.beta), ("rate", options.rate)):
        if not value > 0:
            raise UsageError(f"--{name}: expected a number above 0, got {value:g}")
    run = open_trained_run(options.run)
    from xray_chest_detection.detect.thresholds import thresholds_path
    from xray_chest_detection.detect.tune_nms import tune_nms
    from xray_chest_detection.detect.tuning.grid import GRIDS, Axes
    from xray_chest_detection.detect.tuning.objectives import Objective
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.tuning_figures import GRID_FIGURE, draw_grid

    known = GRIDS[options.grid]
    tuned, points = tune_nms(
        run,
        objective=Objective(options.objective, beta=options.beta, rate=options.rate),
        axes=Axes(options.confs or known.confs, options.ious or known.ious),
        per_class=options.per_class,
        device=options.device,
        progress=partial(bar, title="val"),
    )
    figure = draw_grid(tuned, points, run.folder / FOLDER / GRID_FIGURE)
    print(describe(tuned, points, low_iou=options.objective == "sensitivity"))
    print(f"wrote {thresholds_path(run)} and {figure}")
    return 0


def describe(tuned: "TunedThresholds", points: Sequence["GridPoint"], *, low_iou: bool) -> str:
    """The best points, the choice for every class with the boxes behind it, and what it is worth elsewhere."""
    chosen, honest = tuned.thresholds, tuned.out_of_fold
    hidden = () if low_iou else _AT_LOW_IOU
    best = [{name: value for name, value in point.row().items() if name not in hidden} for point in points[:SHOWN]]
    words = {True: "yes", False: "no"}
    rows = [{name: words[value] if isinstance(value, bool) else value for name, value in row.items()} for row in best]
    classes = [
        {
            "class": name,
            "score from": chosen.per_class.get(name, chosen.conf),
            "": "its own" if name in chosen.per_class else "shared",
            "boxes": count,
        }
        for name, count in chosen.n_boxes.items()
    ]
    lines = [
        f"{tuned.n_images} validation images, {tuned.n_boxes} boxes; objective: {chosen.objective}",
        table(rows),
        "chosen: the first row",
        table(classes),
        f"{tuned.score:.3f} on the patients it was chosen on; {tuned.false_alarms_per_image:.2f} wrong boxes per image",
    ]
    if honest:
        lines.append(
            f"{honest.score:.3f} on patients it was not chosen on; {honest.false_alarms_per_image:.2f} "
            f"({len(honest.folds)} folds by patient; optimism {honest.optimism:+.3f})"
        )
    return "\n".join([*lines, *(f"note: {remark}" for remark in tuned.remarks)])
