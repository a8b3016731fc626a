"""Copy-paste of findings between the films of a data set, while ultralytics loads them.

It happens to a single film, before mosaic and every other step: only there has a place in the film a meaning.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from ultralytics.utils.instance import Instances

from xray_chest_detection.detect.augment.patches import Patch, can_be_pasted, cut, find_place, paste
from xray_chest_detection.detect.regions import UNKNOWN, Regions
from xray_chest_detection.detect.side_labels import SideLabels

DONORS_TRIED = 6  # where one finding of a class fits in nowhere, another may


@dataclass(frozen=True)
class Donor:
    """A finding that can be pasted.

    Attributes:
        film: Number of its film in the data set.
        row: Its row among the labels of the film.
        class_id: Its class.
    """

    film: int
    row: int
    class_id: int


class Films(Protocol):
    """What pasting needs of a data set of ultralytics."""

    labels: Sequence[Mapping[str, Any]]
    ims: Sequence[NDArray[np.uint8] | None]
    im_files: Sequence[str]
    buffer: Sequence[int]
    side: SideLabels | None
    box_weights: Mapping[str, NDArray[np.float32]]


class FindingPaster:
    """Pastes a finding of another film into a film.

    The class is drawn first, every class equally likely, then one of its findings. Only films in memory give findings,
    as it is with mosaic: all of them with `cache`, else the latest ones.

    Args:
        films: The training films.
        probability: Of pasting into a film; none is pasted where no place is free.
        mirror: Also paste to the other side of the chest.
    """

    def __init__(self, films: Films, *, probability: float, mirror: bool) -> None:
        self._films, self._probability, self._mirror = films, probability, mirror
        self._donors = donors_of(films.labels)

    def __call__(self, sample: dict[str, Any], index: int) -> dict[str, Any]:
        """The sample of film `index` with one finding more, its box, its weight and what is unknown in its patch."""
        if random.random() >= self._probability:
            return sample
        rng = np.random.default_rng(random.getrandbits(64))  # ultralytics seeds `random` in every worker
        boxes = _corners_px(sample)
        for donor in self._drawn(rng, index):
            film = self._films.ims[donor.film]
            if film is None:
                continue
            patch = cut(film, self._films.labels[donor.film]["bboxes"][donor.row])
            patch = patch.mirrored() if self._mirror and rng.random() < 0.5 else patch
            place = find_place(sample["img"], patch, boxes, rng)
            if place is not None:
                return self._pasted(sample, donor, patch, place)
        return sample

    def _drawn(self, rng: np.random.Generator, index: int) -> list[Donor]:
        films = self._films.buffer or range(len(self._films.labels))
        by_class: dict[int, list[Donor]] = {}
        for film in dict.fromkeys(films):
            for donor in self._donors.get(film, ()) if film != index else ():
                by_class.setdefault(donor.class_id, []).append(donor)
        if not by_class:
            return []
        of_class = by_class[int(rng.choice(sorted(by_class)))]
        rows = rng.permutation(len(of_class))[:DONORS_TRIED]
        return [of_class[row] for row in rows]

    def _pasted(self, sample: dict[str, Any], donor: Donor, patch: Patch, place: tuple[int, int]) -> dict[str, Any]:
        height, width = sample["img"].shape[:2]
        x_min, y_min, x_max, y_max = patch.xyxy + np.tile(place, 2)
        middle, size = np.array([x_min + x_max, y_min + y_max]) / 2, np.array([x_max - x_min, y_max - y_min])
        box = np.concatenate([middle, size]) / (width, height, width, height)
        old: Instances = sample["instances"]
        new = Instances(box[None].astype(np.float32), old.segments[:0], bbox_format="xywh", normalized=True)
        changed = {"img": paste(sample["img"], patch, place), "instances": Instances.concatenate([old, new])}
        side = self._films.side
        if side is None:
            return sample | changed | {"cls": np.vstack([sample["cls"], [[donor.class_id]]]).astype(np.float32)}
        file = self._films.im_files[donor.film]
        row = [donor.class_id, self._films.box_weights[file][donor.row]]
        # the donor's film may show, within the patch, what nobody labelled there
        ids, (rows, columns) = side.unknown_on(Path(file)), patch.pixels.shape
        part = Regions.whole(ids, n_classes=side.n_classes, width_px=columns, height_px=rows)
        shift = np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1]], np.float64)
        regions = Regions.joined([sample[UNKNOWN], part.moved(shift)])
        return sample | changed | {"cls": np.vstack([sample["cls"], [row]]).astype(np.float32), UNKNOWN: regions}


def donors_of(labels: Sequence[Mapping[str, Any]]) -> dict[int, list[Donor]]:
    """The findings that can be pasted, by film; films without one are left out."""
    donors: dict[int, list[Donor]] = {}
    for film, label in enumerate(labels):
        rows = np.flatnonzero(can_be_pasted(label["bboxes"]))
        if len(rows):
            donors[film] = [Donor(film, int(row), int(label["cls"][row, 0])) for row in rows]
    return donors


def _corners_px(sample: Mapping[str, Any]) -> NDArray[np.float64]:
    height, width = sample["img"].shape[:2]
    boxes = sample["instances"].bboxes.astype(np.float64)  # of a film just loaded: middle and size, 0 to 1
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.asarray(np.hstack([middle - half, middle + half]) * (width, height, width, height))
