"""Splitting by patient, stratified over the classes; and reading a split back without trusting it."""

import hashlib
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

from xray_chest_detection.config.data import SPLITS, SplitConfig
from xray_chest_detection.core.files import atomic_path, sha256_of
from xray_chest_detection.core.manifest import FILE_NAME, hash_inputs, read_manifest
from xray_chest_detection.data.kept_splits import kept_parts, moved_patients
from xray_chest_detection.data.nih import SOURCE as NIH
from xray_chest_detection.data.nih_tables import read_official_list
from xray_chest_detection.data.tables import ANNOTATIONS_FILE
from xray_chest_detection.errors import DataError

SPLIT_FILE = "split.csv"
COLUMNS = ["image_id", "patient_id", "source", "split"]
MIN_PATIENTS = 10
_BOXES = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max", "reader", "n_readers", "agreement"]
_WHO = ["image_id", "patient_id", "source"]


def make_split(
    images: pd.DataFrame, annotations: pd.DataFrame, config: SplitConfig, *, kept: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Assign every image to train, val or test so that no patient stands in two of them.

    Every source is split by itself, so that each has its share in every part. Patients, not images, are stratified:
    over the classes they have boxes of, and over having none.

    Args:
        images: Image table of one or more sources.
        annotations: Annotation table of the same images.
        config: Shares, seed and, if used, the official test list.
        kept: An existing split in which patients are known by their name or by any of their images, and keep their
            part. The others are drawn with the same shares; fewer than 10 others of a source it holds go to training.

    Returns:
        Columns image_id, patient_id, source, split; sorted by image_id.

    Raises:
        DataError: A source has too few patients for three splits, the official list is wrong, or the kept split has
            images of one patient in several parts.
    """
    sources = sorted(images["source"].unique())
    if not sources:
        raise DataError(f"{config.tables}: there are no images to split")
    if config.official_test_list is not None and NIH not in sources:
        raise DataError(f"{config.tables}: official_test_list is NIH's, and there are only images of {sources[0]}")
    tables = [_split_source(images[images["source"] == name], annotations, config, kept=kept) for name in sources]
    table = pd.concat(tables).sort_values("image_id").reset_index(drop=True)
    check_split(table, place="split")
    return table


def check_split(split: pd.DataFrame, *, place: str) -> None:
    """Make sure that a split is one: known names, every image once, no patient in two parts.

    Raises:
        DataError: Names the first image or patient that is wrong.
    """
    absent = [name for name in COLUMNS if name not in split.columns]
    if absent:
        raise DataError(f"{place}: no column '{absent[0]}'; make the split again with data_prep.split --overwrite")
    empty = split[split[_WHO].isna().any(axis=1)]
    if len(empty):
        row = ",".join("" if pd.isna(value) else str(value) for value in empty[COLUMNS].iloc[0])
        raise DataError(
            f"{place}: a value is missing in '{row}'; make the split again with data_prep.split --overwrite"
        )
    unknown = split[~split["split"].isin(SPLITS)]
    if len(unknown):
        name, part = unknown[["image_id", "split"]].iloc[0]
        raise DataError(f"{place}: image '{name}': split must be one of {', '.join(SPLITS)}, got '{part}'")
    twice = split[split["image_id"].duplicated()]
    if len(twice):
        raise DataError(f"{place}: image '{twice['image_id'].iloc[0]}' stands twice; make the split again")
    shared = shared_patients(split)
    if len(shared):
        source, patient, parts = shared[0]
        raise DataError(
            f"{place}: patient '{patient}' of {source} is in {' and '.join(parts)} "
            f"({len(shared)} such patients); a model would be tested on people it has seen; make the split again"
        )


def shared_patients(split: pd.DataFrame) -> list[tuple[str, str, list[str]]]:
    """Patients in more than one part: source, patient_id, and the parts in alphabetical order."""
    parts: dict[tuple[str, str], set[str]] = {}
    for source, patient, part in zip(split["source"], split["patient_id"], split["split"], strict=True):
        parts.setdefault((str(source), str(patient)), set()).add(str(part))
    return [(*who, sorted(found)) for who, found in sorted(parts.items()) if len(found) > 1]


def check_may_replace(folder: Path, new: pd.DataFrame) -> None:
    """Refuse to replace a split whose patients would change their part: models may have been trained on it.

    One of which most images would be lost is refused too: the new one is of other data, the synthetic set for example.

    Raises:
        DataError: Names the first patient that would move, and both cures; most images would be lost; or the existing
            split is damaged.
    """
    if not (folder / SPLIT_FILE).exists():
        return
    old = read_split(folder)
    lost = int((~old["image_id"].isin(new["image_id"])).sum())
    if lost > len(old) / 2:
        raise DataError(
            f"{folder / SPLIT_FILE}: {lost} of its {len(old)} images are not in the tables, so it looks like the split "
            "of other data; give another place with --out, or pass --overwrite if it is not needed any more"
        )
    moved = moved_patients(old, new)
    if moved:
        patient, before, after = moved[0]
        raise DataError(
            f"{folder / SPLIT_FILE}: {len(moved)} patients would change their part, first '{patient}' from {before} to "
            f"{after}, and models trained on this split would be tested on people they have seen; pass "
            f"--keep {folder} to draw only new patients, --out for another place, or --overwrite"
        )


def split_inputs(config: SplitConfig, images: pd.DataFrame) -> dict[str, str]:
    """What a split depends on, as sha256: who is in the tables (not where files lie), the boxes, and older splits.

    The manifests of splits that models were trained on hold these values: they must not change with the columns that
    later versions add to the tables.
    """
    who = images[_WHO].sort_values("image_id").to_csv(index=False, lineterminator="\n")
    others = [path for path in (config.official_test_list, config.keep and config.keep / SPLIT_FILE) if path]
    for path in others:
        if not path.is_file():
            raise DataError(f"{path}: no such file; give an existing one, or None")
    path = config.tables / ANNOTATIONS_FILE
    text = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=lambda name: name in _BOXES)
    boxes = text.to_csv(index=False, lineterminator="\n")
    return hash_inputs(*others) | {
        path.name: hashlib.sha256(boxes.encode()).hexdigest(),
        f"images.csv ({', '.join(_WHO)})": hashlib.sha256(who.encode()).hexdigest(),
    }


def read_split(folder: Path) -> pd.DataFrame:
    """Read and check the split of a folder.

    Raises:
        DataError: It is missing, damaged, has a patient in two parts, or is not the file its manifest was written for.
    """
    path = folder / SPLIT_FILE
    try:
        split = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise DataError(f"{path}: no such split; run `python -m data_prep.split` first") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: not a CSV table ({error}); make the split again with data_prep.split --overwrite"
        ) from None
    check_split(split, place=str(path))
    _check_unchanged(path)
    return split


def write_split(folder: Path, split: pd.DataFrame) -> None:
    """Check a split and write it, whole or not at all; the manifest of an older one goes."""
    check_split(split, place=str(folder))
    with atomic_path(folder / SPLIT_FILE) as temporary:
        split[COLUMNS].to_csv(temporary, index=False)
        (folder / FILE_NAME).unlink(missing_ok=True)


def split_counts(split: pd.DataFrame, annotations: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Per split: patients, images, boxes, and boxes per class of the annotation table."""
    part_of = split.set_index("image_id")["split"]
    per_class = pd.crosstab(annotations["image_id"].map(part_of), annotations["class_name"])
    labels = sorted(annotations["class_name"].unique())
    counts = {}
    for name in SPLITS:
        rows = split[split["split"] == name]
        classes = {label: int(per_class[label].get(name, 0)) if label in per_class else 0 for label in labels}
        counts[name] = {
            "patients": len(rows[["source", "patient_id"]].drop_duplicates()),
            "images": len(rows),
            "boxes": sum(classes.values()),
        } | classes
    return counts


def patient_classes(images: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Multi-hot table, one row a patient: the classes of the patient's boxes and whether an image has none."""
    patient_of = images.set_index("image_id")["patient_id"]
    classes = pd.crosstab(annotations["image_id"].map(patient_of), annotations["class_name"])
    boxed = set(annotations["image_id"])
    free = images.assign(no_box=~images["image_id"].isin(boxed)).groupby("patient_id")["no_box"].any()
    return classes.reindex(free.index, fill_value=0).gt(0).assign(no_box=free).astype(int).sort_index()


def draw_patients(patients: pd.DataFrame, share: float, *, seed: int) -> list[str]:
    """A share of the patients of `patient_classes`, stratified over its columns, in the order of the table."""
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    classes = patients.to_numpy()
    if classes.shape[1] == 1:  # the splitter wants at least two columns
        classes = np.repeat(classes, 2, axis=1)
    _, drawn = next(splitter.split(np.zeros(len(patients)), classes))
    return [str(patient) for patient in patients.index[np.sort(drawn)]]


def _check_unchanged(path: Path) -> None:
    """A patient who is moved by hand, with all images, breaks no other rule, and a model is tested on its training."""
    if not (path.parent / FILE_NAME).is_file():
        return
    digest = read_manifest(path.parent).outputs.get(SPLIT_FILE)
    if digest is not None and digest != sha256_of(path):
        raise DataError(
            f"{path}: was changed after data_prep.split wrote it (sha256 differs from {FILE_NAME}); restore it, or "
            f"remove {FILE_NAME} if the change is meant and no model was trained on the old split"
        )


def _split_source(
    images: pd.DataFrame, annotations: pd.DataFrame, config: SplitConfig, *, kept: pd.DataFrame | None
) -> pd.DataFrame:
    source = images["source"].iloc[0]
    official = config.official_test_list if source == NIH else None
    fixed = _official_parts(images, official) if kept is None else kept_parts(images, kept, place=str(config.keep))
    patients = patient_classes(images, annotations[annotations["image_id"].isin(images["image_id"])])
    new = patients[~patients.index.isin(list(fixed))]
    few = len(new) < MIN_PATIENTS
    if few and not (kept is not None and fixed):
        raise DataError(
            f"{config.tables}: {len(new)} patients of {source} are too few to split; at least {MIN_PATIENTS} are needed"
        )
    drawn = dict.fromkeys(new.index, "train") if few else _draw_parts(new, config, with_test=official is None)
    return images[_WHO].assign(split=images["patient_id"].map(fixed | drawn))


def _draw_parts(patients: pd.DataFrame, config: SplitConfig, *, with_test: bool) -> dict[Hashable, str]:
    """A part for every patient."""
    parts: dict[Hashable, str] = {}
    rest = patients
    if with_test:
        test = draw_patients(rest, config.test, seed=config.seed)
        parts |= dict.fromkeys(test, "test")
        rest = rest.drop(index=test)
    val = draw_patients(rest, config.val / (config.train + config.val), seed=config.seed + 1)
    return parts | dict.fromkeys(val, "val") | dict.fromkeys(rest.index.difference(val), "train")


def _official_parts(images: pd.DataFrame, path: Path | None) -> dict[Hashable, str]:
    if path is None:
        return {}
    inside = images["image_id"].isin(read_official_list(path))
    patients = set(images.loc[inside, "patient_id"])
    split_up = images[~inside & images["patient_id"].isin(patients)]
    if len(split_up):
        raise DataError(
            f"{path}: patient '{split_up['patient_id'].iloc[0]}' has images inside and outside the list; "
            "the official list holds whole patients, download it again"
        )
    if not patients:
        raise DataError(f"{path}: none of the images is in this list; give NIH's test_list.txt")
    return dict.fromkeys(patients, "test")
