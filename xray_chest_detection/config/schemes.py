"""Reading class schemes."""

from pathlib import Path

from xray_chest_detection.config.base import read_config
from xray_chest_detection.core.schemes import ClassScheme


def read_scheme(path: Path) -> ClassScheme:
    """Read a class scheme.

    Raises:
        ConfigError: The file is missing or is not a valid scheme.
    """
    return read_config(ClassScheme, path)
