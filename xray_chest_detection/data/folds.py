"""Folds for cross-validation: every patient is in one of them, and each fold has its share of every class."""

from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.data.splits import check_split, draw_patients, patient_classes
from xray_chest_detection.errors import DataError

FOLDS_FILE = "folds.csv"
COLUMNS = ["image_id", "patient_id", "source", "fold"]
_WHO = COLUMNS[:3]
_CURE = "remove the folder to start again, or give another --out"


def make_folds(images: pd.DataFrame, annotations: pd.DataFrame, *, n_folds: int, seed: int) -> pd.DataFrame:
    """Deal the patients into folds, every source by itself, stratified over the classes as `splits.make_split` is.

    Args:
        images: Image table of one or more sources.
        annotations: Annotation table of the same images.
        n_folds: Number of folds, at least 2.
        seed: Seed of the shuffle.

    Returns:
        Columns image_id, patient_id, source, fold (from 0); sorted by image_id.

    Raises:
        DataError: There are no images, or a source has less than two patients per fold.
    """
    if images.empty:
        raise DataError("there are no images to deal into folds")
    tables = []
    for source, rows in images.groupby("source", sort=True):
        patients = patient_classes(rows, annotations[annotations["image_id"].isin(rows["image_id"])])
        if len(patients) < 2 * n_folds:
            raise DataError(
                f"{len(patients)} patients of {source} are too few for {n_folds} folds; at least {2 * n_folds} are "
                "needed: give a smaller --folds"
            )
        fold_of = pd.Series(_deal(patients, n_folds, seed=seed), patients.index)
        tables.append(rows[_WHO].assign(fold=rows["patient_id"].map(fold_of)))
    return pd.concat(tables).sort_values("image_id").reset_index(drop=True)


def fold_split(folds: pd.DataFrame, annotations: pd.DataFrame, fold: int, *, val: float, seed: int) -> pd.DataFrame:
    """The split of one fold: the fold is `test`, a stratified share `val` of the other patients of each source `val`.

    Args:
        folds: As `make_folds` returns them.
        annotations: Annotation table of the same images.
        fold: Number of the fold that is left out.
        val: Share in (0, 1).
        seed: Seed of the draw.

    Returns:
        A split as `splits.make_split` makes it.
    """
    tables = []
    for _, rows in folds.groupby("source", sort=True):
        held_out = rows["fold"] == fold
        rest = patient_classes(
            rows[~held_out], annotations[annotations["image_id"].isin(rows.loc[~held_out, "image_id"])]
        )
        drawn = rows["patient_id"].isin(draw_patients(rest, val, seed=seed + fold))
        parts = np.select([held_out, drawn], ["test", "val"], "train")
        tables.append(rows[_WHO].assign(split=parts))
    split = pd.concat(tables).sort_values("image_id").reset_index(drop=True)
    check_split(split, place=f"fold {fold}")
    return split


def fold_counts(folds: pd.DataFrame, annotations: pd.DataFrame) -> list[dict[str, int]]:
    """Per fold: its number, patients, images, and boxes."""
    boxes = annotations["image_id"].value_counts()
    return [
        {
            "fold": int(str(fold)),
            "patients": len(rows[["source", "patient_id"]].drop_duplicates()),
            "images": len(rows),
            "boxes": int(rows["image_id"].map(boxes).sum()),
        }
        for fold, rows in folds.groupby("fold", sort=True)
    ]


def write_folds(folder: Path, folds: pd.DataFrame) -> None:
    """Write `folds.csv`, whole or not at all."""
    with atomic_path(folder / FOLDS_FILE) as temporary:
        folds[COLUMNS].to_csv(temporary, index=False, lineterminator="\n")


def read_folds(folder: Path) -> pd.DataFrame:
    """Read `folds.csv` and check it: every image once, no patient in two folds, folds numbered from 0.

    Raises:
        DataError: It is missing, damaged, or has a patient in two folds.
    """
    path = folder / FOLDS_FILE
    try:
        folds = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).strip()}); {_CURE}") from None
    if list(folds.columns) != COLUMNS:
        raise DataError(f"{path}: expected the columns {','.join(COLUMNS)}, got {','.join(folds.columns)}; {_CURE}")
    wrong = folds[~folds["fold"].str.fullmatch(r"\d+")]
    if len(wrong):
        raise DataError(f"{path}: line {wrong.index[0] + 2}: fold '{wrong['fold'].iloc[0]}' is no number; {_CURE}")
    folds = folds.assign(fold=folds["fold"].astype(np.int64))
    if sorted(set(folds["fold"])) != list(range(folds["fold"].max() + 1 if len(folds) else 1)):
        raise DataError(f"{path}: folds must be numbered 0, 1, 2, ...; {_CURE}")
    twice = folds[folds["image_id"].duplicated()]
    if len(twice):
        raise DataError(f"{path}: image '{twice['image_id'].iloc[0]}' stands twice; {_CURE}")
    torn = folds.drop_duplicates(["source", "patient_id", "fold"])
    torn = torn[torn.duplicated(["source", "patient_id"])]
    if len(torn):
        source, patient = torn[["source", "patient_id"]].iloc[0]
        raise DataError(f"{path}: patient '{patient}' of {source} is in two folds ({len(torn)} such patients); {_CURE}")
    return folds


def _deal(patients: pd.DataFrame, n_folds: int, *, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """The fold of every patient of a multi-hot table."""
    classes = patients.to_numpy()
    if classes.shape[1] == 1:  # the splitter wants at least two columns
        classes = np.repeat(classes, 2, axis=1)
    fold = np.zeros(len(patients), np.int64)
    deal = MultilabelStratifiedKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(deal.split(classes, classes)):
        fold[held_out] = number
    return fold
