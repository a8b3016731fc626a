"""What every cluster of boxes may be, as one long table, so that no step of the estimation loops over clusters."""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.core import boxes
from xray_chest_detection.data.consensus.clusters import Clusters, join_classes, pairs_in_groups, sums
from xray_chest_detection.data.readings import FloatArray, IntArray, Readings

# What is assumed of classes with few boxes: so many pairs compared, such a share of them overlapping.
_PRIOR_PAIRS, _PRIOR_SHARE = 20, 0.05
# Each box is compared with those that stand so many boxes of its class after it.
_STEPS = (7, 31, 101, 203)
_SILENT, _ABSENT = -1, -2


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """The true findings that may stand behind the clusters.

    The first `P` hypotheses are patterns: a cluster by itself, known by its class, its readers and its voters, so that
    many clusters share one. The others are joint: all clusters of a place are one finding, which some readers called
    by another name; one such hypothesis for each cluster that has a place, in the order of these clusters, whose class
    is then the right name.

    Attributes:
        class_id: `(H,)` the class of the finding.
        row: `(E,)` the hypothesis of an entry; a hypothesis has one for each reader of the image.
        reader: `(E,)` the reader of an entry.
        name: `(E,)` the class by which he calls the finding, -1 when he did not draw it.
        pattern: `(K,)` the pattern of each cluster.
        log_chance: `(P,)` log chance that the voters' boxes overlap although nothing is there.
        place: `(K,)` the place of each cluster, -1 for a cluster that shares its with no other.
        log_coincidence: `(Q,)` log chance that the clusters of a place overlap although they have nothing in common.
    """

    class_id: IntArray
    row: IntArray
    reader: IntArray
    name: IntArray
    pattern: IntArray
    log_chance: FloatArray
    place: IntArray
    log_coincidence: FloatArray

    @property
    def n_patterns(self) -> int:
        """The number of hypotheses that are patterns."""
        return len(self.log_chance)


def hypotheses_of(readings: Readings, clusters: Clusters, iou: float) -> Hypotheses:
    """The hypotheses about the clusters of some readings; overlaps of at least `iou` make clusters share a place."""
    named = np.where(readings.read, _SILENT, _ABSENT)[clusters.image]
    named[clusters.label, readings.reader] = readings.class_id
    pattern, first = unique_rows(np.column_stack([clusters.class_id, named]))
    place, members = _shared(join_classes(readings, clusters, iou))
    at_place = np.full((int(place.max(initial=-1)) + 1, len(readings.readers)), _ABSENT)
    np.maximum.at(at_place, place[members], named[members])
    names = np.concatenate([named[first], at_place[place[members]]])
    row, reader = np.nonzero(names != _ABSENT)
    chance = np.log(_chance_overlap(readings, iou))[clusters.class_id[first]]
    return Hypotheses(
        class_id=np.concatenate([clusters.class_id[first], clusters.class_id[members]]),
        row=row,
        reader=reader,
        name=names[row, reader],
        pattern=pattern,
        log_chance=(clusters.votes[first].sum(axis=1) - 1) * chance,
        place=place,
        log_coincidence=_log_coincidence(readings, clusters, place, iou),
    )


def unique_rows(rows: IntArray) -> tuple[IntArray, IntArray]:
    """The number of each distinct row of small integers, `(N,)`, and where each stands first."""
    code = np.ascontiguousarray(np.column_stack([np.zeros(len(rows)), rows]), np.int16)  # at least one column
    joined = code.view(np.dtype((np.void, code.dtype.itemsize * code.shape[1])))[:, 0]
    _, first, number = np.unique(joined, return_index=True, return_inverse=True)
    return number.astype(np.int64), first


def _shared(place: IntArray) -> tuple[IntArray, IntArray]:
    """Places of several clusters numbered from 0, -1 for clusters that are alone at theirs; and who is not."""
    members = np.flatnonzero(np.bincount(place)[place] > 1) if len(place) else place
    numbered = np.full(len(place), -1)
    numbered[members] = np.unique(place[members], return_inverse=True)[1]
    return numbered, members


def _chance_overlap(readings: Readings, iou: float) -> FloatArray:
    """Share of the boxes of a class, `(C,)`, that overlap one of another image: high for organs, low for nodules.

    Two readers' boxes of nothing would overlap as often, if they lay where boxes of their class usually lie.
    """
    order = np.lexsort((*readings.xyxy.T[::-1], readings.image, readings.class_id))
    xyxy, image, class_id = readings.xyxy[order], readings.image[order], readings.class_id[order]
    tried, near = np.zeros(len(readings.classes)), np.zeros(len(readings.classes))
    for step in _STEPS:
        other = (class_id[:-step] == class_id[step:]) & (image[:-step] != image[step:])
        overlap = boxes.paired_iou(xyxy[:-step][other], xyxy[step:][other]) >= iou
        tried += np.bincount(class_id[:-step][other], minlength=len(tried))
        near += np.bincount(class_id[:-step][other], overlap, minlength=len(tried))
    return (near + _PRIOR_PAIRS * _PRIOR_SHARE) / (tried + _PRIOR_PAIRS)


def _log_coincidence(readings: Readings, clusters: Clusters, place: IntArray, iou: float) -> FloatArray:
    """All clusters of a place but one lie where another one does, with the mean log chance of all their pairs."""
    order = np.argsort(place, kind="stable")
    order = order[place[order] >= 0]
    first, second = (order[rows] for rows in pairs_in_groups(place[order]))
    share = _classes_overlap(readings, iou)[clusters.class_id[first], clusters.class_id[second]]
    size = np.bincount(place[order])  # K clusters make K (K - 1) / 2 pairs
    return sums(place[first], np.log(share), len(size)) * 2 / size


def _classes_overlap(readings: Readings, iou: float) -> FloatArray:
    """Of all pairs of boxes of two classes by one reader on one image the share that overlaps, `(C, C)`.

    It tells how often two different findings lie at one place, since one reader saw both.
    """
    eyes = readings.image * len(readings.readers) + readings.reader
    order = np.argsort(eyes, kind="stable")
    one, two = (order[rows] for rows in pairs_in_groups(eyes[order]))
    overlap = boxes.paired_iou(readings.xyxy[one], readings.xyxy[two]) >= iou
    n_classes = len(readings.classes)
    cell = readings.class_id[one] * n_classes + readings.class_id[two]
    tried, near = (
        np.bincount(cell, weights, n_classes**2).reshape(n_classes, n_classes) for weights in (None, overlap)
    )
    return (near + near.T + _PRIOR_PAIRS * _PRIOR_SHARE) / (tried + tried.T + _PRIOR_PAIRS)
