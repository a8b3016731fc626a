"""Configuration of `xray cross-validate`: a detector's training, and how it is repeated."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from xray_chest_detection.config.detect import DetectConfig


class CrossValidateConfig(DetectConfig):
    """Train a recipe once per fold of the patients and measure it on the patients that were left out.

    All keys of a training are here too. `data` names the data set whose tables, scheme and view settings are used; its
    split is not. `weights` may name the folder of another cross-validation with the same folds: each fold then starts
    from the weights of that fold. `after.objective` chooses each fold's thresholds; `runs`, `title`, `synthetic` and
    the other steps `after` a training have no part in it.

    Attributes:
        folds: Number of folds.
        val: Share of the other patients that chooses a fold's best epoch and thresholds.
        fold_seed: Seed of the folds; the seed of the trainings is `seed`.
        only: Numbers of the folds to work on, from 0: `--only 0,2`. All when not given.
        out: Folder to write; `runs/cv/<name>` when not given.
        resamples: Resamples of the patients behind the pooled intervals.
    """

    folds: int = Field(5, ge=2, le=20)
    val: float = Field(0.1, gt=0, lt=0.5)
    fold_seed: int = Field(0, ge=0)
    only: tuple[int, ...] | None = None
    out: Path | None = None
    resamples: int = Field(2000, ge=0)

    @field_validator("only", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            parts = [part for item in value for part in str(item).split(",")]
            return parts or None
        return value

    @model_validator(mode="after")
    def _only_has_known_folds(self) -> "CrossValidateConfig":
        wrong = [fold for fold in self.only or () if not 0 <= fold < self.folds]
        if wrong:
            raise ValueError(f"only: there are the folds 0 to {self.folds - 1}, got {wrong[0]}")
        return self

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.out or Path("runs/cv") / self.name

    @property
    def wanted(self) -> tuple[int, ...]:
        """The folds to work on, each once, in order."""
        return tuple(range(self.folds)) if self.only is None else tuple(sorted(set(self.only)))

    def training(self, **changes: object) -> DetectConfig:
        """The configuration of one training with some keys changed."""
        return DetectConfig.model_validate(self.model_dump(include=set(DetectConfig.model_fields)) | changes)
