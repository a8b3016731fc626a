"""The folder of a training run: what lies where, and reading it back.

`RUN/config.yaml` is the resolved configuration, `RUN/weights/{last,best}.pt` the checkpoints, `RUN/results.csv` the
epochs, `RUN/start.yaml` what the training began with, `RUN/manifest.json` (written last) says that it is complete.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from xray_chest_detection.config.base import StrictModel, read_config
from xray_chest_detection.config.detect import CometConfig, DetectConfig
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.manifest import FILE_NAME, read_manifest
from xray_chest_detection.errors import DataError, ModelError

CONFIG_FILE = "config.yaml"
START_FILE = "start.yaml"
ENSEMBLE_FILE = "ensemble.pt"
SPLIT_INPUT = "data/split.csv"  # its name among the inputs of a run's manifest


@dataclass(frozen=True)
class Run:
    """A run folder and its configuration."""

    folder: Path
    config: DetectConfig

    @property
    def last(self) -> Path:
        """Checkpoint of the last finished epoch."""
        return self.folder / "weights" / "last.pt"

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch that was best on the validation split."""
        return self.folder / "weights" / "best.pt"

    @property
    def trained(self) -> Path:
        """The checkpoint of the epoch that the configuration chooses."""
        return self.last if self.config.checkpoint == "last" else self.best

    @property
    def network(self) -> Path:
        """`trained`, or its mean with the starting weights."""
        return self.folder / "weights" / "blend.pt" if self.config.start_share else self.trained

    @property
    def weights(self) -> Path:
        """The file that is tuned, evaluated and exported: `network`, or an ensemble of it and further ones."""
        return self.folder / "weights" / ENSEMBLE_FILE if self.config.networks > 1 else self.network

    @property
    def further(self) -> tuple[DetectConfig, ...]:
        """Configurations of the further networks of an ensemble; their runs lie in `RUN/networks`."""
        changes = {"runs": self.folder / "networks", "networks": 1, "comet": CometConfig(mode="off")}
        return tuple(
            self.config.model_copy(update=changes | {"name": str(number), "seed": self.config.seed + number})
            for number in range(1, self.config.networks)
        )

    @property
    def finished(self) -> bool:
        """Whether the training came to its end."""
        return (self.folder / FILE_NAME).is_file()


class Start(StrictModel):
    """What a training began with, for the session that goes on with it.

    Attributes:
        classes: Class names of the data set, by class id.
        split_sha256: The split the data set is a view of; None when its manifest does not say.
        weights_sha256: Digest of the weights file by its name; empty for random weights.
        batch: Images a step: the configured number, or half of it once memory has run out.
    """

    classes: tuple[str, ...]
    split_sha256: str | None
    weights_sha256: dict[str, str]
    batch: int = Field(ge=1)


def read_start(run: Run) -> Start | None:
    """What a run's training began with; None for runs of versions that did not write it.

    Raises:
        ModelError: The file is damaged.
    """
    path = run.folder / START_FILE
    if not path.is_file():
        return None
    try:
        return Start.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, ValidationError):
        raise ModelError(f"{path}: damaged; remove {run.folder} and train again") from None


def write_start(run: Run, start: Start) -> None:
    """Write what a run's training begins with."""
    write_text(run.folder / START_FILE, yaml.safe_dump(start.model_dump(mode="json"), sort_keys=False))


def open_run(folder: Path) -> Run:
    """Open an existing run folder.

    Raises:
        ModelError: There is no such folder, or it is not a run.
    """
    if not folder.is_dir():
        siblings = sorted(path.name for path in folder.parent.glob("*/") if (path / CONFIG_FILE).is_file())
        known = f" (runs there: {', '.join(siblings)})" if siblings else ""
        raise ModelError(f"{folder}: no such run folder{known}; start one with `python train.py CONFIG`")
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder}: not a run folder, it has no {CONFIG_FILE}; start one with `python train.py CONFIG`"
        )
    return Run(folder, read_config(DetectConfig, folder / CONFIG_FILE))


def open_trained_run(folder: Path) -> Run:
    """Open a run that has weights.

    Raises:
        ModelError: There is no such run, or it has no weights yet.
    """
    run = open_run(folder)
    if not run.weights.is_file():
        raise ModelError(f"{run.weights}: no weights yet; finish the training with `python train.py --resume {folder}`")
    return run


def require_same_split(run: Run) -> None:
    """Make sure that a run's data set still is a view of the split the run was trained on.

    Raises:
        DataError: It was built again from another split, so that test patients may have been trained on.
    """
    trained_on = read_manifest(run.folder).inputs.get(SPLIT_INPUT) if run.finished else None
    if trained_on is not None and trained_on != split_digest(run.config.data):
        raise DataError(
            f"{run.config.data}: was built again from another split than {run.folder} was trained on, so its test "
            "patients may have been trained on; build it from the old split, or train again"
        )


def split_digest(data: Path) -> str | None:
    """The sha256 of the split a data set is a view of; None when its manifest does not say.

    Raises:
        DataError: The data set has no manifest.
    """
    return read_manifest(data).inputs.get("split.csv")


def create_run(config: DetectConfig) -> Run:
    """Make the folder of a new run and write its configuration.

    Raises:
        ModelError: A run of this name exists.
    """
    folder = config.runs / config.name
    if (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder}: this run exists; go on with `python train.py --resume {folder}`, "
            "remove the folder, or choose another --name"
        )
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder / CONFIG_FILE, text)
    return Run(folder, config)
