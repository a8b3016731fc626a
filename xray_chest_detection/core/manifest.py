"""A manifest stands beside every product and says how it was made, so that a later run can tell if it is up to date."""

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from xray_chest_detection import __version__
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.errors import DataError

FILE_NAME = "manifest.json"


class Manifest(BaseModel):
    """How a product was made.

    Attributes:
        step: The command that made it.
        config: The resolved configuration.
        inputs: Path or name of every input to its sha256.
        outputs: Name of every checked output, relative to the manifest, to its sha256.
        counts: What the step counted.
        seed: Seed of the random choices, if there were any.
        versions: Package versions.
        created: Time of writing, UTC, ISO 8601.
    """

    model_config = ConfigDict(extra="forbid")

    step: str
    config: dict[str, Any]
    inputs: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    counts: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def same_recipe(self, other: "Manifest") -> bool:
        """Whether the other manifest comes from the same step, configuration, seed and inputs."""
        return (self.step, self.config, self.inputs, self.seed) == (other.step, other.config, other.inputs, other.seed)


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of this package, Python and the named installed packages."""
    found = {"xray_chest_detection": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hash_inputs(*paths: Path) -> dict[str, str]:
    """File name to sha256 of each input. Names, not paths, so that a moved data root changes nothing."""
    return {path.name: sha256_of(path) for path in paths}


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises:
        DataError: There is none, or it is damaged.
    """
    path = folder / FILE_NAME
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no manifest; run the step that makes {folder} first") from None
    except ValueError as error:
        raise DataError(f"{path}: damaged manifest ({str(error).splitlines()[0]}); run the step again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder, whole or not at all. Write it last: it says that the product is complete."""
    write_text(folder / FILE_NAME, json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")


def is_up_to_date(folder: Path, planned: Manifest) -> bool:
    """Whether the folder's product was made by the planned recipe and its checked outputs are unchanged."""
    if not (folder / FILE_NAME).is_file():
        return False
    try:
        existing = read_manifest(folder)
    except DataError:
        return False
    return existing.same_recipe(planned) and all(
        (folder / name).is_file() and sha256_of(folder / name) == digest for name, digest in existing.outputs.items()
    )
