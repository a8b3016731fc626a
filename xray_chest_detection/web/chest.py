"""The chest gate of one server process: loaded once, on first need; a server without one works all the same."""

import threading
from pathlib import Path

from xray_chest_detection.core.radiograph import Radiograph
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.chest_gate import FILE_NAME, ChestCheck, ChestGate


class ChestWatch:
    """Says of each film whether it looks like a chest X-ray, if there is a gate.

    Args:
        folder: Folder that holds the gate beside the models.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._gate: ChestGate | None = None
        self._failure: str | None = None

    def check(self, film: Radiograph) -> ChestCheck | None:
        """What the gate thinks of a film; None without a gate."""
        gate = self._loaded()
        return None if gate is None else gate.check(film.pixels)

    def error(self) -> str | None:
        """Why there is no gate; None when there is one."""
        self._loaded()
        return self._failure

    def _loaded(self) -> ChestGate | None:
        with self._lock:
            if self._gate is None and self._failure is None:
                try:
                    self._gate = ChestGate.load(self._path)
                except ModelError as error:
                    self._failure = str(error)
            return self._gate
