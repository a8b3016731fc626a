"""Memory of a process and all its children, from Linux's /proc."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Memory of some processes.

    Attributes:
        now_bytes: What they take now; pages that several share are counted once.
        peak_bytes: The largest that each has taken since it started, added up; shared pages are counted for each, so it
            is never too small.
    """

    now_bytes: int
    peak_bytes: int


def memory_of(pid: int) -> Memory:
    """Memory of a process and its children; zero when it has ended."""
    both = [_of_one(one) for one in family(pid)]
    return Memory(sum(now for now, _ in both), sum(peak for _, peak in both))


def family(pid: int) -> Iterator[int]:
    """A process and all its children's children."""
    yield pid
    for task in _PROC.glob(f"{pid}/task/*/children"):
        for child in _read(task).split():
            yield from family(int(child))


def _of_one(pid: int) -> tuple[int, int]:
    return _kilobytes(pid, "smaps_rollup", "Pss") * 1024, _kilobytes(pid, "status", "VmHWM") * 1024


def _kilobytes(pid: int, file: str, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", _read(_PROC / str(pid) / file), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # the process has ended
        return ""
