"""What YOLO label files cannot say, in files beside them: classes nobody labelled on an image, and weights of boxes.

`unknown.csv`: one row an image and class: `file` (relative to the data set, as in `index.csv`), `class_name`, `reason`.
`not_labelled`: the source's readers did not look for this class. `not_located`: the image is labelled with the class,
but has no box of it. `guessed`: the same, but a model says where it may be (`data.pseudo_boxes`), and the box counts
with a weight. `cut_off`: the image is a patch of a film that shows too little of a finding of this class to box it;
other findings of the class may have their box. In all cases the absence of a box says nothing.

`label_weights.csv`: one row a box whose weight is not 1: `file`, `line` (of the label file, from 1), `weight` in
(0, 1].

Both files are left out when they would have no row.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.errors import DataError

UNKNOWN_FILE = "unknown.csv"
WEIGHTS_FILE = "label_weights.csv"
UNKNOWN_COLUMNS = ["file", "class_name", "reason"]
WEIGHT_COLUMNS = ["file", "line", "weight"]
Reason = Literal["not_labelled", "not_located", "guessed", "cut_off"]
REASONS: tuple[Reason, ...] = get_args(Reason)
_CURE = "build the data set again with data_prep.build_yolo"


def read_unknown(folder: Path, classes: Sequence[str], *, reasons: Sequence[Reason] = REASONS) -> dict[str, list[int]]:
    """Class ids that are unknown on each image, by the file name of `index.csv`; images without any are left out.

    Raises:
        DataError: The file is damaged, or names another class.
    """
    table = _read(folder / UNKNOWN_FILE, UNKNOWN_COLUMNS)
    _require(table["class_name"].isin(classes), table, folder / UNKNOWN_FILE, f"class_name: {', '.join(classes)}")
    _require(table["reason"].isin(REASONS), table, folder / UNKNOWN_FILE, f"reason: {', '.join(REASONS)}")
    kept = table[table["reason"].isin(reasons)]
    ids = kept["class_name"].map({name: number for number, name in enumerate(classes)})
    return {str(file): sorted(set(group)) for file, group in ids.groupby(kept["file"])}


def read_label_weights(folder: Path) -> dict[str, dict[int, float]]:
    """Weights of boxes by file name of `index.csv` and line of the label file from 1; boxes of weight 1 are left out.

    Raises:
        DataError: The file is damaged, or a weight is outside (0, 1].
    """
    table = _read(folder / WEIGHTS_FILE, WEIGHT_COLUMNS)
    lines, weights = (pd.to_numeric(table[name], errors="coerce") for name in ("line", "weight"))
    _require(lines.ge(1) & lines.mod(1).eq(0), table, folder / WEIGHTS_FILE, "line: 1, 2, ...")
    _require(weights.gt(0) & weights.le(1), table, folder / WEIGHTS_FILE, "weight: more than 0, at most 1")
    found: dict[str, dict[int, float]] = {}
    for file, line, weight in zip(table["file"], lines, weights, strict=True):
        found.setdefault(str(file), {})[int(line)] = float(weight)
    return found


def write_unknown(folder: Path, table: pd.DataFrame) -> None:
    """Write `unknown.csv` from its columns, sorted by file; no file when the table is empty."""
    _write(folder / UNKNOWN_FILE, table[UNKNOWN_COLUMNS])


def write_label_weights(folder: Path, table: pd.DataFrame) -> None:
    """Write `label_weights.csv` from its columns, sorted by file; no file when the table is empty."""
    _write(folder / WEIGHTS_FILE, table[WEIGHT_COLUMNS])


def _write(path: Path, table: pd.DataFrame) -> None:
    if len(table):
        with atomic_path(path) as temporary:
            table.sort_values(list(table.columns)).to_csv(temporary, index=False, lineterminator="\n")


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame(columns=list(columns), dtype=str)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).strip()}); {_CURE}") from None
    if list(table.columns) != list(columns):
        raise DataError(f"{path}: expected the columns {','.join(columns)}, got {','.join(table.columns)}; {_CURE}")
    return table


def _require(good: "pd.Series[bool]", table: pd.DataFrame, path: Path, expected: str) -> None:
    if not good.all():
        row = int((~good).to_numpy().argmax())
        column = expected.split(":", 1)[0]
        raise DataError(f"{path}: line {row + 2}: '{table[column].iloc[row]}', expected {expected}; {_CURE}")
