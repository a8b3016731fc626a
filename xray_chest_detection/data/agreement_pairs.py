"""Agreement of every pair of readers on the images that both read."""

from collections.abc import Sequence

import numpy as np

from xray_chest_detection.data.agreement_results import ALL_CLASSES, PairAgreement
from xray_chest_detection.data.agreement_sums import drawn_boxes, estimate, match_sums, ratio, with_total
from xray_chest_detection.data.box_pairs import BoxPairs
from xray_chest_detection.data.readings import FloatArray, Readings


def pair_rows(readings: Readings, matches: BoxPairs, weights: FloatArray) -> list[PairAgreement]:
    """One row a class, and one for all classes, of every pair of readers with an image in common.

    Args:
        readings: What everybody drew.
        matches: The matched boxes of all pairs of readers.
        weights: `(1 + R, I)` how often each image counts: once in the first row, as resampled in the others.
    """
    boxes = drawn_boxes(readings)
    first_reader, second_reader = readings.reader[matches.first], readings.reader[matches.second]
    rows: list[PairAgreement] = []
    for one in range(len(readings.readers)):
        for other in range(one + 1, len(readings.readers)):
            images = np.flatnonzero(readings.read[:, one] & readings.read[:, other])
            if not len(images):
                continue
            own = matches.select((first_reader == one) & (second_reader == other))
            matched = match_sums(own, readings, np.searchsorted(images, readings.image[own.first]), len(images))
            drawn = (boxes[images, one], boxes[images, other])
            silent = not (drawn[0].any() or drawn[1].any())  # every ratio is undefined or certain
            used = weights[: 1 if silent else None, images]
            names = (readings.readers[one], readings.readers[other])
            rows.extend(_rows_of_pair(names, readings.classes, drawn, matched, used))
    return rows


def cohens_kappa(
    first: FloatArray, second: FloatArray, both: FloatArray, trials: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Cohen's kappa and the observed agreement of two readers, from numbers of trials.

    Kappa is (observed - chance) / (1 - chance), where chance is the agreement of two readers who say yes as often as
    these, but by lot.

    Args:
        first: Trials to which the first reader said yes.
        second: The same for the second reader.
        both: Trials to which both said yes.
        trials: All trials.

    Returns:
        Kappa, NaN where chance agreement is 1 or there is no trial; observed agreement, NaN without a trial.

    Source: Cohen 1960, A coefficient of agreement for nominal scales.
    """
    share_first, share_second = ratio(first, trials), ratio(second, trials)
    observed = ratio(trials - first - second + 2 * both, trials)
    chance = share_first * share_second + (1 - share_first) * (1 - share_second)
    beyond = np.where(1 - chance > 1e-12, 1 - chance, 0.0)
    return ratio(observed - chance, beyond), observed


def _rows_of_pair(
    readers: tuple[str, str],
    classes: Sequence[str],
    drawn: tuple[FloatArray, FloatArray],
    matched: Sequence[FloatArray],
    weights: FloatArray,
) -> list[PairAgreement]:
    """The rows of one pair from the boxes of each `(n, C)` and the sums of their matches on `n` common images."""
    first, second = ((array > 0).astype(np.float64) for array in drawn)
    parts = [with_total(table) for table in (*drawn, first, second, first * second)]
    sums = weights @ np.concatenate([*parts, *matched], axis=1)
    boxes_first, boxes_second, yes_first, yes_second, both, low, high, overlap = np.split(sums, 8, axis=1)
    trials = weights.sum(axis=1, keepdims=True) * np.append(np.ones(len(classes)), len(classes))
    kappa, observed = cohens_kappa(yes_first, yes_second, both, trials)
    ends = boxes_first + boxes_second
    return [
        PairAgreement(
            first=readers[0],
            second=readers[1],
            class_name=name,
            images=len(drawn[0]),
            boxes_first=int(boxes_first[0, column]),
            boxes_second=int(boxes_second[0, column]),
            match_rate_40=estimate(ratio(2 * low[:, column], ends[:, column])),
            match_rate_50=estimate(ratio(2 * high[:, column], ends[:, column])),
            mean_iou=estimate(ratio(overlap[:, column], low[:, column])),
            prevalence_first=float(yes_first[0, column] / trials[0, column]),
            prevalence_second=float(yes_second[0, column] / trials[0, column]),
            observed=float(observed[0, column]),
            kappa=estimate(kappa[:, column]),
        )
        for column, name in enumerate((*classes, ALL_CLASSES))
    ]
