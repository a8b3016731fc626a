"""What `app.yaml` says, as far as it can be checked on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_chest_detection.config.base import read_yaml
from xray_chest_detection.errors import DeployError

FILE_NAME = "app.yaml"
# Memory of the instance classes of the standard environment, taken as the smaller kind of megabyte.
# Source: https://cloud.google.com/appengine/docs/standard#instance_classes
MEMORY_BYTES = {
    "F1": 384_000_000,
    "F2": 768_000_000,
    "F4": 1_536_000_000,
    "F4_1G": 3_072_000_000,
    "B1": 384_000_000,
    "B2": 768_000_000,
    "B4": 1_536_000_000,
    "B4_1G": 3_072_000_000,
    "B8": 3_072_000_000,
}
_DEFAULT_CLASS = "F1"


@dataclass(frozen=True)
class Settings:
    """The part of `app.yaml` that matters here.

    Attributes:
        python: Version of Python it asks for, for example `3.13`.
        instance_class: For example `F2`.
        memory_bytes: Memory of an instance of that class.
        entrypoint: The command that starts the server; it listens on $PORT.
        environment: Variables it runs with.
        static: Folders and files that are served without the program.
    """

    python: str
    instance_class: str
    memory_bytes: int
    entrypoint: str
    environment: dict[str, str]
    static: tuple[str, ...]


def read_settings(root: Path) -> Settings:
    """Read `app.yaml` of a project.

    Raises:
        ConfigError: It is missing or no YAML.
        DeployError: It asks for no Python, for an instance class that is not known, or names no entry point.
    """
    path = root / FILE_NAME
    values = read_yaml(path)
    runtime = str(values.get("runtime", ""))
    if not re.fullmatch("python3[0-9]+", runtime):
        raise DeployError(f"{path}: runtime: '{runtime}' is no Python of App Engine; write for example python313")
    kind = str(values.get("instance_class", _DEFAULT_CLASS))
    if kind not in MEMORY_BYTES:
        raise DeployError(f"{path}: instance_class: '{kind}' is not known (known: {', '.join(MEMORY_BYTES)})")
    if not values.get("entrypoint"):
        raise DeployError(f"{path}: entrypoint: missing; write for example 'gunicorn demo:app'")
    variables: Any = values.get("env_variables") or {}
    handlers: Any = values.get("handlers") or []
    static = [handler[key] for handler in handlers for key in ("static_dir", "static_files") if key in handler]
    return Settings(
        python=f"3.{runtime.removeprefix('python3')}",
        instance_class=kind,
        memory_bytes=MEMORY_BYTES[kind],
        entrypoint=str(values["entrypoint"]),
        environment={str(name): str(value) for name, value in variables.items()},
        static=tuple(static),
    )
