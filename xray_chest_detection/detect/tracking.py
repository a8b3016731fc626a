"""Comet: online with an API key, an offline archive without, nothing when it is off. The only module with comet_ml.

Make the tracker before torch is imported: comet_ml wants to be first. Epochs are read from the run's `results.csv`, so
that trainings in child processes (several GPUs) and resumed ones are logged whole; with several GPUs all epochs arrive
when the training is done, because ultralytics tells the parent process nothing before.
"""

import csv
import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from xray_chest_detection.config.detect import CometConfig
from xray_chest_detection.core.manifest import FILE_NAME
from xray_chest_detection.detect.runs import CONFIG_FILE, Run
from xray_chest_detection.errors import DependencyError

FOLDER = "comet"
KEY_VARIABLE = "COMET_API_KEY"
_FIGURES = ("*.png", "*.jpg", "figures/*.png")
_ASSETS = ("thresholds.yaml", "nms_grid.csv", "evaluation-*.*", "comparison-*.*", FILE_NAME)
# Nothing of the machine, of the source tree or of the terminal leaves it.
_QUIET = {
    "log_code": False,
    "log_graph": False,
    "log_git_metadata": False,
    "log_git_patch": False,
    "log_env_details": False,
    "log_env_gpu": False,
    "log_env_cpu": False,
    "log_env_host": False,
    "log_env_network": False,
    "log_env_disk": False,
    "parse_args": False,
    "auto_param_logging": False,
    "auto_metric_logging": False,
    "auto_output_logging": False,
    "display_summary_level": 0,
}


class Tracker(Protocol):
    """Follows one training from its start to the last figure.

    Attributes:
        note: A line for the user, or nothing.
    """

    note: str

    def start(self, run: Run) -> None:
        """Begin to log a run: parameters, configuration, data manifest."""

    def follow(self, trainer: Any) -> None:  # noqa: ANN401 -- an ultralytics trainer
        """Log every epoch of a trainer as it ends."""

    def finish(self) -> None:
        """Log what the run left behind and end; harmless when nothing was started, and when called twice."""


class NoTracker:
    """Logs nothing."""

    def __init__(self, note: str = "") -> None:
        self.note = note

    def start(self, run: Run) -> None:
        """Do nothing."""

    def follow(self, trainer: Any) -> None:  # noqa: ANN401
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class CometTracker:
    """Logs to Comet, or to an archive in `RUN/comet/` that `comet upload` sends later."""

    def __init__(self, config: CometConfig, comet_ml: ModuleType) -> None:
        self.note = ""
        self._config = config
        self._comet = comet_ml
        self._experiment: Any = None
        self._run: Run | None = None
        self._rows = 0

    def start(self, run: Run) -> None:
        """Open the experiment; log parameters, configuration and data manifest."""
        self._run = run
        self._experiment = self._open(run)
        self._experiment.set_name(run.folder.name)
        self._experiment.log_parameters(flatten(run.config.model_dump(mode="json")))
        self._log_asset(run.folder / CONFIG_FILE, CONFIG_FILE)
        self._log_asset(run.config.data / FILE_NAME, f"data-{FILE_NAME}")

    def follow(self, trainer: Any) -> None:  # noqa: ANN401 -- an ultralytics trainer
        """Log each epoch when it ends; with several GPUs the callback could not travel to the child processes."""
        if not trainer.ddp:
            trainer.add_callback("on_fit_epoch_end", lambda _: self._log_new_epochs())

    def finish(self) -> None:
        """Log remaining epochs, figures, results and final metrics; then end the experiment."""
        if self._experiment is None or self._run is None:
            return
        experiment, run = self._experiment, self._run
        try:
            self._log_new_epochs()
            for pattern in _FIGURES:
                for path in sorted(run.folder.glob(pattern)):
                    experiment.log_image(str(path), name=path.name)
            for pattern in _ASSETS:
                for path in sorted(run.folder.glob(pattern)):
                    self._log_asset(path, path.name)
            for path in sorted(run.folder.glob("evaluation-*.json")):
                self._log_evaluation(json.loads(path.read_text(encoding="utf-8")))
        finally:
            self._experiment = None
            experiment.end()

    def _open(self, run: Run) -> Any:  # noqa: ANN401 -- comet_ml has no types
        options = {"project_name": self._config.project, **_QUIET}
        if self._config.mode == "auto" and os.environ.get(KEY_VARIABLE):
            return self._comet.Experiment(api_key=os.environ[KEY_VARIABLE], **options)
        folder = run.folder / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return self._comet.OfflineExperiment(offline_directory=str(folder), **options)

    def _log_asset(self, path: Path, name: str) -> None:
        if path.is_file():
            self._experiment.log_asset(str(path), file_name=name)

    def _log_evaluation(self, content: dict[str, Any]) -> None:
        """Every number as `test/mAP50`, the confusion matrix and the FROC curves, as Comet's own kinds of things."""
        split = content["split"]
        numbers = {f"{split}/{row['name']}": row["value"] for row in content["metrics"] if row["value"] is not None}
        self._experiment.log_metrics(numbers)
        labels = [*(row["name"] for row in content["per_class"]), "nothing"]
        title, file_name = f"{split}: true rows, shown columns", f"confusion-{split}.json"
        self._experiment.log_confusion_matrix(
            matrix=content["confusion"], labels=labels, title=title, file_name=file_name
        )
        for name, points in content["froc"].items():
            if points:
                x, y = ([point[axis] for point in points] for axis in (0, 1))
                self._experiment.log_curve(f"{split}/FROC {name}", x=x, y=y)

    def _log_new_epochs(self) -> None:
        if self._run is None or self._experiment is None:
            return
        rows = epoch_rows(self._run.folder / "results.csv")
        for epoch, metrics in rows[self._rows :]:
            self._experiment.log_metrics(metrics, step=epoch, epoch=epoch)
        self._rows = max(self._rows, len(rows))


def make_tracker(config: CometConfig) -> Tracker:
    """The tracker a configuration asks for. Call it before torch is imported.

    Raises:
        DependencyError: An archive was asked for by name and comet_ml is not installed.
    """
    if config.mode == "off":
        return NoTracker()
    if importlib.util.find_spec("comet_ml") is None:
        cure = "install it with `pip install -e '.[train]'`, or set comet.mode to off"
        if config.mode == "offline":
            raise DependencyError(f"comet.mode 'offline' needs the package comet_ml; {cure}")
        return NoTracker(f"not tracked: the package comet_ml is missing; {cure}")
    os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")
    import comet_ml

    return CometTracker(config, comet_ml)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `outer.inner: value`.

    >>> flatten({"epochs": 3, "augment": {"mosaic": 0.5}})
    {'epochs': 3, 'augment.mosaic': 0.5}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def epoch_rows(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Epoch and metrics of every complete line of a `results.csv` of ultralytics; none when there is no file yet."""
    if not path.is_file():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            values = {str(name).strip(): _float(text) for name, text in row.items() if name is not None}
            epoch = values.pop("epoch", None)
            if epoch is not None:
                rows.append((int(epoch), {name: value for name, value in values.items() if value is not None}))
    return rows


def _float(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None
