"""Cross-validation by patient: one recipe trained once per fold, resumable, fold by fold.

`OUT/folds/folds.csv` deals the patients (its manifest holds the recipe), `OUT/splits/fold<k>/` and `OUT/data/fold<k>/`
are the split and the data set in which fold k is the test part, `OUT/runs/<name>-fold<k>/` is an ordinary run. When all
folds are done: `out_of_fold.npz`, `cross_validation.{json,csv,md}` and, last, `manifest.json`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from xray_chest_detection.config.base import validate
from xray_chest_detection.config.cross_validate import CrossValidateConfig
from xray_chest_detection.config.data import SplitConfig, YoloConfig
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.config.overrides import merged
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.data.build import STEP as BUILD_STEP
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.folds import FOLDS_FILE, fold_counts, fold_split, make_folds, read_folds, write_folds
from xray_chest_detection.data.splits import SPLIT_FILE, split_inputs, write_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, read_tables
from xray_chest_detection.data.yolo import read_index
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.evaluate import labelled_without_box
from xray_chest_detection.detect.out_of_fold import PREDICTIONS_FILE, FoldPart, OutOfFold, join_folds, write_out_of_fold
from xray_chest_detection.detect.predict import Progress, predict_split
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, open_run
from xray_chest_detection.detect.thresholds import read_thresholds
from xray_chest_detection.detect.tracking import Tracker
from xray_chest_detection.detect.train import resume, train
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.detect.tuning.objectives import Objective
from xray_chest_detection.errors import ConfigError, DataError, ModelError

STEP = "xray cross-validate"
FOLDS, SPLITS, DATA, RUNS = "folds", "splits", "data", "runs"
# What may differ between the sessions that share one cross-validation.
_FREE = {"only", "out", "resamples", "device", "workers", "cache", "runs", "title", "comet", "data"}

State = Literal["new", "cut", "trained"]


@dataclass(frozen=True, eq=False)
class Plan:
    """A cross-validation whose patients are dealt.

    Attributes:
        config: What is trained, and how often.
        view: Tables, scheme and view settings of the data sets.
        folds: The fold of every image, as `data.folds.make_folds` returns it.
        annotations: Annotation table.
    """

    config: CrossValidateConfig
    view: YoloConfig
    folds: pd.DataFrame
    annotations: pd.DataFrame

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.config.folder

    def split(self, fold: int) -> Path:
        """Folder of the split in which a fold is the test part."""
        return self.folder / SPLITS / f"fold{fold}"

    def data(self, fold: int) -> Path:
        """Folder of the data set in which a fold is the test part."""
        return self.folder / DATA / f"fold{fold}"

    def run(self, fold: int) -> Path:
        """Folder of the run that never saw a fold."""
        return self.folder / RUNS / f"{self.config.name}-fold{fold}"

    def training(self, fold: int) -> DetectConfig:
        """The configuration of the run that never saw a fold."""
        return self.config.training(
            name=self.run(fold).name,
            data=self.data(fold),
            runs=self.folder / RUNS,
            weights=str(_start_weights(self, fold)),
        )

    def open(self, fold: int) -> Run:
        """The run that never saw a fold, on the data set of this machine: it may have been trained on another one.

        Raises:
            ModelError: There is no such run, or it is one of another recipe.
        """
        run = open_run(self.run(fold))
        mine = self.config.training(name=run.folder.name, weights=run.config.weights)
        old, new = (config.model_dump(mode="json", exclude=_FREE) for config in (run.config, mine))
        changed = _first_difference(old, new)
        if changed:
            raise ModelError(f"{run.folder}: was trained with {changed} in this cross-validation; remove it")
        return Run(run.folder, run.config.model_copy(update={"data": self.data(fold)}))

    def state(self, fold: int) -> State:
        """How far a fold's training is."""
        if not (self.run(fold) / CONFIG_FILE).is_file():
            return "new"
        return "trained" if self.open(fold).finished else "cut"


def prepare(config: CrossValidateConfig) -> Plan:
    """Deal the patients, or read how they were dealt when the cross-validation was started.

    Raises:
        DataError: The data set or its tables are missing or disagree, there are too few patients, or the folder holds
            another cross-validation.
        ConfigError: The weights were trained on patients that are tested here.
    """
    view = _view_of(config.data)
    images, annotations = read_tables(view.tables)
    start = Manifest(
        step=STEP,
        config=config.model_dump(mode="json", exclude=_FREE) | {"view": _view_settings(view)},
        inputs=split_inputs(SplitConfig(tables=view.tables), images) | hash_inputs(view.scheme),
        seed=config.fold_seed,
        versions=versions_of("iterative-stratification"),
    )
    place = config.folder / FOLDS
    if (place / FILE_NAME).is_file():
        _check_same(start, read_manifest(place), config.folder)
        plan = Plan(config, view, read_folds(place), annotations)
        _check_unchanged(place)
        _check_weights(plan)
        return plan
    plan = Plan(config, view, make_folds(images, annotations, n_folds=config.folds, seed=config.fold_seed), annotations)
    _check_weights(plan)
    write_folds(place, plan.folds)
    counts = {"folds": fold_counts(plan.folds, annotations)}
    write_manifest(place, start.model_copy(update={"outputs": hash_inputs(place / FOLDS_FILE), "counts": counts}))
    return plan


def run_fold(plan: Plan, fold: int, *, tracker: Tracker | None = None, progress: Progress | None = None) -> Run:
    """Bring one fold to its end: data set, training, thresholds, predictions of the fold. What is done is kept.

    Args:
        plan: The cross-validation.
        fold: Number of the fold.
        tracker: Follows the training; the caller ends it.
        progress: Wraps the images that are written or predicted.

    Raises:
        XrayError: As `train`, `resume` and `tune_nms`.
    """
    _build(plan, fold, progress=progress)
    state = plan.state(fold)
    if state == "new":
        train(plan.training(fold), tracker)
    elif state == "cut":
        resume(plan.run(fold), tracker)
    run = plan.open(fold)
    try:
        read_thresholds(run)
    except ModelError:  # none yet, or of other weights
        tune_nms(run, objective=Objective(plan.config.after.objective), device=plan.config.device, progress=progress)
    _predict(plan, fold, progress=progress)
    return run


def unfinished(plan: Plan) -> tuple[int, ...]:
    """The folds whose training is not complete."""
    return tuple(fold for fold in range(plan.config.folds) if plan.state(fold) != "trained")


def collect(plan: Plan, *, progress: Progress | None = None) -> OutOfFold:
    """Join the predictions of all folds and write them to `out_of_fold.npz`.

    Folds that were trained elsewhere and copied here get what else they need.

    Raises:
        ModelError: A fold is not trained yet.
        DataError: A data set cannot be built.
    """
    missing = unfinished(plan)
    if missing:
        raise ModelError(f"{plan.folder}: fold {missing[0]} is not trained yet; run `xray cross-validate` again")
    for fold in range(plan.config.folds):
        run_fold(plan, fold, progress=progress)
    predictions = join_folds([_predict(plan, fold, progress=progress) for fold in range(plan.config.folds)])
    write_out_of_fold(plan.folder, predictions)
    return predictions


def write_end(plan: Plan, outputs: list[Path]) -> None:
    """Write the manifest of the whole: digests of splits, weights and results. Write it last."""
    folds = range(plan.config.folds)
    start = read_manifest(plan.folder / FOLDS)
    digests = {f"{FOLDS}/{FOLDS_FILE}": sha256_of(plan.folder / FOLDS / FOLDS_FILE)}
    digests |= {f"{SPLITS}/fold{fold}/{SPLIT_FILE}": sha256_of(plan.split(fold) / SPLIT_FILE) for fold in folds}
    for fold in folds:
        weights = plan.open(fold).weights
        digests[weights.relative_to(plan.folder).as_posix()] = sha256_of(weights)
    manifest = start.model_copy(
        update={
            "inputs": start.inputs | digests,
            "outputs": hash_inputs(plan.folder / PREDICTIONS_FILE, *outputs),
            "versions": versions_of("iterative-stratification", "ultralytics", "torch", "numpy"),
            "created": Manifest(step=STEP, config={}).created,
        }
    )
    write_manifest(plan.folder, manifest)


def _view_of(data: Path) -> YoloConfig:
    """The view settings a data set was built with, if its boxes and scheme still are those of today."""
    manifest, cure = read_manifest(data), "build it again with `python -m data_prep.build_yolo`"
    if manifest.step != BUILD_STEP:
        raise DataError(f"{data / FILE_NAME}: written by '{manifest.step}', expected '{BUILD_STEP}'; {cure}")
    view = validate(YoloConfig, manifest.config, place=str(data / FILE_NAME))
    for path in (view.tables / ANNOTATIONS_FILE, view.scheme):
        if not path.is_file():
            raise DataError(f"{data}: was built from {path}, which is not there; {cure}")
        if manifest.inputs.get(path.name) != sha256_of(path):
            raise DataError(f"{data}: {path} was changed since this data set was built; {cure}")
    return view


def _view_settings(view: YoloConfig) -> dict[str, Any]:
    """What makes the content of a view; not where it lies."""
    return view.model_dump(mode="json", exclude={"tables", "split", "scheme", "out"})


def _check_same(new: Manifest, old: Manifest, folder: Path) -> None:
    cure = "give another --out, or remove the folder"
    config = CrossValidateConfig(name="any", data=Path()).model_dump(mode="json", exclude=_FREE)
    defaults = config | {"view": _view_settings(YoloConfig(out=Path()))}  # for keys that older versions did not have
    changed = _first_difference(merged(defaults, old.config), new.config)
    if changed:
        raise DataError(f"{folder}: was started with {changed} now; {cure}")
    names = sorted(
        name for name in old.inputs.keys() | new.inputs.keys() if old.inputs.get(name) != new.inputs.get(name)
    )
    if names:
        raise DataError(f"{folder}: was started with other data ({names[0]} differs); {cure}")


def _first_difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> str | None:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            nested = _first_difference(before, after, f"{prefix}{key}.")
            if nested:
                return nested
        elif before != after:
            return f"{prefix}{key} {before}, and it is {after}"
    return None


def _check_unchanged(place: Path) -> None:
    if read_manifest(place).outputs.get(FOLDS_FILE) != sha256_of(place / FOLDS_FILE):
        raise DataError(f"{place / FOLDS_FILE}: was changed after it was written; restore it, or give another --out")


def _check_weights(plan: Plan) -> None:
    """Refuse to start from a model that has seen the patients it will be tested on."""
    start = Path(plan.config.weights)
    if start.is_dir():
        if not (start / FOLDS / FOLDS_FILE).is_file():
            raise ConfigError(f"weights: {start} is a folder, but no cross-validation; give a file or a name")
        if not read_folds(start / FOLDS).equals(plan.folds):
            raise ConfigError(
                f"weights: {start} deals the patients into other folds, so its models have seen patients that are "
                "tested here; use the same tables, --folds and --fold-seed"
            )
        return
    if not (start.parent.parent / CONFIG_FILE).is_file():
        return
    run = open_run(start.parent.parent)
    seen = read_index(run.config.data)
    shared = set(seen.loc[seen["split"] != "test", "image_id"]) & set(plan.folds["image_id"])
    if shared:
        raise ConfigError(
            f"weights: {start} was trained on '{min(shared)}', which is tested here ({len(shared)} such images); start "
            "from public weights such as yolov8n.pt, or from a cross-validation of that model: --weights runs/cv/NAME"
        )


def _start_weights(plan: Plan, fold: int) -> str | Path:
    """What a fold's training starts from: as configured, or what the same fold of another cross-validation gave."""
    start = Path(plan.config.weights)
    if not start.is_dir():
        return plan.config.weights
    runs = sorted((start / RUNS).glob(f"*-fold{fold}"))
    if len(runs) != 1 or not open_run(runs[0]).finished:
        raise ModelError(f"weights: {start} has no finished fold {fold} to start from; finish it first")
    theirs, ours = start / SPLITS / f"fold{fold}" / SPLIT_FILE, plan.split(fold) / SPLIT_FILE
    if sha256_of(theirs) != sha256_of(ours):
        raise ModelError(f"weights: {theirs} differs from {ours}; use the same --val in both")
    return open_run(runs[0]).weights


def _build(plan: Plan, fold: int, *, progress: Progress | None) -> None:
    config = plan.config
    split = fold_split(plan.folds, plan.annotations, fold, val=config.val, seed=config.fold_seed)
    write_split(plan.split(fold), split)
    build_dataset(plan.view.model_copy(update={"split": plan.split(fold), "out": plan.data(fold)}), progress=progress)
    if len(read_labelled_split(plan.data(fold), "val").truth) == 0:  # before hours of training
        raise DataError(f"{plan.data(fold)}: no box among the validation patients to choose thresholds by; raise --val")


def _predict(plan: Plan, fold: int, *, progress: Progress | None) -> FoldPart:
    run, split = plan.open(fold), read_labelled_split(plan.data(fold), "test")
    candidates = predict_split(run, split, device=plan.config.device, progress=progress)
    return FoldPart(split, candidates, read_thresholds(run), labelled_without_box(plan.data(fold), split))
