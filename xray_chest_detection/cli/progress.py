"""Progress bars and small tables for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def bar(items: Iterable[Item], total: int, *, title: str) -> Iterable[Item]:
    """Wrap an iterable in a progress bar on standard error; silent when that is not a terminal."""
    return tqdm(items, total=total, desc=title, disable=None, unit="image", leave=False)


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with equal keys as an aligned text table, numbers to the right; no rows give an empty string.

    >>> print(table([{"split": "train", "images": 10}, {"split": "val", "images": 2}]))
    split  images
    train      10
    val         2
    """
    if not rows:
        return ""
    header = list(rows[0])
    cells = [[_text(row[name]) for name in header] for row in rows]
    right = [all(not isinstance(row[name], str) for row in rows) for name in header]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(header)]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in [header, *cells]
    ]
    return "\n".join(lines)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
