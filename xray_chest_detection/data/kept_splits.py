"""Who of an older split is in newer tables: people keep their part, so that no model is tested on what it has seen."""

from collections.abc import Hashable

import pandas as pd

from xray_chest_detection.errors import DataError


def kept_parts(images: pd.DataFrame, kept: pd.DataFrame, *, place: str) -> dict[Hashable, str]:
    """The part of every patient of one source of whom a kept split has an image, or the name.

    Images count as well, because groups of copies have the name of their first image, which may change when more
    images are chosen.

    Args:
        images: Image rows of the source.
        kept: The split to keep, of any sources.
        place: Where it comes from, for messages.

    Raises:
        DataError: It has images of one patient in several parts.
    """
    rows = kept[kept["source"].isin(images["source"])]
    found = pd.concat(
        images[["image_id", "patient_id"]].merge(rows[[column, "split"]].drop_duplicates(), on=column)
        for column in ("image_id", "patient_id")
    )
    of_patient = found.drop_duplicates(["patient_id", "split"])
    torn = sorted(set(of_patient.loc[of_patient["patient_id"].duplicated(), "patient_id"]))
    if torn:
        first = found[found["patient_id"] == torn[0]].drop_duplicates("split").sort_values("split")
        places = zip(first["image_id"], first["split"], strict=True)
        named = " and ".join(f"'{name}' in {part}" for name, part in places)
        raise DataError(
            f"{place}: has {named}, which are images of one patient or copies of each other by now "
            f"({len(torn)} such groups): a model would be tested on what it has seen; choose the images as they were "
            "chosen for that split, or pass --keep None and train all models again"
        )
    return dict(zip(of_patient["patient_id"], of_patient["split"], strict=True))


def moved_patients(old: pd.DataFrame, new: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Patients whose part differs between two splits: patient_id of the new one, old part, new part.

    A patient is known by name or by any image; those in one split only are left out.
    """
    after = new.rename(columns={"split": "split_new"})
    pairs = pd.concat(
        after.merge(old[["source", column, "split"]].drop_duplicates(), on=["source", column])
        for column in ("patient_id", "image_id")
    )
    moved = pairs[pairs["split"] != pairs["split_new"]].drop_duplicates(["source", "patient_id"])
    columns = moved.sort_values("patient_id")[["patient_id", "split", "split_new"]]
    return [tuple(row) for row in columns.itertuples(index=False)]
