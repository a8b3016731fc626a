"""What a model may have seen of the films it is tested on: patients, equal pixels, near copies, an official list.

Everything is looked at over all given data sets together. One film that stands in several of them, linked or copied
under the same source and image_id, is no leak as long as it is in the same split everywhere.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

from xray_chest_detection.data.checks import Check
from xray_chest_detection.data.duplicates import Pair

_SPLIT_AGAIN = "a model would be tested on {} it has seen; make one split for all of them with data_prep.split"
_PATIENTS_ADVICE = _SPLIT_AGAIN.format("people")
_FILMS_ADVICE = f"{_SPLIT_AGAIN.format('films')}, or leave out one of the copies"
_OFFICIAL_ADVICE = (
    "a classifier that shares weights or training films with this detector must not be tested on them; test it on this "
    "data set's own test patients, or make the detector's split with data_prep.split --official-test-list, which "
    "leaves no boxed NIH film to train on"
)


@dataclass(frozen=True)
class Place:
    """A file of a data set.

    Attributes:
        name: How a finding names it.
        split: Its part.
        film: Its source and image_id, None when no index knows it.
        patient: Its source and patient_id, None when no index knows it.
    """

    name: str
    split: str
    film: tuple[str, str] | None = None
    patient: tuple[str, str] | None = None


def patient_leaks(indexes: Mapping[str, pd.DataFrame]) -> Check:
    """Patients in different splits, within a data set or between two of them.

    Args:
        indexes: Name of each data set to the rows of its `index.csv`; the names are left out when there is only one.
    """
    parts: defaultdict[tuple[str, str], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, index in indexes.items():
        who = index[["source", "patient_id", "split"]].drop_duplicates()
        for source, patient, split in who.itertuples(index=False):
            parts[source, patient][split].append(name)
    shared = [
        f"patient {patient} of {source}: {', '.join(_part(*part, indexes) for part in sorted(found.items()))}"
        for (source, patient), found in sorted(parts.items())
        if len(found) > 1
    ]
    return Check("patient in several splits", "error", shared, _PATIENTS_ADVICE)


def pixel_leaks(groups: Iterable[Sequence[Place]]) -> list[Check]:
    """Files with the same pixels.

    Args:
        groups: The files of every picture.
    """
    across: list[str] = []
    within: list[str] = []
    for group in groups:
        distinct = _distinct(group)
        if len(distinct) > 1:
            places = across if len({place.split for place in distinct}) > 1 else within
            places.append(" and ".join(place.name for place in distinct))
    return [
        Check("same pixels in two splits", "error", across, _FILMS_ADVICE),
        Check("same pixels twice in one split", "warning", within),
    ]


def near_leaks(groups: Sequence[Sequence[Place]], pairs: Iterable[Pair]) -> list[Check]:
    """Files with nearly the same pixels. Of one patient they are only noted: `patient_leaks` knows their splits.

    Args:
        groups: The files of every picture.
        pairs: Indices into `groups` of the pictures that are copies of each other, and how similar they are.
    """
    across: list[str] = []
    within: list[str] = []
    for pair in pairs:
        both = product(_distinct(groups[pair.first]), _distinct(groups[pair.second]))
        different = [(one, other) for one, other in both if not _same_film_and_split(one, other)]
        leaks = [(one, other) for one, other in different if one.split != other.split and not _same_patient(one, other)]
        for one, other in (leaks or different)[:1]:
            (across if leaks else within).append(f"{one.name} and {other.name} ({pair.similarity:.2f})")
    return [
        Check("near duplicates in two splits", "error", across, _FILMS_ADVICE),
        Check("near duplicates in one split or of one patient", "info", within),
    ]


def official_leaks(places: Iterable[Place], official: Collection[str]) -> Check:
    """Films on NIH's official test list that are trained on or used to choose thresholds.

    Args:
        places: All files.
        official: Names on the list, without suffix.
    """
    inside = [
        f"{place.name} ({place.split})"
        for place in places
        if place.split != "test" and Path(place.name).stem in official
    ]
    return Check("film of NIH's official test list in train or val", "error", inside, _OFFICIAL_ADVICE)


def _part(split: str, names: Sequence[str], indexes: Mapping[str, pd.DataFrame]) -> str:
    return split if len(indexes) == 1 else f"{split} of {' and '.join(names)}"


def _distinct(group: Sequence[Place]) -> list[Place]:
    """One file for every film and split, in the order of splits and names."""
    first: dict[tuple[str, object], Place] = {}
    for place in sorted(group, key=lambda one: (one.split, one.name)):
        first.setdefault((place.split, place.film or place.name), place)
    return list(first.values())


def _same_film_and_split(one: Place, other: Place) -> bool:
    return one.film is not None and (one.film, one.split) == (other.film, other.split)


def _same_patient(one: Place, other: Place) -> bool:
    return one.patient is not None and one.patient == other.patient
