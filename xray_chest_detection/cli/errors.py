"""How a command ends when something is wrong."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from xray_chest_detection.core.files import FULL_DISK
from xray_chest_detection.errors import UsageError, XrayError


class TerminatedError(KeyboardInterrupt):
    """The system, a batch queue or a container asks the program to end; what holds for Ctrl-C holds for it."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error a user can cause into one line on standard error and exit 1 (wrong options: 2).

    Ctrl-C ends with status 130 and SIGTERM with 143, each with one line; the message of a `KeyboardInterrupt`, if it
    has one, says there how to go on. When the reader of standard output goes away, as in `| head`, the command ends
    quietly with status 141. All as other programs of a shell do.
    """
    try:
        with _raising_on_sigterm():
            yield
    except XrayError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt as error:
        what, status = ("terminated", 143) if isinstance(error, TerminatedError) else ("interrupted", 130)
        how = f"; {error}" if str(error) else ""
        print(f"{what}; nothing half-written was left behind{how}", file=sys.stderr)
        raise SystemExit(status) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}the disk is full ({error.strerror}); free some space", file=sys.stderr)
        raise SystemExit(1) from None


@contextmanager
def _raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise, so that temporary files are removed; not where somebody else looks after signals."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(*_: object) -> None:
    raise TerminatedError
