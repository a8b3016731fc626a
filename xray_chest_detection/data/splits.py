"""Splitting by patient, stratified over the classes; and reading a split back without trusting it."""

from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

from xray_chest_detection.config.data import SPLITS, SplitConfig
from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.errors import DataError

SPLIT_FILE = "split.csv"
COLUMNS = ["image_id", "patient_id", "source", "split"]


def make_split(images: pd.DataFrame, annotations: pd.DataFrame, config: SplitConfig) -> pd.DataFrame:
    """Assign every image to train, val or test so that no patient stands in two of them.

    Patients, not images, are stratified: over the classes they have boxes of, and over having none.

    Returns:
        Columns image_id, patient_id, source, split; sorted by image_id.

    Raises:
        DataError: There are too few patients for three splits.
    """
    patients = _patient_classes(images, annotations)
    fixed_test = _official_test_patients(images, config.official_test_list)
    rest = patients[~patients.index.isin(fixed_test)]
    if len(rest) < 10:
        raise DataError(f"{config.tables}: {len(rest)} patients are too few to split; at least 10 are needed")
    assignment = dict.fromkeys(fixed_test, "test")
    if not fixed_test:
        test = _draw(rest, config.test, seed=config.seed)
        assignment |= dict.fromkeys(test, "test")
        rest = rest.drop(index=test)
    val = _draw(rest, config.val / (config.train + config.val), seed=config.seed + 1)
    assignment |= dict.fromkeys(val, "val") | dict.fromkeys(rest.index.difference(val), "train")
    table = images[["image_id", "patient_id", "source"]].assign(split=images["patient_id"].map(assignment))
    table = table.sort_values("image_id").reset_index(drop=True)
    check_split(table, place="split")
    return table


def check_split(split: pd.DataFrame, *, place: str) -> None:
    """Make sure that a split is one: known names, every image once, no patient in two parts.

    Raises:
        DataError: Names the first image or patient that is wrong.
    """
    absent = [name for name in COLUMNS if name not in split.columns]
    if absent:
        raise DataError(f"{place}: no column '{absent[0]}'; make the split again with data_prep.split")
    unknown = split[~split["split"].isin(SPLITS)]
    if len(unknown):
        raise DataError(f"{place}: image '{unknown['image_id'].iloc[0]}': split must be one of {', '.join(SPLITS)}")
    twice = split[split["image_id"].duplicated()]
    if len(twice):
        raise DataError(f"{place}: image '{twice['image_id'].iloc[0]}' stands twice; make the split again")
    parts = split.groupby(["source", "patient_id"])["split"].unique()
    shared = parts[parts.map(len) > 1]
    if len(shared):
        source, patient = shared.index[0]
        raise DataError(
            f"{place}: patient '{patient}' of {source} is in {' and '.join(sorted(shared.iloc[0]))} "
            f"({len(shared)} such patients); a model would be tested on people it has seen; make the split again"
        )


def read_split(folder: Path) -> pd.DataFrame:
    """Read and check the split of a folder.

    Raises:
        DataError: It is missing, damaged, or has a patient in two parts.
    """
    path = folder / SPLIT_FILE
    try:
        split = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise DataError(f"{path}: no such split; run `python -m data_prep.split` first") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table ({error}); make the split again") from None
    check_split(split, place=str(path))
    return split


def write_split(folder: Path, split: pd.DataFrame) -> None:
    """Check a split and write it, whole or not at all."""
    check_split(split, place=str(folder))
    with atomic_path(folder / SPLIT_FILE) as temporary:
        split[COLUMNS].to_csv(temporary, index=False)


def split_counts(split: pd.DataFrame, annotations: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Per split: patients, images, boxes, and boxes per class in the source's spelling."""
    part_of = split.set_index("image_id")["split"]
    per_class = pd.crosstab(annotations["image_id"].map(part_of), annotations["class_name"])
    counts = {}
    for name in SPLITS:
        rows = split[split["split"] == name]
        classes = per_class.loc[name] if name in per_class.index else per_class.sum() * 0
        counts[name] = {
            "patients": int(rows["patient_id"].nunique()),
            "images": len(rows),
            "boxes": int(classes.sum()),
        } | {str(label): int(count) for label, count in classes.items()}
    return counts


def _patient_classes(images: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Multi-hot table, one row a patient: the classes of the patient's boxes and whether an image has none."""
    patient_of = images.set_index("image_id")["patient_id"]
    classes = pd.crosstab(annotations["image_id"].map(patient_of), annotations["class_name"])
    boxed = set(annotations["image_id"])
    free = images.assign(no_box=~images["image_id"].isin(boxed)).groupby("patient_id")["no_box"].any()
    return classes.reindex(free.index, fill_value=0).gt(0).assign(no_box=free).astype(int).sort_index()


def _draw(patients: pd.DataFrame, share: float, *, seed: int) -> list[str]:
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    _, drawn = next(splitter.split(np.zeros(len(patients)), patients.to_numpy()))
    return [str(patient) for patient in patients.index[np.sort(drawn)]]


def _official_test_patients(images: pd.DataFrame, path: Path | None) -> set[str]:
    if path is None:
        return set()
    try:
        listed = {Path(line.strip()).stem for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give NIH's test_list.txt") from None
    inside = images["image_id"].isin(listed)
    patients = set(images.loc[inside, "patient_id"])
    split_up = images[~inside & images["patient_id"].isin(patients)]
    if len(split_up):
        raise DataError(
            f"{path}: patient '{split_up['patient_id'].iloc[0]}' has images inside and outside the list; "
            "the official list holds whole patients, download it again"
        )
    return patients
