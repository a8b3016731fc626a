"""Whether a data set still is what its manifest says: a view of one split, with the files that were written then."""

from pathlib import Path

import pandas as pd

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import FILE_NAME, Manifest, read_manifest
from xray_chest_detection.data.checks import Check
from xray_chest_detection.data.dataset_files import DatasetFiles
from xray_chest_detection.data.everything import as_trained
from xray_chest_detection.data.side_files import UNKNOWN_FILE, WEIGHTS_FILE
from xray_chest_detection.data.splits import SPLIT_FILE, read_split, shared_patients
from xray_chest_detection.data.yolo import INDEX_FILE, read_index
from xray_chest_detection.errors import DataError

_BUILD_AGAIN = "build the data set again with data_prep.build_yolo"


def provenance_checks(files: DatasetFiles, split: Path | None = None) -> list[Check]:
    """Checks of the manifest, of the files it was written for, and of every row of `index.csv` against the split.

    Args:
        files: The data set.
        split: Folder of the split the data set must be a view of; None: the one its manifest names, if it is there.
    """
    checks = []
    manifest = None
    if (files.folder / FILE_NAME).is_file():
        try:
            manifest = read_manifest(files.folder)
        except DataError as error:
            checks.append(Check("manifest.json cannot be read", "error", [str(error)]))
        else:
            changed = _changed_outputs(files.folder, manifest)
            checks.append(Check("file is not the one of manifest.json", "error", changed, _BUILD_AGAIN))
    else:
        advice = f"nothing proves which split this is; {_BUILD_AGAIN}"
        checks.append(Check("no manifest.json", "warning", [str(files.folder / FILE_NAME)], advice))
    return [*checks, _everything_check(files, manifest), *_split_checks(files, manifest, split)]


def require_patients_apart(folder: Path) -> None:
    """Refuse a data set on which a model would be tested on people it was trained on; only `index.csv` is read.

    Which part an image is in is what its folder says, because that is what a training reads.

    Raises:
        DataError: A patient is in two parts, an image is not where its row says, or `index.csv` is damaged.
    """
    index, path = read_index(folder).fillna(""), folder / INDEX_FILE
    parts = index["file"].str.extract(r"^images/([^/]+)/", expand=False).fillna("")
    moved = index[parts != index["split"]]
    if len(moved):
        file, part = moved[["file", "split"]].iloc[0]
        raise DataError(f"{path}: line {moved.index[0] + 2}: '{file}' is listed as '{part}'; {_BUILD_AGAIN}")
    shared = shared_patients(index)
    if shared:
        source, patient, found = shared[0]
        raise DataError(
            f"{path}: patient '{patient}' of {source} is in {' and '.join(found)} ({len(shared)} such patients); "
            "a model would be tested on people it has seen; list them with data_prep.verify, and make the split again"
        )


def _everything_check(files: DatasetFiles, manifest: Manifest | None) -> Check:
    patients = None if manifest is None else manifest.config.get("everything_but")
    places = [] if patients is None else [f"{files.folder}: all but {patients} patients of val, those of test too"]
    advice = "nobody is left to test on: measure the same recipe on another data set of the same split"
    return Check("trains on everything", "warning", places, advice)


def _changed_outputs(folder: Path, manifest: Manifest) -> list[str]:
    changed = []
    for name, digest in sorted(manifest.outputs.items()):
        if not (folder / name).is_file():
            changed.append(f"{name} is missing")
        elif sha256_of(folder / name) != digest:
            changed.append(f"{name} was changed after {manifest.step} wrote it")
    added = [
        name for name in (UNKNOWN_FILE, WEIGHTS_FILE) if (folder / name).is_file() and name not in manifest.outputs
    ]
    return changed + [f"{name} was added after {manifest.step}" for name in added]


def _split_checks(files: DatasetFiles, manifest: Manifest | None, given: Path | None) -> list[Check]:
    folder = given or (None if manifest is None else _named_split(manifest))
    if folder is None:
        advice = "nothing was compared with the split; name its folder with --split"
        return [Check("split not found", "warning", [str(files.folder)], advice)]
    try:
        split = as_trained(read_split(folder), manifest)
    except DataError as error:
        return [Check("split cannot be read", "error", [str(error)])]
    path = folder / SPLIT_FILE
    another = manifest is not None and manifest.inputs.get(SPLIT_FILE) != sha256_of(path)
    advice = f"test images may have been trained on; restore the split, or {_BUILD_AGAIN}"
    return [
        Check("data set was built from another split", "error", [str(path)] if another else [], advice),
        Check("index.csv disagrees with the split", "error", _disagreeing_rows(files.index, split), advice),
    ]


def _named_split(manifest: Manifest) -> Path | None:
    """The folder of the split a manifest names; None when there is no split."""
    folder = Path(str(manifest.config.get("split")))
    return folder if (folder / SPLIT_FILE).is_file() else None


def _disagreeing_rows(index: pd.DataFrame, split: pd.DataFrame) -> list[str]:
    """Rows of an index whose image is not in the split, or stands there with another patient or part."""
    columns = ["source", "image_id", "patient_id", "split"]
    rows = split[columns].itertuples(index=False)
    expected = {(source, image): (patient, part) for source, image, patient, part in rows}
    disagreeing = []
    for line, (source, image, patient, part) in enumerate(index[columns].itertuples(index=False), start=2):
        there = expected.get((source, image))
        place = f"index.csv line {line}: {image} of {source}"
        if there is None:
            disagreeing.append(f"{place} is not in the split")
        elif there != (patient, part):
            disagreeing.append(f"{place} is in {part} as patient {patient}, in the split in {there[1]} as {there[0]}")
    return disagreeing
