"""The Python that a deployment is rehearsed with."""

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Self

from xray_chest_detection.errors import DeployError


@dataclass(frozen=True)
class Python:
    """An interpreter: its path and version, for example `3.13`."""

    path: str
    version: str

    @classmethod
    def at(cls, path: str) -> Self:
        """The interpreter of this path or name.

        Raises:
            DeployError: It does not run.
        """
        version = _version(path)
        if version is None:
            raise DeployError(f"{path}: no Python that runs; give the path of an interpreter")
        return cls(path, version)

    def describe(self, wanted: str) -> str:
        """What it is, and that App Engine has another one if so."""
        other = "" if self.version == wanted else f"; App Engine has {wanted}, which was not found here"
        return f"{self.version}{other}"


def find_python(wanted: str) -> Python:
    """The wanted version where this machine has it, else the interpreter that is running."""
    path = shutil.which(f"python{wanted}")
    if path is not None and _version(path) == wanted:
        return Python(path, wanted)
    return Python(sys.executable, ".".join(platform.python_version_tuple()[:2]))


def _version(path: str) -> str | None:
    """Version of an interpreter; None when it does not run, as stand-ins of version managers."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
