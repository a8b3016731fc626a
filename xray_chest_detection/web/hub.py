"""The models of one server process: loaded once, on first need, by whichever thread comes first."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from xray_chest_detection.core.machine import usable_cores
from xray_chest_detection.core.model_card import ModelCard
from xray_chest_detection.errors import ModelError, XrayError
from xray_chest_detection.inference.network import Runtime
from xray_chest_detection.inference.registry import Registry

WARM_UP_PX = 64


class ModelHub:
    """The served models, and a reason for each that is missing.

    Args:
        folder: Folder with the models and their cards.
        names: Models to serve, in the order of the panels.
        runtime: What runs the models, as in `network.open_network`.
        threads: CPU threads of one model; None for every core.
        at_once: Models that run at the same time; None for one a core.
        load: Loads a folder of models.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        runtime: Runtime | None = None,
        threads: int | None = None,
        at_once: int | None = None,
        load: Callable[..., Registry] = Registry.load,
    ) -> None:
        self.names = tuple(names)
        self.folder = folder
        self._runtime = runtime
        self._threads = threads
        self._at_once = at_once or usable_cores()
        self._load = load
        self._lock = threading.Lock()
        self._registry: Registry | None = None
        self._failure: str | None = None

    def registry(self) -> Registry | None:
        """The loaded models, or None when the folder as a whole cannot be used."""
        if self._registry is None and self._failure is None:
            with self._lock:
                if self._registry is None and self._failure is None:
                    self._load_once()
        return self._registry

    def cards(self) -> dict[str, ModelCard]:
        """Cards of the served models that are loaded, by name, in the order of the panels."""
        registry = self.registry()
        if registry is None:
            return {}
        loaded = set(registry.names)
        return {name: registry.get(name).card for name in self.names if name in loaded}

    def errors(self) -> dict[str, str]:
        """Why a served model is not loaded, by name."""
        registry = self.registry()
        loaded = set() if registry is None else set(registry.names)
        reasons = {} if registry is None else dict(registry.errors)
        absent = self._failure or f"no {{name}}.onnx with its card in {self.folder.name}/; `xray export` writes both"
        return {
            name: self.plain(reasons.get(name) or absent.replace("{name}", name))
            for name in self.names
            if name not in loaded
        }

    def plain(self, message: str) -> str:
        """A message for the page: the folder by its name, not by where it lies on this machine."""
        return message.replace(str(self.folder), self.folder.name)

    def _load_once(self) -> None:
        try:
            registry = self._load(self.folder, threads=self._threads, runtime=self._runtime, at_once=self._at_once)
            registry.each(lambda name: _warm_up(registry, name), registry.names)
            self._registry = registry
        except XrayError as error:
            self._failure = str(error)


def _warm_up(registry: Registry, name: str) -> None:
    """Run a model once, so that the first film does not wait for what a runtime does on its first run."""
    # A model that fails here fails on the film too, which is where it is reported.
    with suppress(ModelError):
        registry.get(name).detect(np.zeros((WARM_UP_PX, WARM_UP_PX), np.uint8))
