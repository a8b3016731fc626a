"""Training a detector with ultralytics, from a configuration to a run folder; and going on with a run that was cut."""

import gc
from collections.abc import Callable
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import torch
from ultralytics.utils import LOGGER

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.files import FULL_DISK, write_text
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.data.yolo import read_classes
from xray_chest_detection.detect.before import require_same_data, require_trainable, require_unseen_test
from xray_chest_detection.detect.blend import write_blend
from xray_chest_detection.detect.ensemble import Ensemble, write_ensemble
from xray_chest_detection.detect.noise import progress_only
from xray_chest_detection.detect.predict import read_checkpoint
from xray_chest_detection.detect.runs import (
    CONFIG_FILE,
    SPLIT_INPUT,
    Run,
    Start,
    create_run,
    open_run,
    read_start,
    split_digest,
    write_start,
)
from xray_chest_detection.detect.settings import choose_device, overrides_of
from xray_chest_detection.detect.tracking import Tracker, epoch_rows
from xray_chest_detection.detect.trainer import NotFiniteError, XrayTrainer
from xray_chest_detection.detect.weights import is_architecture, resolve_weights
from xray_chest_detection.errors import ConfigError, DataError, ModelError

RESULTS_FILE = "results.csv"
# Of the allocators of torch on CUDA and on a CPU, of cuBLAS and cuDNN, and of a worker process that the system ended.
_MEMORY_SIGNS = (
    "out of memory", "not enough memory", "allocate memory", "cublas_status_alloc_failed",
    "cudnn_status_internal_error", "unable to find an engine", "killed by signal: killed",
)  # fmt: skip


def train(
    config: DetectConfig, tracker: Tracker | None = None, *, say: Callable[[str], object] = lambda _: None
) -> Run:
    """Train a new run.

    Args:
        config: What to train.
        tracker: Follows the training; the caller ends it.
        say: Takes what is missing in the data set without harm to the training, a sentence each, before it begins.

    Raises:
        ConfigError: There is no such device, or the weights have seen test patients.
        DataError: No useful training is possible with the data set.
        ModelError: The weights are missing or damaged, the run exists, or the training failed.
    """
    for remark in require_trainable(config):
        say(remark)
    require_unseen_test(config)
    choose_device(config.device)
    weights = _start(config)
    run = create_run(config)
    _begin(run, weights, batch=config.batch)
    return _train(run, weights, tracker=tracker)


def resume(folder: Path, tracker: Tracker | None = None, *, say: Callable[[str], object] = lambda _: None) -> Run:
    """Go on with a run that was cut; from the beginning when it was cut before the end of its first epoch.

    `tracker` and `say` are as in `train`.

    Raises:
        ConfigError: There is no such device.
        DataError: The data set is missing, or not the one the run began with.
        ModelError: There is no such run, it is complete or its checkpoint damaged, or the training failed.
    """
    run = open_run(folder)
    if run.finished:
        raise ModelError(f"{folder}: this run is complete, nothing to resume; start another with a new --name")
    for remark in require_trainable(run.config):
        say(remark)
    start = read_start(run)
    if start is not None:
        require_same_data(run, start)
    if not run.last.is_file():
        weights = _start(run.config)
        _begin(run, weights, batch=start.batch if start else run.config.batch)
        return _train(run, weights, tracker=tracker)
    if _is_trained(run):
        if tracker is not None:
            tracker.start(run)
        return _finish(run)
    return _train(run, _going_on(run), tracker=tracker)


def train_or_resume(config: DetectConfig) -> Run:
    """The finished run of a configuration's name: the one that is there, or one that goes on, or a new one.

    Errors are those of `train` and `resume`.
    """
    folder = config.runs / config.name
    if not (folder / CONFIG_FILE).is_file():
        return train(config)
    run = open_run(folder)
    return run if run.finished else resume(folder)


def _start(config: DetectConfig) -> dict[str, Any]:
    """Where a training starts: a weights file, or an architecture with random weights."""
    if is_architecture(config.weights):
        if config.start_share:
            raise ConfigError(f"start_share: {config.start_share} of random weights; set it to 0, or give --weights")
        return {"model": config.weights, "pretrained": False}
    weights = resolve_weights(config.weights)
    if isinstance(read_checkpoint(weights), Ensemble):  # before a run folder is made that could never be resumed
        raise ModelError(f"{weights}: several networks, of which one has to start; give {weights.with_name('last.pt')}")
    return {"model": str(weights)}


def _begin(run: Run, weights: dict[str, Any], *, batch: int) -> Start:
    """Note what a training begins with."""
    file = Path(str(weights.get("model", "")))
    start = Start(
        classes=read_classes(run.config.data),
        split_sha256=split_digest(run.config.data),
        weights_sha256=hash_inputs(file) if file.is_file() else {},
        batch=batch,
    )
    write_start(run, start)
    return start


def _train(run: Run, weights: dict[str, Any], *, tracker: Tracker | None) -> Run:
    if tracker is not None:
        tracker.start(run)
    while not _run_trainer(run, weights, tracker=tracker):
        gc.collect()  # the trainer that failed is out of reach only now
        torch.cuda.empty_cache()
        weights = _going_on(run) if run.last.is_file() else weights
    return _finish(run)


def _run_trainer(run: Run, weights: dict[str, Any], *, tracker: Tracker | None) -> bool:
    """Train to the end; False when memory ran out and half the batch is to be tried."""
    config, start = run.config, read_start(run)
    batch = {} if start is None else {"batch": start.batch}
    try:
        with progress_only():
            trainer = XrayTrainer(
                overrides=overrides_of(config, run.folder) | batch | weights,
                cpu_bf16=config.precision == "bf16",
                cpu_workers=min(config.workers, 1),
            )
            if tracker is not None:
                tracker.follow(trainer)
            trainer.train()
    except DataError as error:
        raise ModelError(f"{error}; then go on with {_resume(run)}") from error
    except (RuntimeError, OSError, MemoryError, ValueError, TypeError, AssertionError, SubprocessError) as error:
        if not _is_out_of_memory(error):
            raise ModelError(f"{run.folder}: {_failure(run, error)}") from error
        if run.last.is_file() and _is_trained(run):
            return True  # all that is missing are figures of the best epoch
        _halve_batch(run)
        return False
    return True


def _halve_batch(run: Run) -> None:
    """Note that what is left of a run's epochs is done with half the batch, unless it was halved before or is 1."""
    start = read_start(run) or _begin(run, {}, batch=run.config.batch)
    if start.batch < run.config.batch or start.batch == 1:
        again = f", half of the {run.config.batch} that were too many before" if start.batch < run.config.batch else ""
        raise ModelError(
            f"{run.folder}: out of memory with batch {start.batch}{again}; free memory and go on with {_resume(run)}, "
            "or start another run with a smaller --image-size-px or --batch"
        )
    write_start(run, start.model_copy(update={"batch": start.batch // 2}))
    LOGGER.warning(
        f"{run.folder}: out of memory with batch {start.batch}; going on with batch {start.batch // 2}, as the "
        "manifest will say"
    )


def _finish(run: Run) -> Run:
    if not run.trained.is_file():
        raise ModelError(f"{run.folder}: no weights were written; look at the training log for the reason")
    start, split = read_start(run), split_digest(run.config.data)
    if run.config.start_share:
        _blend(run, start)
    if run.config.networks > 1:
        write_ensemble([run.network, *[train_or_resume(config).weights for config in run.further]], run.weights)
    inputs = {f"data/{FILE_NAME}": hash_inputs(run.config.data / FILE_NAME)[FILE_NAME]}
    inputs |= {SPLIT_INPUT: split} if split else {}
    counts = {"data": read_manifest(run.config.data).counts, "epochs": len(epoch_rows(run.folder / RESULTS_FILE))}
    if start is not None:
        inputs |= start.weights_sha256
        counts |= {"batch_halved_to": start.batch} if start.batch < run.config.batch else {}
    manifest = Manifest(
        step="train",
        config=run.config.model_dump(mode="json"),
        inputs=inputs,
        outputs={f"weights/{name}": digest for name, digest in hash_inputs(run.weights).items()},
        counts=counts,
        seed=run.config.seed,
        versions=versions_of("ultralytics", "torch", "numpy"),
    )
    write_manifest(run.folder, manifest)
    return run


def _blend(run: Run, start: Start | None) -> None:
    """Write the mean with the starting weights, as long as they still are what the training began with."""
    weights = resolve_weights(run.config.weights)
    if start is None or hash_inputs(weights) != start.weights_sha256:
        raise ModelError(f"{weights}: not the weights {run.folder} began with; put them back, then {_resume(run)}")
    write_blend(run.trained, weights, run.network, start_share=run.config.start_share)


def _going_on(run: Run) -> dict[str, Any]:
    """The settings that let ultralytics go on after the last checkpoint, once nothing later is left of the epochs."""
    for half in run.last.parent.glob(".tmp-*"):
        half.unlink()
    _forget_epochs(run.folder / RESULTS_FILE, after=_saved_epochs(run))
    return {"model": str(run.last), "resume": str(run.last), "save_dir": str(run.folder.resolve())}


def _is_trained(run: Run) -> bool:
    """Whether there is no epoch left to train after the last checkpoint."""
    return not 0 < _saved_epochs(run) < run.config.epochs


def _saved_epochs(run: Run) -> int:
    """The number of epochs behind the last checkpoint; 0 for a finished one, with which ultralytics cannot go on."""
    try:
        return int(torch.load(run.last, map_location="cpu", weights_only=False)["epoch"]) + 1
    except Exception as error:  # pickle, zip and key errors of every kind
        raise ModelError(
            f"{run.last}: damaged checkpoint ({_one_line(error)}); remove it to start this run from the beginning"
        ) from None


def _forget_epochs(results: Path, *, after: int) -> None:
    """Take out the lines of epochs whose checkpoint was never written, and half a line."""
    if not results.is_file():
        return
    header, *rows = results.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    saved = {str(number) for number in range(1, after + 1)}
    kept = [row for row in rows if row.endswith("\n") and row.split(",", 1)[0].strip() in saved]
    if kept != rows:
        write_text(results, "".join([header, *kept]))


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY_SIGNS)


def _failure(run: Run, error: BaseException) -> str:
    """What went wrong in a training, and how to go on."""
    if isinstance(error, NotFiniteError):
        kept = f"{run.last.name} is from before: go on with {_resume(run)}, or " if run.last.is_file() else ""
        return f"{error}; {kept}start another run with --precision fp32, or a named --optimizer and --learning-rate"
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return f"the disk is full ({_one_line(error)}); free some space, then go on with {_resume(run)}"
    return f"training failed: {_one_line(error)}"


def _resume(run: Run) -> str:
    return f"`python train.py --resume {run.folder}`"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
