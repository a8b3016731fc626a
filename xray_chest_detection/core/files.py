"""Reading and writing files so that a reader never sees half of one."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xray_chest_detection.errors import DataError

FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # full, over a quota, over a limit for one file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block ends without an error.

    The temporary name keeps the suffix of `path`, so that libraries which choose a format by suffix work. When the
    block raises (Ctrl-C included) the temporary file is removed and `path` is as it was.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise DataError(_write_message(path, error)) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise DataError(_write_message(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_message(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror or error}); free some space or choose another place"
