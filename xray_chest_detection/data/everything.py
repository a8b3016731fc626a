"""Training on everything: a view whose split keeps a few validation patients for the log, and nobody to test on."""

from pathlib import Path

import numpy as np
import pandas as pd

from xray_chest_detection.core.manifest import FILE_NAME, Manifest, read_manifest
from xray_chest_detection.errors import DataError

_WHO = ["source", "patient_id"]


def everything_but(split: pd.DataFrame, patients: int, *, seed: int) -> pd.DataFrame:
    """The split with all patients in train but a number of those in val, drawn by chance.

    Raises:
        DataError: There are not that many.
    """
    of_val = split.loc[split["split"] == "val", _WHO].drop_duplicates().sort_values(_WHO)
    if patients > len(of_val):
        raise DataError(f"everything_but: {patients}: the split has {len(of_val)} validation patients; give fewer")
    drawn = of_val.iloc[np.random.default_rng(seed).permutation(len(of_val))[:patients]]
    stays = pd.MultiIndex.from_frame(split[_WHO]).isin(pd.MultiIndex.from_frame(drawn))
    return split.assign(split=np.where(stays, "val", "train"))


def as_trained(split: pd.DataFrame, manifest: Manifest | None) -> pd.DataFrame:
    """The parts of a split in a data set with this manifest."""
    patients = None if manifest is None else manifest.config.get("everything_but")
    return split if manifest is None or patients is None else everything_but(split, patients, seed=manifest.seed or 0)


def trains_on_everything(folder: Path) -> bool:
    """Whether a data set says that its training part holds the test patients too; False without a sound manifest."""
    if not (folder / FILE_NAME).is_file():
        return False
    try:
        return read_manifest(folder).config.get("everything_but") is not None
    except DataError:
        return False
