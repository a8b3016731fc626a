"""How a command ends when something is wrong."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xray_chest_detection.errors import XrayError


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error a user can cause into one line on standard error and exit status 1; Ctrl-C into 130."""
    try:
        yield
    except XrayError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted; nothing half-written was left behind", file=sys.stderr)
        raise SystemExit(130) from None
