"""How a command ends when something is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xray_chest_detection.errors import UsageError, XrayError


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error a user can cause into one line on standard error and exit 1 (wrong options: 2); Ctrl-C: 130."""
    try:
        yield
    except XrayError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None
