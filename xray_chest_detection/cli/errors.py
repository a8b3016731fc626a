"""How a command ends when something is wrong."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xray_chest_detection.errors import UsageError, XrayError


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error a user can cause into one line on standard error and exit 1 (wrong options: 2); Ctrl-C: 130.

    When the reader of standard output goes away, as in `| head`, the command ends quietly with status 141, as other
    programs of a shell do.
    """
    try:
        yield
    except XrayError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        raise SystemExit(141) from None
