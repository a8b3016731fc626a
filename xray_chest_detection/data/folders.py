"""Writing a folder so that a reader never sees half of one."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xray_chest_detection.errors import DataError


@contextmanager
def new_folder(out: Path, *, marker: str) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that takes its place when the block ends without an error.

    When the block raises (Ctrl-C included) the temporary folder is removed and `out` is as it was.

    Args:
        out: The folder to make or to replace.
        marker: A file that every folder of this kind has. An `out` with content but without it is somebody's own.

    Raises:
        DataError: `out` is a file or holds something else, the disk is full, or the place cannot be written.
    """
    _check_replaceable(out, marker=marker)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
    except OSError as error:
        raise DataError(_write_message(out, error)) from error
    try:
        yield temporary
        temporary.chmod(0o755)
        _swap(temporary, out)
    except OSError as error:
        raise DataError(_write_message(out, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_replaceable(out: Path, *, marker: str) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; give a folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / marker).is_file():
        raise DataError(
            f"{out}: is not empty and has no {marker}, so it is not replaced; give another folder with --out"
        )


def _swap(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`; an interruption leaves either the old or the new folder there."""
    if not out.exists():
        new.replace(out)
        return
    old = Path(tempfile.mkdtemp(prefix=".tmp-old-", dir=out.parent))
    try:
        out.replace(old)  # an empty folder may be replaced
        new.replace(out)
    except BaseException:
        if not out.exists():
            old.replace(out)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _write_message(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({error.strerror or error}); free some space or choose another place"
