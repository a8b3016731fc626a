"""Choosing a run's operating point on its validation split, from one forward pass kept in a file.

The mean AP and the recall of the grid are those of ultralytics' `model.val(conf=..., iou=...)` for the same network
inputs: its candidates, suppression, matching, interpolation and its recall at the best mean F1. `model.val` by itself
makes other inputs (a frame of grey around the film, `rect`, and OpenCV's scaling, which skips pixels), which neither
training here nor the demo uses; `detect.dataset.reading_like_the_demo` and `rect=False` give it the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.scene import known_boxes
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.calibrate import fit_on
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split, require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import FoldChoice, OutOfFold, TunedThresholds, Views, write_tuned
from xray_chest_detection.detect.tuning.choice import choose_thresholds
from xray_chest_detection.detect.tuning.grid import (
    GRIDS,
    Axes,
    GridPoint,
    Record,
    choose,
    grid_csv,
    grid_points,
    make_records,
)
from xray_chest_detection.detect.tuning.nested import Outside, measure_shown, out_of_fold, patient_folds
from xray_chest_detection.detect.tuning.objectives import RECALL_MAP, Measures, Objective

GRID_FILE = "nms_grid.csv"
_FITTED_HERE = (
    "the score maps were fitted on all of these patients, so that the number for patients left out flatters a little"
)


def tune_nms(
    run: Run,
    *,
    objective: Objective = RECALL_MAP,
    axes: Axes = GRIDS["original"],
    per_class: bool = True,
    device: str | None = None,
    progress: Progress | None = None,
) -> tuple[TunedThresholds, tuple[GridPoint, ...]]:
    """Choose the thresholds of a run on val and write `thresholds.yaml` and `nms_grid.csv` into its folder.

    They are chosen for what the deployed model says: with the views of the configuration fused, and with scores mapped
    if it says `calibrate`, by lines that are fitted here first.

    Args:
        run: A run with weights.
        objective: What is maximised.
        axes: The grid.
        per_class: Whether classes with enough boxes may get thresholds of their own, if that does better out of fold.
        device: Torch device of the forward pass, if one is needed.
        progress: Wraps the images of the forward pass.

    Returns:
        What was chosen, and all points, the chosen one first, then from best to worst.

    Raises:
        DataError: The validation split is missing or has no boxes of classes that were looked for.
        ModelError: The weights do not fit the data.
    """
    split = read_labelled_split(run.config.data, "val")
    known = replace(split, truth=known_boxes(split.truth, split.unknown))
    require_boxes(known, purpose="the choice of thresholds")
    candidates = predict_split(run, split, device=device, progress=progress)
    maps = fit_on(candidates, split) if run.config.calibrate else {}
    tuned, points = tune(
        candidates.mapped(maps, split.classes),
        split,
        objective=objective,
        axes=axes,
        per_class=per_class,
        weights_sha256=sha256_of(run.weights),
    )
    views = Views(tiles=run.config.tiles, flip=run.config.flip_views, score_maps=maps)
    tuned = tuned.model_copy(update={"views": views, "remarks": (*tuned.remarks, *[_FITTED_HERE] * bool(maps))})
    write_text(run.folder / GRID_FILE, grid_csv(points))
    write_tuned(run, tuned)
    return tuned, points


def tune_as_configured(
    run: Run, *, device: str | None = None, progress: Progress | None = None
) -> tuple[TunedThresholds, tuple[GridPoint, ...]]:
    """`tune_nms` with the objective and the grid of the run's configuration, as after a training."""
    wanted = run.config.after
    objective = Objective(wanted.objective, rate=wanted.rate)
    return tune_nms(run, objective=objective, axes=GRIDS[wanted.grid], device=device, progress=progress)


def tune(
    candidates: Candidates,
    split: LabelledSplit,
    *,
    objective: Objective = RECALL_MAP,
    axes: Axes = GRIDS["original"],
    per_class: bool = True,
    weights_sha256: str = "",
) -> tuple[TunedThresholds, tuple[GridPoint, ...]]:
    """The same from candidates and true boxes; pure arithmetic."""
    problem = _Problem(candidates, split, make_records(candidates, split, axes), axes, objective)
    points = grid_points(problem.records, axes.confs, objective)
    thresholds = problem.choose(points)
    folds = patient_folds(split)
    outside = problem.nested(folds) if folds is not None else None
    if folds is not None and outside is not None and per_class:
        own = problem.choose(points, per_class=True)
        outside_own = problem.nested(folds, per_class=True) if own.per_class else outside
        if objective.rank(outside_own.at) > objective.rank(outside.at):
            thresholds, outside = own, outside_own
    best = choose(points, objective)
    tuned = problem.report(thresholds, outside, weights_sha256=weights_sha256)
    return tuned, (best, *sorted((point for point in points if point is not best), key=objective.rank, reverse=True))


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is chosen for, from what and by what."""

    candidates: Candidates
    split: LabelledSplit
    records: tuple[Record, ...]
    axes: Axes
    objective: Objective

    def choose(self, points: Sequence[GridPoint], *, per_class: bool = False) -> Thresholds:
        """The choice on all images."""
        return self._choose(self.records, points, per_class=per_class)

    def choose_on(self, images: NDArray[np.bool_], *, per_class: bool) -> Thresholds:
        """The choice on the images of a mask `(I,)`."""
        records = tuple(record.on_images(images) for record in self.records)
        points = grid_points(records, self.axes.confs, self.objective)
        return self._choose(records, points, per_class=per_class)

    def nested(self, folds: NDArray[np.int64], *, per_class: bool = False) -> Outside:
        """How this way of choosing does on patients it did not see."""
        return out_of_fold(self.candidates, self.split, folds, partial(self.choose_on, per_class=per_class))

    def report(self, thresholds: Thresholds, outside: Outside | None, *, weights_sha256: str) -> TunedThresholds:
        """The choice with its numbers, and what is to be said about it."""
        at = measure_shown(self.candidates, self.split, thresholds)
        score = round(self.objective.score(at), 6)
        honest = None if outside is None else _out_of_fold(outside, self.objective, score=score)
        update = {"score": score, "out_of_fold_score": honest.score if honest else None}
        return TunedThresholds(
            thresholds=thresholds.model_copy(update=update),
            score=score,
            weights_sha256=weights_sha256,
            n_images=len(self.split.image_id),
            n_boxes=sum(thresholds.n_boxes.values()),
            false_alarms_per_image=round(self.objective.false_alarms(at), 6),
            out_of_fold=honest,
            remarks=tuple(_remarks(thresholds, at, self.objective)),
        )

    def _choose(self, records: Sequence[Record], points: Sequence[GridPoint], *, per_class: bool) -> Thresholds:
        return choose_thresholds(
            records,
            points,
            classes=self.split.classes,
            confs=self.axes.confs,
            objective=self.objective,
            per_class=per_class,
        )


def _out_of_fold(outside: Outside, objective: Objective, *, score: float) -> OutOfFold:
    honest = round(objective.score(outside.at), 6)
    return OutOfFold(
        folds=tuple(FoldChoice(conf=one.conf, iou=one.iou, agnostic=one.agnostic) for one in outside.chosen),
        score=honest,
        optimism=round(score - honest, 6),
        false_alarms_per_image=round(objective.false_alarms(outside.at), 6),
    )


def _remarks(thresholds: Thresholds, at: Measures, objective: Objective) -> Iterator[str]:
    without = [name for name, count in thresholds.n_boxes.items() if count == 0]
    if without:
        yield f"no validation box of {', '.join(without)}: the threshold was chosen on the other classes"
    if objective.score(at) == 0:
        yield "no mark is right anywhere on the grid, so the choice means nothing; train longer"
    if not objective.allows(at):
        yield (
            f"no point of the grid stays at {objective.rate:g} false positives per image; the quietest one has "
            f"{at.false_alarms40:.2f}: use `--grid fine` or higher score thresholds"
        )
