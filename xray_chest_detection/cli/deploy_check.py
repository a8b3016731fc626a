"""`xray deploy-check`: what would go to App Engine, tried on this machine first."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from xray_chest_detection.deploy.check import check
from xray_chest_detection.deploy.python import Python, find_python
from xray_chest_detection.deploy.settings import read_settings


@dataclass(frozen=True, kw_only=True)
class Options:
    """Collect what `gcloud app deploy` would upload, install only what it requires, and serve films from it.

    The server gets as much memory as the instance class of app.yaml has.

    Attributes:
        root: The project, with its app.yaml.
        python: The interpreter to try it with; by default the version of app.yaml, else the running one.
    """

    root: Path = Path()
    python: str | None = None


def main(argv: Sequence[str]) -> int:
    """Print one line per step.

    Raises:
        XrayError: At the first step that fails.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray deploy-check")
    root = options.root.resolve()
    wanted = read_settings(root).python
    started = time.perf_counter()
    for step in check(root, find_python(wanted) if options.python is None else Python.at(options.python)):
        print(f"{step.name:<20} {step.found}", flush=True)
    print(f"ready to deploy; checked in {time.perf_counter() - started:.0f} s")
    return 0
