"""What ultralytics prints: nothing outside of training, and in training its progress, not its inventory."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ultralytics.utils import LOGGER

# Argument dump, layer table, transfer counts, cache scans and advertising; progress and epoch results stay.
_INVENTORY = re.compile(
    r"^(engine[/\\]trainer: |Ultralytics |Overriding |Transferred |Freezing layer|AMP: |train: |val: |albumentations: |"
    r"Plotting labels|Image sizes |Starting training|Using \d+|Logging results|Optimizer stripped|Results saved|"
    r"Validating |optimizer: '?optimizer=|WARNING .*(default tensor|workers)|.*from\s+n\s+params|\s*\d+\s+(-1|\[)|"
    r".*summary)"
)
_HALVING = re.compile(r".*Reducing to batch=")  # what `detect.train` does and says itself
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def quiet() -> Iterator[None]:
    """Only errors of ultralytics are shown inside the block, and no warnings of the tracer of torch."""
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        LOGGER.setLevel(level)


@contextmanager
def progress_only() -> Iterator[None]:
    """Epochs, losses and warnings of ultralytics are shown inside the block, its inventory is not."""
    LOGGER.addFilter(_is_progress)
    try:
        yield
    finally:
        LOGGER.removeFilter(_is_progress)


def _is_progress(record: logging.LogRecord) -> bool:
    text = _COLOUR.sub("", record.getMessage()).lstrip("\n")
    if record.levelno >= logging.WARNING:
        return not _HALVING.match(text)
    return bool(text.strip()) and not _INVENTORY.match(text)
