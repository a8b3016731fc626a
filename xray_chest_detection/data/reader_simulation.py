"""Simulated readers of films whose truth is known, to judge consensus rules by.

No image is drawn: a film is a list of findings, a reader turns each of them into a box, overlooks it, calls it by
another name or draws it twice, and now and then sees something that is not there. The habits of a reader do not depend
on the film, and without `shared_false_positives` readers err independently of each other. Real readers do neither so
purely: hard findings are hard for everybody. A rule that does well here has passed a necessary test, not a sufficient
one.

Source: frequencies, medians and spreads of VinBigData's boxes are those of the competition's train.csv (Nguyen et al.,
VinDr-CXR, Scientific Data 2022), nine of its classes, rounded. The habits are guesses that make readers agree about as
much as they do there: in the scenario `like VinBigData` the rule `union` (IoU 0.4) finds 1.63 boxes a finding, and 41 %
of the findings drawn by two readers or more; in the real table 1.60 and 39 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xray_chest_detection.core import boxes, matching
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.readings import Consensus, Readings

WIDTH_PX, HEIGHT_PX = 2500, 2800
MIN_SIDE_PX = 8
SAME_PLACE = 0.1  # two boxes of one class that overlap more than this are one finding

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """Habits of a reader.

    Attributes:
        jitter: Standard deviation of every edge, as a share of the side of the box.
        sensitivity: Chance to draw a finding.
        false_positives: Mean number of boxes per film where nothing is.
        confusion: Chance to call a finding by the name of its look-alike, for classes that have one.
        split: Chance to draw a finding as two boxes, upper and lower.
    """

    jitter: float
    sensitivity: float
    false_positives: float
    confusion: float = 0.0
    split: float = 0.0


CAREFUL = Profile(jitter=0.06, sensitivity=0.8, false_positives=0.2)
SLOPPY = Profile(jitter=0.16, sensitivity=0.65, false_positives=0.5)
OVER_CALLER = Profile(jitter=0.09, sensitivity=0.9, false_positives=2.0)
UNDER_CALLER = Profile(jitter=0.07, sensitivity=0.4, false_positives=0.08)
CONFUSER = Profile(jitter=0.08, sensitivity=0.78, false_positives=0.25, confusion=0.5)
SPLITTER = Profile(jitter=0.08, sensitivity=0.78, false_positives=0.25, split=0.35)


@dataclass(frozen=True)
class Scenario:
    """Who reads what.

    Attributes:
        profiles: One per reader; reader `R1` is the first.
        readers_per_image: How many of them read each film; all when None.
        busy: Readers, from 0, who are eight times as likely to be chosen for a film as the others.
        shared_false_positives: Share of the false positives that lie where other readers err too.
    """

    profiles: tuple[Profile, ...]
    readers_per_image: int | None = None
    busy: tuple[int, ...] = ()
    shared_false_positives: float = 0.0


_SEVENTEEN = (CAREFUL, SLOPPY, CAREFUL, UNDER_CALLER, OVER_CALLER, CAREFUL, SLOPPY, CAREFUL, OVER_CALLER)
SCENARIOS: dict[str, Scenario] = {
    "equal careful readers": Scenario((CAREFUL,) * 3),
    "mixed quality": Scenario((CAREFUL, SLOPPY, OVER_CALLER, UNDER_CALLER, CONFUSER)),
    "one over-caller among careful": Scenario((CAREFUL, CAREFUL, OVER_CALLER)),
    "mostly sloppy": Scenario((CAREFUL, SLOPPY, SLOPPY)),
    "under-callers": Scenario((CAREFUL, UNDER_CALLER, UNDER_CALLER)),
    "class confusers": Scenario((CAREFUL, CONFUSER, CONFUSER)),
    "splitters": Scenario((CAREFUL, SPLITTER, SPLITTER)),
    "like VinBigData": Scenario((*_SEVENTEEN, *_SEVENTEEN[:8]), readers_per_image=3, busy=(7, 8, 9)),
    "shared mistakes": Scenario((CAREFUL, SLOPPY, OVER_CALLER, OVER_CALLER), shared_false_positives=0.6),
}


@dataclass(frozen=True)
class Score:
    """How near a consensus comes to the truth.

    Attributes:
        precision: Share of its boxes that are true; NaN when it has none.
        recall: Share of the true boxes that it has; NaN when there are none.
        f1: Harmonic mean of the two; NaN when both have no box.
        iou: Mean overlap of its true boxes with the truth; NaN when none is true.
    """

    precision: float
    recall: float
    f1: float
    iou: float


@dataclass(frozen=True)
class _Kind:
    """One class: how often, where (centre and spread) and how large (median and spread of the logarithm), in pixels."""

    name: str
    frequency: float
    centre_px: tuple[float, float]
    spread_px: tuple[float, float]
    size_px: tuple[float, float]
    size_spread: float
    look_alike: str | None = None
    single: bool = False  # an organ: at most one box a film, always at the same place


_KINDS = (
    _Kind("Aortic enlargement", 0.2, (1410, 920), (90, 110), (290, 330), 0.2, single=True),
    _Kind("Cardiomegaly", 0.15, (1410, 1670), (90, 120), (1060, 380), 0.15, single=True),
    _Kind("Consolidation", 0.04, (1250, 1210), (540, 380), (470, 520), 0.4, "Infiltration"),
    _Kind("Infiltration", 0.06, (1250, 1140), (600, 420), (470, 530), 0.4, "Lung Opacity"),
    _Kind("Lung Opacity", 0.09, (1250, 1300), (600, 440), (390, 400), 0.5, "Infiltration"),
    _Kind("Nodule/Mass", 0.1, (1250, 1270), (660, 460), (105, 105), 0.5),
    _Kind("Pleural effusion", 0.08, (1250, 1870), (800, 430), (220, 290), 0.6, "Pleural thickening"),
    _Kind("Pleural thickening", 0.14, (1250, 800), (670, 600), (230, 150), 0.5, "Pulmonary fibrosis"),
    _Kind("Pulmonary fibrosis", 0.14, (1250, 980), (620, 440), (300, 275), 0.5, "Pleural thickening"),
)
CLASSES = tuple(kind.name for kind in _KINDS)
_FREQUENCY = np.array([kind.frequency for kind in _KINDS])
_SINGLE = np.array([kind.single for kind in _KINDS])
_LOOK_ALIKE = np.array([CLASSES.index(kind.look_alike or kind.name) for kind in _KINDS])


def simulate(
    scenario: Scenario, *, n_images: int, seed: int, healthy: float = 0.3, findings: float = 2.5
) -> tuple[Readings, BoxTable]:
    """What the readers of a scenario draw on films, and what is there.

    Args:
        scenario: Who reads what; `SCENARIOS` has some.
        n_images: Number of films.
        seed: Seed of everything; the truth depends on it and on the numbers below, but not on the scenario.
        healthy: Share of films without a finding.
        findings: Mean number of findings of the others, at least one each; those that coincide are one.

    Returns:
        The readings, and the true boxes with score 1, in pixels of films of 2500 x 2800.
    """
    of_truth, of_readers = np.random.default_rng(seed).spawn(2)
    truth = _truth(n_images, of_truth, healthy=healthy, findings=findings)
    read = _assignment(scenario, n_images, of_readers)
    drawn = [_found(scenario.profiles, truth, read, of_readers), _invented(scenario, truth, read, of_readers)]
    image, class_id, reader = (np.concatenate([part[column] for part in drawn]) for column in range(3))
    xyxy = _on_film(np.concatenate([part[3] for part in drawn]))
    order = np.lexsort((*xyxy.T[::-1], reader, class_id, image))
    names = tuple(f"film_{number:05d}" for number in range(n_images))
    readers = tuple(f"R{number + 1}" for number in range(len(scenario.profiles)))
    return Readings(names, CLASSES, readers, image[order], class_id[order], reader[order], xyxy[order], read), truth


def score_against_truth(consensus: Consensus, truth: BoxTable, *, iou: float = 0.5) -> Score:
    """Compare a consensus with the truth, classes counted together, as the evaluator matches a model's boxes.

    Boxes are taken by falling probability, or by agreement where the rule knows no probability.
    """
    score = np.where(np.isnan(consensus.probability), consensus.agreement, consensus.probability)
    best_first = np.argsort(-score, kind="stable")
    # Scores that are ranks keep the order and let a record of matches name the rows it is about.
    rank = np.arange(len(score))
    columns = consensus.image[best_first], consensus.class_id[best_first], -rank.astype(np.float64)
    shown_boxes = BoxTable(*columns, consensus.xyxy[best_first], truth.n_images)
    n_classes = 1 + int(max(consensus.class_id.max(initial=0), truth.class_id.max(initial=0)))
    records = matching.match_classes(truth, shown_boxes, n_classes=n_classes, ious=(iou,))
    hits = np.concatenate([-record.score[record.hit[0]] for record in records]).astype(np.int64)
    found, shown, real = len(hits), len(score), len(truth)
    return Score(
        precision=found / shown if shown else np.nan,
        recall=found / real if real else np.nan,
        f1=2 * found / (shown + real) if shown + real else np.nan,
        iou=float(_best_overlap(shown_boxes.select(hits), truth).mean()) if found else np.nan,
    )


def _truth(n_images: int, rng: np.random.Generator, *, healthy: float, findings: float) -> BoxTable:
    sick = rng.random(n_images) >= healthy
    image = np.repeat(np.arange(n_images), np.where(sick, 1 + rng.poisson(findings - 1, n_images), 0))
    class_id = rng.choice(len(_KINDS), size=len(image), p=_FREQUENCY)
    xyxy = _on_film(_placed(class_id, rng))
    order = np.argsort(_group(image, class_id), kind="stable")
    table = BoxTable(image[order], class_id[order], np.ones(len(order)), xyxy[order], n_images)
    first, second = _pairs(table, table)
    overlap = boxes.paired_iou(table.xyxy[first], table.xyxy[second])
    same = (first < second) & ((overlap > SAME_PLACE) | _SINGLE[table.class_id[first]])
    return table.select(np.bincount(second[same], minlength=len(table)) == 0)


def _assignment(scenario: Scenario, n_images: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    n_readers = len(scenario.profiles)
    if scenario.readers_per_image is None:
        return np.ones((n_images, n_readers), np.bool_)
    weight = np.ones(n_readers)
    weight[list(scenario.busy)] = 8
    # The largest of log-weight plus Gumbel noise is a draw without replacement (Gumbel-top-k, Vieira 2014).
    rank = np.argsort(-(np.log(weight) + rng.gumbel(size=(n_images, n_readers))), axis=1)
    read = np.zeros((n_images, n_readers), np.bool_)
    np.put_along_axis(read, rank[:, : scenario.readers_per_image], True, axis=1)
    return read


def _found(
    profiles: Sequence[Profile], truth: BoxTable, read: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Image, class, reader and box of what the readers make of the true findings."""
    row, reader = np.nonzero(read[truth.image])
    drawn = rng.random(len(row)) < _habit(profiles, "sensitivity")[reader]
    row, reader = row[drawn], reader[drawn]
    confused = rng.random(len(row)) < _habit(profiles, "confusion")[reader]
    class_id = np.where(confused, _LOOK_ALIKE[truth.class_id[row]], truth.class_id[row])
    split = rng.random(len(row)) < _habit(profiles, "split")[reader]
    upper, lower = truth.xyxy[row].copy(), truth.xyxy[row][split]
    height = lower[:, 3] - lower[:, 1]
    cut = lower[:, 1] + height * rng.uniform(0.4, 0.6, len(lower))
    upper[split, 3], lower[:, 1] = cut + 0.1 * height, cut - 0.1 * height  # the halves overlap a little
    row, reader = np.append(row, row[split]), np.append(reader, reader[split])
    xyxy = _redrawn(np.concatenate([upper, lower]), _habit(profiles, "jitter")[reader], rng)
    return truth.image[row], np.append(class_id, class_id[split]), reader, xyxy


def _invented(
    scenario: Scenario, truth: BoxTable, read: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Image, class, reader and box of what is not there; what happens to lie on a true box of its class is left out.

    Two readers who invent the same organ draw it at the same place: two votes for nothing, as with borderline hearts.
    """
    image, reader = np.nonzero(read)
    count = rng.poisson(_habit(scenario.profiles, "false_positives")[reader])
    image, reader = np.repeat(image, count), np.repeat(reader, count)
    class_id = rng.choice(len(_KINDS), size=len(image), p=_FREQUENCY)
    xyxy = _placed(class_id, rng)
    decoy_class = rng.choice(len(_KINDS), size=truth.n_images, p=_FREQUENCY)
    decoy = _placed(decoy_class, rng)
    at_decoy = rng.random(len(image)) < scenario.shared_false_positives
    class_id[at_decoy], xyxy[at_decoy] = decoy_class[image[at_decoy]], decoy[image[at_decoy]]
    seen_before = pd.DataFrame({"image": image, "reader": reader, "decoy": at_decoy}).duplicated().to_numpy()
    table = BoxTable(image, class_id, np.ones(len(image)), xyxy, truth.n_images)
    kept = (_best_overlap(table, truth) <= SAME_PLACE) & ~(at_decoy & seen_before)
    jitter = _habit(scenario.profiles, "jitter")[reader[kept]]
    return image[kept], class_id[kept], reader[kept], _redrawn(xyxy[kept], jitter, rng)


def _placed(class_id: IntArray, rng: np.random.Generator) -> FloatArray:
    """A box of each class, `(N, 4)`, at a likely place and of a likely size, inside the film."""
    centre, spread, size = (
        np.array([getattr(kind, name) for kind in _KINDS], np.float64) for name in ("centre_px", "spread_px", "size_px")
    )
    count, film = len(class_id), np.array([WIDTH_PX, HEIGHT_PX])
    size_spread = np.array([kind.size_spread for kind in _KINDS])[class_id, None]
    sides = size[class_id] * np.exp(size_spread * rng.normal(size=(count, 1)) + 0.15 * rng.normal(size=(count, 2)))
    sides = np.clip(sides, MIN_SIDE_PX, film)
    middle = np.clip(centre[class_id] + spread[class_id] * rng.normal(size=(count, 2)), sides / 2, film - sides / 2)
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1)


def _redrawn(xyxy: FloatArray, jitter: FloatArray, rng: np.random.Generator) -> FloatArray:
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    return xyxy + rng.normal(size=xyxy.shape) * jitter[:, None] * sides


def _on_film(xyxy: FloatArray) -> FloatArray:
    """Whole pixels inside the film, as readers' tools give them."""
    film = np.array([WIDTH_PX, HEIGHT_PX])
    top_left = np.clip(np.round(xyxy[:, :2]), 0, film - MIN_SIDE_PX)
    return np.concatenate([top_left, np.clip(np.round(xyxy[:, 2:]), top_left + MIN_SIDE_PX, film)], axis=1)


def _habit(profiles: Sequence[Profile], name: str) -> FloatArray:
    return np.array([getattr(profile, name) for profile in profiles], np.float64)


def _group(image: IntArray, class_id: IntArray) -> IntArray:
    return image * len(_KINDS) + class_id


def _pairs(first: BoxTable, second: BoxTable) -> tuple[IntArray, IntArray]:
    """Rows of all pairs of boxes of the same image and class; `second` is ordered by image and class."""
    wanted, groups = _group(first.image, first.class_id), _group(second.image, second.class_id)
    start, stop = np.searchsorted(groups, wanted, "left"), np.searchsorted(groups, wanted, "right")
    count = stop - start
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(np.arange(len(first)), count), np.repeat(start, count) + step


def _best_overlap(table: BoxTable, truth: BoxTable) -> FloatArray:
    """IoU of each box with the true box of its image and class that it overlaps most; 0 without one."""
    rows, partners = _pairs(table, truth)
    best = np.zeros(len(table))
    np.maximum.at(best, rows, boxes.paired_iou(table.xyxy[rows], truth.xyxy[partners]))
    return best
