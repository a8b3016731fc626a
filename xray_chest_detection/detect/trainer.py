"""The ultralytics trainer with what this project adds.

Bfloat16 on a CPU, a loss and a validation that know what is unknown, and checkpoints that are never half-written and
never without finite numbers.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from ultralytics.engine import trainer as engine
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.utils import SETTINGS, dist
from ultralytics.utils.torch_utils import unwrap_model

from xray_chest_detection.core.files import atomic_path, write_bytes
from xray_chest_detection.detect.dataset import reading_like_the_demo
from xray_chest_detection.detect.masks import weigh_criterion
from xray_chest_detection.detect.regions import UNKNOWN
from xray_chest_detection.detect.runs import CONFIG_FILE, open_run
from xray_chest_detection.detect.side_labels import SideLabels, read_side_labels

_INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb")


class NotFiniteError(RuntimeError):
    """A training's loss or weights are no finite numbers any more, and going back did not help."""


class XrayTrainer(DetectionTrainer):  # type: ignore[misc]
    """A `DetectionTrainer` that logs nowhere by itself and can run its forward pass in bfloat16 on a CPU.

    With several GPUs ultralytics starts one process each, which builds this class again from `cfg`, `overrides` and
    `_callbacks` alone. The options for a CPU are therefore not needed there, and the use of the data set's side files
    is read from the configuration in the run folder.
    """

    last: Any  # paths, and while a checkpoint is written what stands in for them
    best: Any

    def __init__(
        self,
        cfg: Any = None,  # noqa: ANN401 -- the signature of ultralytics
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, list[Callable[..., None]]] | None = None,
        *,
        cpu_bf16: bool = False,
        cpu_workers: int = 0,
    ) -> None:
        switch_off_integrations()
        options = {} if cfg is None else {"cfg": cfg}
        super().__init__(**options, overrides=overrides, _callbacks=_callbacks)
        self.cpu_bf16 = cpu_bf16
        if self.device.type == "cpu":
            self.args.workers = cpu_workers  # ultralytics sets 0: the cores wait while images are loaded
            torch.set_num_threads(_usable_cores())  # ultralytics leaves one core out
        self.add_callback("on_train_start", _use_bf16)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:  # noqa: ANN401
        """The data set of ultralytics, with images read and scaled as the demo does it."""
        with reading_like_the_demo(self.side):
            return super().build_dataset(img_path, mode, batch)

    def get_validator(self) -> "XrayValidator":
        """The validation that chooses the best checkpoint."""
        options = {"save_dir": self.save_dir, "args": copy(self.args), "_callbacks": self.callbacks}
        return XrayValidator(self.test_loader, **options)

    @cached_property
    def side(self) -> SideLabels | None:
        """Unknown classes and weights of boxes that this run uses."""
        return read_side_labels(open_run(Path(self.save_dir)).config)

    def _setup_train(self) -> None:
        """Set up as ultralytics does; then both losses, of training and of validation, obey the side labels."""
        super()._setup_train()
        if self.side is not None:
            weigh_criterion(unwrap_model(self.model))
            weigh_criterion(self.ema.ema)

    def train(self) -> None:
        """Train here, or in one process per GPU; the run's configuration outlives the latter's fresh folder."""
        with _keeping(self.save_dir / CONFIG_FILE):
            super().train()

    def save_model(self) -> bool:
        """Write last.pt and best.pt through temporary names: both or none, and never half of one.

        A last.pt that knows of a better epoch than best.pt is from would never let another one become best. And
        ultralytics would write weights that are no numbers as zeros, over the last good ones.

        Raises:
            NotFiniteError: The weights are no finite numbers any more.
        """
        state = unwrap_model(self.model).state_dict()
        if not all(bool(values.isfinite().all()) for values in state.values()):
            raise NotFiniteError(f"the weights are not finite numbers any more in epoch {self.epoch + 1}")
        last, best = self.last, self.best
        with ExitStack() as files:
            self.last, self.best = _AtomicFile(last, files), _AtomicFile(best, files)
            try:
                return bool(super().save_model())
            finally:
                self.last, self.best = last, best

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Go back to last.pt when the loss is no finite number, as ultralytics does: up to three times in a row.

        Raises:
            NotFiniteError: It did not help.
        """
        try:
            return bool(super()._handle_nan_recovery(epoch))
        except RuntimeError as error:
            raise NotFiniteError(f"the loss is not a finite number in epoch {epoch + 1}, time and again") from error

    def _build_train_pipeline(self) -> None:
        """Build the loaders, once.

        ultralytics comes here again when memory runs out in the first epoch, with half the batch, up to three times.
        Halving is the business of `detect.train`: once, in any epoch, on a CPU too, and remembered.

        Raises:
            MemoryError: It came again.
        """
        if getattr(self, "_oom_retries", 0):
            raise MemoryError("out of memory")
        super()._build_train_pipeline()

    def final_eval(self) -> None:
        """Strip and validate the best weights; stripped checkpoints, too, appear whole."""
        strip = engine.strip_optimizer
        engine.strip_optimizer = _strip_atomically
        try:
            super().final_eval()
        finally:
            engine.strip_optimizer = strip


class XrayValidator(DetectionValidator):  # type: ignore[misc]
    """A `DetectionValidator` to which a mark of a class that is unknown on an image is neither right nor wrong."""

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        """Count a batch's marks without those of unknown classes; `preds` itself stays whole, for the plots."""
        if UNKNOWN in batch:
            unknown = batch[UNKNOWN][..., 6:].bool().any(1)  # validation looks at one whole film at a time
            preds = [_select(marks, ~row[marks["cls"].long()]) for marks, row in zip(preds, unknown, strict=True)]
        super().update_metrics(preds, batch)


def switch_off_integrations() -> None:
    """Keep ultralytics from logging to whatever tracker is installed; the user's settings file is not touched."""
    for name in _INTEGRATIONS:
        dict.__setitem__(SETTINGS, name, False)


class _AtomicFile:
    """Stands in for a path while ultralytics saves: what is written appears, whole, when `files` are closed."""

    def __init__(self, path: Path, files: ExitStack) -> None:
        self._path, self._files = path, files

    def write_bytes(self, content: bytes) -> None:
        self._files.enter_context(atomic_path(self._path)).write_bytes(content)


def _strip_atomically(f: str | Path, s: str = "", updates: dict[str, Any] | None = None) -> dict[str, Any]:
    """`strip_optimizer` of ultralytics, which would write into the only copy of the weights."""
    from ultralytics.utils.torch_utils import strip_optimizer

    with atomic_path(Path(s or f)) as temporary:
        try:
            return dict(strip_optimizer(f, str(temporary), updates))
        except RuntimeError as error:
            if "inline_container" not in str(error):
                raise
            raise OSError(errno.ENOSPC, "writing failed, as on a full disk") from error  # torch names no reason


@contextmanager
def _keeping(path: Path) -> Iterator[None]:
    """Write a file back when ultralytics removes its folder before it starts one process per GPU."""
    content = path.read_bytes() if path.is_file() else None
    original = dist.generate_ddp_command

    def command_with_file(trainer: Any) -> Any:  # noqa: ANN401 -- the signature of ultralytics
        command = original(trainer)
        if content is not None:
            write_bytes(path, content)
        return command

    engine.generate_ddp_command = command_with_file
    try:
        yield
    finally:
        engine.generate_ddp_command = original


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_bf16(trainer: XrayTrainer) -> None:
    """Run the network, not the loss, in bfloat16, channels last: a sixth faster on two cores.

    The weights that are averaged and saved stay float32, and contiguous.
    """
    if not trainer.cpu_bf16 or trainer.device.type != "cpu":
        return
    trainer.model.to(memory_format=torch.channels_last)
    predict = trainer.model.predict

    def predict_in_bf16(images: torch.Tensor, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=trainer.model.training):
            return _to_float32(predict(images, *arguments, **options))

    trainer.model.predict = predict_in_bf16


def _select(marks: dict[str, torch.Tensor], rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: values[rows] for name, values in marks.items()}


def _to_float32(value: Any) -> Any:  # noqa: ANN401 -- nested lists and dicts of tensors
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, Mapping):
        return {key: _to_float32(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_float32(item) for item in value)
    return value
