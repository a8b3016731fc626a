"""Threshold tuning against `model.val` once per point: `python -m benchmarks.tune_nms [RUN] [--passes 5]`.

Times `xray tune-nms` without kept predictions (the forward pass, 7 x 5 points within and across classes, nested
cross-validation, the figure) and, in the same process with as many threads, `model.val(conf, iou)` of ultralytics on
some of the 35 points, scaled to 35. Those passes get the network inputs of the demo, so their mAP50 and recall must
agree; ends with 1 when one differs by more than 0.005. One more pass as ultralytics comes, with a grey frame and
OpenCV's scaling, shows what other inputs do. The run's folder is left as it is. Without a run, a small one is trained
on drawings, and the first line says so.
"""

import argparse
import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ultralytics import YOLO
from ultralytics.utils import LOGGER, NUM_THREADS

from benchmarks.unknown_classes import RECIPE, draw
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.detect.dataset import reading_like_the_demo
from xray_chest_detection.detect.predict import FOLDER
from xray_chest_detection.detect.runs import Run, open_trained_run
from xray_chest_detection.detect.train import train
from xray_chest_detection.detect.trainer import switch_off_integrations
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.detect.tuning.grid import GRIDS, GridPoint
from xray_chest_detection.report.tuning_figures import GRID_FIGURE, draw_grid

DEFAULT = Path("runs/detect/multi")
ALLOWED = 0.005
GOAL = 25
POINTS = [(conf, iou) for conf in GRIDS["original"].confs for iou in GRIDS["original"].ious]


@dataclass(frozen=True)
class Seconds:
    """By the clock, and of processor time, which other programs on the machine do not stretch."""

    wall: float
    processor: float

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.wall + other.wall, self.processor + other.processor)

    def __mul__(self, times: float) -> "Seconds":
        return Seconds(self.wall * times, self.processor * times)

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processor:.1f} s of processor)"


def main(argv: Sequence[str] | None = None) -> int:
    """Time both ways, compare their numbers, print the ratio and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help=f"run folder; {DEFAULT} when it is there")
    parser.add_argument("--passes", type=int, default=5, help=f"how many of the {len(POINTS)} passes are run")
    options = parser.parse_args(argv)
    switch_off_integrations()
    LOGGER.setLevel("WARNING")
    with tempfile.TemporaryDirectory() as folder:
        run = find_run(options.run, Path(folder))
        torch.set_num_threads(NUM_THREADS)  # what `model.val` sets for itself
        print(f"{run.config.data} at {run.config.image_size_px} px, {torch.get_num_threads()} threads")
        return compare(run, passes=max(1, min(options.passes, len(POINTS))), scratch=Path(folder))


def find_run(path: Path | None, scratch: Path) -> Run:
    """A copy of a run without its kept predictions, so that nothing is overwritten."""
    if path is None and not (DEFAULT / "weights").is_dir():
        print("no trained run: a small one is trained on drawings")
        return train_small(scratch)
    run = open_trained_run(path or DEFAULT)
    copy = replace(run, folder=scratch / run.folder.name)
    for file in (run.weights, run.folder / "config.yaml", run.folder / "manifest.json"):
        if file.is_file():
            target = copy.folder / file.relative_to(run.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return copy


def train_small(scratch: Path) -> Run:
    """A network that has learned a little from few drawings."""
    data = draw(scratch / "drawings", patients=60)
    changes = {"name": "small", "data": str(data), "runs": str(scratch / "runs"), "weights": "yolov8n.yaml"}
    return train(validate(DetectConfig, RECIPE | changes | {"epochs": 3}, place="benchmark"))


def compare(run: Run, *, passes: int, scratch: Path) -> int:
    """Time, compare and print; 1 when the numbers disagree."""
    before, points = timed(lambda: tune(run))
    model, at = YOLO(run.weights), {(point.conf, point.iou): point for point in points if not point.agnostic}
    chosen = [POINTS[round(number * (len(POINTS) - 1) / max(passes - 1, 1))] for number in range(passes)]
    rows, differences, theirs = [], [], Seconds(0, 0)
    for conf, iou in chosen:
        with reading_like_the_demo():
            took, box = timed(lambda conf=conf, iou=iou: val(model, run, scratch, conf=conf, iou=iou, rect=False))
        theirs += took
        row, difference = against(at[conf, iou], box)
        rows.append({**row, "seconds": took.wall, "of processor": took.processor})
        differences.append(difference)
    plain, box = timed(lambda: val(model, run, scratch, conf=chosen[0][0], iou=chosen[0][1], rect=True))
    kept, _ = timed(lambda: tune(run))
    shutil.rmtree(run.folder / FOLDER)
    after, _ = timed(lambda: tune(run))
    ours, theirs = (before + after) * 0.5, theirs * (len(POINTS) / passes)
    print(table(rows))
    print(f"tune-nms: {before} before and {after} after the passes; {kept} with kept predictions")
    print(f"{len(POINTS)} times model.val: {theirs}{'' if passes == len(POINTS) else f', scaled from {passes}'}")
    print(
        f"ratio: {theirs.wall / ours.wall:.1f} by the clock, {theirs.processor / ours.processor:.1f} by processor time"
    )
    print(f"goal: {GOAL}; on a machine that does other work, too, only processor time says how they compare")
    print(f"largest difference in mAP50 or recall on the same inputs: {max(differences):.6f} (allowed {ALLOWED})")
    print(f"as ultralytics comes ({plain} a pass): {against(at[chosen[0]], box)[1]:.3f} at the first point")
    return int(max(differences) > ALLOWED)


def tune(run: Run) -> tuple[GridPoint, ...]:
    """What `xray tune-nms` does, but for printing."""
    tuned, points = tune_nms(run, device="cpu")
    draw_grid(tuned, points, run.folder / GRID_FIGURE)
    return points


def val(model: Any, run: Run, scratch: Path, *, conf: float, iou: float, rect: bool) -> Any:  # noqa: ANN401 -- untyped
    """One pass of ultralytics, quietly; its box metrics."""
    options = {"imgsz": run.config.image_size_px, "device": "cpu", "workers": 0, "plots": False, "verbose": False}
    data = str((run.config.data / "data.yaml").resolve())
    with contextlib.redirect_stdout(io.StringIO()):
        return model.val(data=data, conf=conf, iou=iou, rect=rect, project=str(scratch / "val"), **options).box


def against(point: GridPoint, box: Any) -> tuple[dict[str, object], float]:  # noqa: ANN401 -- of ultralytics
    """A row of both, and the larger of the differences in mAP50 and recall."""
    ours, theirs = (point.map50, point.best_recall), (float(box.map50), float(box.mr))
    row = {"conf": point.conf, "iou": point.iou, "mAP50": ours[0], "val mAP50": theirs[0]}
    difference = max(abs(mine - other) for mine, other in zip(ours, theirs, strict=True))
    return row | {"recall": ours[1], "val recall": theirs[1]}, difference


def timed(work: Callable[[], Any]) -> tuple[Seconds, Any]:
    """How long it took, and its result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor), result


if __name__ == "__main__":
    raise SystemExit(main())
