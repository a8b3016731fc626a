"""Reading CSV tables as publishers and spreadsheets leave them, and naming the line that is wrong."""

import gzip
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.errors import DataError


def read_raw_csv(path: Path) -> pd.DataFrame:
    """Read a CSV table, plain or gzipped, with every value as stripped text; an empty value is ''.

    A byte order mark, spaces around values and names, and empty columns at the end are tolerated. A line shorter than
    the header is filled with ''. The index holds line numbers as an editor counts them, the header being line 1.

    Raises:
        DataError: The file is missing, empty, cut off, or not a table.
    """
    try:
        table = _read_text_columns(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; see datasets/README.md on what to download") from None
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: cannot be read ({error}); download it again") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table ({str(error).strip()}); download it again") from None
    if _ends_mid_line(path):
        raise DataError(
            f"{path}: the last line, {len(table) + 1}, has no line end, so the table may be cut off; "
            "download it again, or end that line if you know that it is whole"
        )
    table = table.fillna("").set_axis(pd.RangeIndex(2, 2 + len(table)), axis=0)
    table.columns = pd.Index([normal_name(name) for name in table.columns])
    table = table.apply(lambda column: column.str.strip())
    filled = table.ne("").any(axis=1) if table.shape[1] else pd.Series(False, index=table.index)
    if not filled.any():
        raise DataError(f"{path}: the table has no rows; download it again")
    kept: pd.DataFrame = table.loc[filled]
    return kept


def normal_name(name: object) -> str:
    """A column name in lower case, words separated by single spaces.

    >>> normal_name(" Image_Index ")
    'image index'
    """
    return re.sub(r"[\s_]+", " ", str(name)).strip().lower()


def pick_columns(table: pd.DataFrame, wanted: Mapping[str, Iterable[str]], *, path: Path) -> pd.DataFrame:
    """Select columns and give them new names.

    Args:
        table: A table of `read_raw_csv`.
        wanted: New name to the spellings the column may have, the usual one first, in the form of `normal_name`.
        path: File for messages.

    Raises:
        DataError: A column is missing; names the ones that were found.
    """
    columns = {}
    for name, spellings in wanted.items():
        allowed = list(spellings)
        found = next((spelling for spelling in allowed if spelling in table.columns), None)
        if found is None:
            present = ", ".join(str(column) for column in table.columns if not str(column).startswith("unnamed"))
            raise DataError(f"{path}: no column '{allowed[0]}' (found: {present}); download the original table")
        column = table[found]
        columns[name] = column.iloc[:, 0] if isinstance(column, pd.DataFrame) else column
    return pd.DataFrame(columns)


def to_numbers(table: pd.DataFrame) -> NDArray[np.float64]:
    """Values `(rows, columns)`; NaN where the text is no finite number."""
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def require(
    valid: "pd.Series[bool] | NDArray[np.bool_] | np.bool_", table: pd.DataFrame, message: str, *, path: Path
) -> None:
    """Stop at the first invalid row of a table of `read_raw_csv`.

    Raises:
        DataError: Names the file, the line, its values, what is wrong, and the number of such lines.
    """
    wrong = np.flatnonzero(~np.asarray(valid, dtype=bool))
    if len(wrong):
        values = ",".join(str(value) for value in table.iloc[wrong[0]])
        more = f" ({len(wrong)} such lines)" if len(wrong) > 1 else ""
        raise DataError(f"{path}: line {table.index[wrong[0]]}: '{values}': {message}{more}")


def _ends_mid_line(path: Path) -> bool:
    """Whether the last line lacks its line end; a number cut in two is still a number. Not asked of gzipped files."""
    if path.suffix == ".gz":
        return False
    with path.open("rb") as stream:
        stream.seek(-1, 2)
        return stream.read(1) not in (b"\n", b"\r")


def _read_text_columns(path: Path) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Lines with more commas than the header: original tables end some of their lines with empty columns.
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        table: pd.DataFrame = pd.read_csv(
            path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig", skip_blank_lines=False
        )
    return table
