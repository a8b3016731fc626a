"""All models of a folder, by name."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from xray_chest_detection.core.machine import give_back_memory
from xray_chest_detection.core.model_card import CARD_SUFFIX
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.network import Runtime
from xray_chest_detection.inference.session import DetectorSession

ORDER = ("multi", "binary", "cardiomegaly", "mass_nodule")

Result = TypeVar("Result")


class Registry:
    """The models that can be used, and why the others cannot.

    Attributes:
        names: Usable models: the four of this project in their order, then others by name.
        errors: Name of each unusable model to a message of one line.
    """

    def __init__(self, sessions: dict[str, DetectorSession], errors: dict[str, str], *, at_once: int = 1) -> None:
        rank = {name: place for place, name in enumerate(ORDER)}
        self._sessions = sessions
        self.names: tuple[str, ...] = tuple(sorted(sessions, key=lambda name: (rank.get(name, len(ORDER)), name)))
        self.errors = errors
        self._pool = ThreadPoolExecutor(at_once, "models") if at_once > 1 else None

    @classmethod
    def load(
        cls, folder: Path, *, threads: int | None = None, runtime: Runtime | None = None, at_once: int = 1
    ) -> Self:
        """Open every model that has a card in the folder.

        Args:
            folder: Holds `<name>.card.yaml` files and the model files they name.
            threads: Threads for one image; None lets the runtime use every core.
            runtime: What runs the models, as in `network.open_network`.
            at_once: Models that may run at the same time, over all images that are being looked at.

        Raises:
            ModelError: There is no model in the folder, or none of them can be used.
        """
        cards = sorted(folder.glob(f"*{CARD_SUFFIX}"))
        if not cards:
            raise ModelError(f"{folder}: no model here (no *{CARD_SUFFIX}); export one with `xray export RUN`")
        sessions: dict[str, DetectorSession] = {}
        errors: dict[str, str] = {}
        for card in cards:
            stem = card.name.removesuffix(CARD_SUFFIX)
            try:
                session = DetectorSession(card, threads=threads, runtime=runtime)
            except ModelError as error:
                errors[stem] = str(error)
                continue
            name = session.card.name
            if name in sessions:
                errors[stem] = f"{card}: a second model named '{name}'; rename one of the two in its card"
            else:
                sessions[name] = session
        if not sessions:
            first = next(iter(errors.values()))
            raise ModelError(f"{folder}: none of its {len(errors)} models can be used; {first}")
        give_back_memory()
        return cls(sessions, errors, at_once=at_once)

    def each(self, work: Callable[[str], Result], names: Iterable[str]) -> list[Result]:
        """Do some work for each of the names, as many at once as the registry allows; results in their order."""
        return list(map(work, names) if self._pool is None else self._pool.map(work, names))

    def get(self, name: str) -> DetectorSession:
        """The model of this name.

        Raises:
            ModelError: There is none, or it could not be opened.
        """
        if name in self._sessions:
            return self._sessions[name]
        if name in self.errors:
            raise ModelError(self.errors[name])
        raise ModelError(f"no model '{name}' (known: {', '.join(self.names)})")
