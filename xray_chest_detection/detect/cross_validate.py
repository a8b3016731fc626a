"""Cross-validation by patient: one recipe trained once per fold, resumable, fold by fold.

`OUT/folds/folds.csv` deals the patients (its manifest holds the recipe), `OUT/splits/fold<k>/` and `OUT/data/fold<k>/`
are the split and the data set in which fold k is the test part, `OUT/runs/<name>-fold<k>/` is an ordinary run. When all
folds are done: `out_of_fold.npz`, `cross_validation.{json,csv,md}` and, last, `manifest.json`.
"""

from pathlib import Path

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import Manifest, hash_inputs, read_manifest, versions_of, write_manifest
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.folds import FOLDS_FILE, fold_split
from xray_chest_detection.data.splits import SPLIT_FILE, write_split
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.evaluate import labelled_without_box
from xray_chest_detection.detect.fold_plan import FOLDS, SPLITS, STEP, Plan
from xray_chest_detection.detect.out_of_fold import PREDICTIONS_FILE, FoldPart, OutOfFold, join_folds, write_out_of_fold
from xray_chest_detection.detect.predict import Progress
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import predict_deployed, read_thresholds
from xray_chest_detection.detect.tracking import Tracker
from xray_chest_detection.detect.train import resume, train
from xray_chest_detection.detect.tune_nms import tune_as_configured
from xray_chest_detection.errors import DataError, ModelError


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
        tune_as_configured(run, device=plan.config.device, progress=progress)
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


def _build(plan: Plan, fold: int, *, progress: Progress | None) -> None:
    config = plan.config
    split = fold_split(plan.folds, plan.annotations, fold, val=config.val, seed=config.fold_seed)
    write_split(plan.split(fold), split)
    build_dataset(plan.view.model_copy(update={"split": plan.split(fold), "out": plan.data(fold)}), progress=progress)
    if len(read_labelled_split(plan.data(fold), "val").truth) == 0:  # before hours of training
        raise DataError(f"{plan.data(fold)}: no box among the validation patients to choose thresholds by; raise --val")


def _predict(plan: Plan, fold: int, *, progress: Progress | None) -> FoldPart:
    run, split = plan.open(fold), read_labelled_split(plan.data(fold), "test")
    candidates = predict_deployed(run, split, device=plan.config.device, progress=progress)
    return FoldPart(split, candidates, read_thresholds(run), labelled_without_box(plan.data(fold), split))
