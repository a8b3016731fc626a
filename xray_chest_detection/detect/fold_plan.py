"""The plan of a cross-validation: its recipe, who is in which fold, and whether both are what it was started with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

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
from xray_chest_detection.data.build import read_view
from xray_chest_detection.data.folds import FOLDS_FILE, fold_counts, make_folds, read_folds, write_folds
from xray_chest_detection.data.splits import SPLIT_FILE, split_inputs
from xray_chest_detection.data.tables import read_tables
from xray_chest_detection.data.yolo import read_index
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, open_run
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
    view = read_view(config.data)
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
