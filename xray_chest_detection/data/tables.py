"""The two tables every source is turned into, their validation, and reading and writing them as CSV.

`ImageTable`: one row an image: image_id, patient_id, source, path, width, height, view, labels, healthy, readers,
known. `width` and `height` are the reference size in pixels that the boxes refer to; the file at `path` may be a
resized copy. `labels` are the image-level findings joined by `|` in the source's spelling. `readers` are all who read
the image, the silent ones included, joined by `|`. `known`, in united tables only, are the classes the image is
labelled for: the others are unknown there, not absent.

`AnnotationTable`: one row a box: image_id, class_name (the source's spelling, in united tables the scheme's), x_min,
y_min, x_max, y_max in pixels of the reference size (origin top left, max exclusive); reader (who drew it, several
joined by `|`), n_readers (who read the image), votes (how many of them drew it), agreement (their share), probability
(that the finding is there), spread_px (how far their edges lie apart). "Not known" is NaN, never 0.

Columns from `readers` and from `reader` on may be missing in a file: nothing is known then.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.errors import DataError

IMAGES_FILE = "images.csv"
ANNOTATIONS_FILE = "annotations.csv"
MAX_FAILURES_SHOWN = 10

_OPTIONAL = ("readers", "known", "reader", "n_readers", "votes", "agreement", "probability", "spread_px")

_FILE_NAME = pa.Check.str_matches(r"^[^/\\]+$", error="must be a file name without slashes")
_FINITE = pa.Check(lambda values: np.isfinite(values), error="must be finite")

IMAGE_SCHEMA = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str, _FILE_NAME, unique=True),
        "patient_id": pa.Column(str),
        "source": pa.Column(str),
        "path": pa.Column(str),
        "width": pa.Column(float, [pa.Check.gt(0), _FINITE]),
        "height": pa.Column(float, [pa.Check.gt(0), _FINITE]),
        "view": pa.Column(str, nullable=True),
        "labels": pa.Column(str, nullable=True),
        "healthy": pa.Column(bool),
        "readers": pa.Column(str, nullable=True),
        "known": pa.Column(str, nullable=True),
    },
    coerce=True,
    strict=True,
)

ANNOTATION_SCHEMA = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str),
        "class_name": pa.Column(str),
        "x_min": pa.Column(float, pa.Check.ge(0)),
        "y_min": pa.Column(float, pa.Check.ge(0)),
        "x_max": pa.Column(float),
        "y_max": pa.Column(float),
        "reader": pa.Column(str, nullable=True),
        "n_readers": pa.Column(float, pa.Check.ge(1), nullable=True),
        "votes": pa.Column(float, pa.Check.ge(1), nullable=True),
        "agreement": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "probability": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
        "spread_px": pa.Column(float, pa.Check.ge(0), nullable=True),
    },
    checks=[
        pa.Check(lambda table: table["x_max"] > table["x_min"], error="x_max must be greater than x_min"),
        pa.Check(lambda table: table["y_max"] > table["y_min"], error="y_max must be greater than y_min"),
    ],
    coerce=True,
    strict=True,
)


def validate_images(table: pd.DataFrame, *, place: str) -> pd.DataFrame:
    """Check a whole image table.

    Raises:
        DataError: Lists the failures with row and value.
    """
    return _validate(IMAGE_SCHEMA, table, place=place)


def validate_annotations(table: pd.DataFrame, images: pd.DataFrame, *, place: str) -> pd.DataFrame:
    """Check a whole annotation table against its images: columns, values, known images, boxes inside the image.

    Raises:
        DataError: Lists the failures with row and value.
    """
    checked = _validate(ANNOTATION_SCHEMA, table, place=place)
    sizes = images.set_index("image_id")[["width", "height"]]
    unknown = checked[~checked["image_id"].isin(sizes.index)]
    if len(unknown):
        row, name = unknown.index[0], unknown["image_id"].iloc[0]
        raise DataError(f"{place}: row {row}: image '{name}' is not in the image table ({len(unknown)} such rows)")
    joined = checked.join(sizes, on="image_id")
    outside = checked[(joined["x_max"] > joined["width"]) | (joined["y_max"] > joined["height"])]
    if len(outside):
        row, name = outside.index[0], outside["image_id"].iloc[0]
        raise DataError(f"{place}: row {row}: the box leaves image '{name}' ({len(outside)} such rows); clip it first")
    return checked


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read and validate the image and the annotation table of a folder.

    Raises:
        DataError: A table is missing or invalid.
    """
    raw, place = _read_csv(folder / IMAGES_FILE), folder / IMAGES_FILE
    if "healthy" in raw and len(raw) and raw["healthy"].dtype != bool:  # any other text would count as true
        wrong = raw.loc[~raw["healthy"].isin([True, False, "True", "False"]), "healthy"]
        raise DataError(f"{place}: column healthy, row {wrong.index[0]}: must be True or False, got '{wrong.iloc[0]}'")
    images = validate_images(raw, place=str(place))
    place = folder / ANNOTATIONS_FILE
    return images, validate_annotations(_read_csv(place), images, place=str(place))


def write_tables(folder: Path, images: pd.DataFrame, annotations: pd.DataFrame) -> None:
    """Validate both tables, then write them, each whole or not at all."""
    checked_images = validate_images(images, place=str(folder / IMAGES_FILE))
    checked = validate_annotations(annotations, checked_images, place=str(folder / ANNOTATIONS_FILE))
    for name, table in ((IMAGES_FILE, checked_images), (ANNOTATIONS_FILE, checked)):
        with atomic_path(folder / name) as temporary:
            table.to_csv(temporary, index=False)


def _read_csv(path: Path) -> pd.DataFrame:
    names = ("image_id", "patient_id", "source", "path", "view", "labels", "readers", "known", "class_name", "reader")
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise DataError(f"{path}: no such table; run the data_prep step that writes it first") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: not a readable table ({error}); run the data_prep step again") from None


def _validate(schema: pa.DataFrameSchema, table: pd.DataFrame, *, place: str) -> pd.DataFrame:
    optional = [name for name in _OPTIONAL if name in schema.columns and name not in table.columns]
    try:
        return schema.validate(table.assign(**dict.fromkeys(optional)), lazy=True)[list(schema.columns)]
    except pa.errors.SchemaErrors as error:
        cases = _one_a_row(error.failure_cases)
        lines = [
            f"column {case.column}, row {case.index}: {case.failure_case!r} fails {case.check}"
            for case in cases.head(MAX_FAILURES_SHOWN).itertuples()
        ]
        rest = f"; and {len(cases) - MAX_FAILURES_SHOWN} more" if len(cases) > MAX_FAILURES_SHOWN else ""
        raise DataError(f"{place}: {len(cases)} invalid values: {'; '.join(lines)}{rest}") from None


def _one_a_row(cases: pd.DataFrame) -> pd.DataFrame:
    """Failures with those of checks of whole rows once; pandera repeats them for every column that has a value.

    Kept is the column that the check's text begins with, where it is among them.
    """
    pairs = zip(cases["column"], cases["check"], strict=True)
    others = cases.assign(other=[not str(check).startswith(f"{column} ") for column, check in pairs])
    of_row = others["schema_context"].eq("DataFrameSchema") & others["column"].notna()
    named = others[of_row].sort_values("other", kind="stable").drop_duplicates(["check", "index"])
    return cases.loc[[*cases.index[~of_row], *named.index.sort_values()]]
