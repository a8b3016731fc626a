"""Scores that mean the same for every class: a straight line on the logit of the score, one for each class.

A score of 0.3 may be right in half of the cases for one class and nearly never for another, yet boxes of all classes
share one list. The lines are fitted on boxes of which it is known whether they are right. They keep the order of the
boxes of one class, so that average precision does not change.

Source: Platt 1999, Probabilistic outputs for support vector machines; the penalty draws small classes to the line of
all, as in partial pooling (Gelman and Hill 2007, chapter 12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.numbers import FloatArray

ScoreMap = tuple[float, float]  # slope and offset on the logit

IDENTITY: ScoreMap = (1.0, 0.0)
_CENTRE = -2.0  # logit of a score of 0.12, about where right and wrong boxes mix; lines are compared there
_LOOSE = (10.0, 10.0)
_CLASS_PRIOR = (0.3, 1.0)  # how far slope and height of a class lie from those of all classes
_MIN_SLOPE = 0.05
_EDGE = 1e-6  # scores of 0 and 1 have no logit
_MAX_STEPS, _MAX_STEP, _CONVERGED = 50, 2.0, 1e-9


def map_scores(found: Detections, maps: Mapping[str, ScoreMap], classes: Sequence[str]) -> Detections:
    """Boxes with their scores mapped, best first.

    Args:
        found: Boxes of one image.
        maps: Slope and offset by class name; a class that is not named keeps its scores. None at all change nothing.
        classes: Class names by class id.

    >>> box = np.zeros((1, 4), np.float32)
    >>> found = Detections(box, np.array([0.5], np.float32), np.array([0]), 10, 10)
    >>> map_scores(found, {"a": (1.0, -2.0)}, ["a"]).score.round(3).tolist()
    [0.11900000274181366]
    """
    if not maps:
        return found
    slope, offset = np.array([maps.get(name, IDENTITY) for name in classes]).T
    logit = slope[found.class_id] * _logit(found.score.astype(np.float64)) + offset[found.class_id]
    mapped = replace(found, score=_share(logit).astype(np.float32))
    return mapped.select(np.argsort(-mapped.score, kind="stable"))


def fit_score_maps(matches: Sequence[Matches], classes: Sequence[str]) -> dict[str, ScoreMap]:
    """Lines that make the scores of all classes shares of right boxes.

    First one line is fitted to the boxes of all classes, then one for each class, which is drawn towards the first the
    more, the fewer boxes it has.

    Args:
        matches: The record of each class at one overlap, after suppression.
        classes: Class names.

    Returns:
        Slope and offset of every class, the slope above 0. A class without boxes gets the line of all; without any box
        that is the identity.
    """
    samples = [(_logit(record.score), record.hit[0].astype(np.float64)) for record in matches]
    every = [np.concatenate(column) for column in zip(*samples, strict=True)]
    shared = _fit(every[0], every[1], centre=IDENTITY, spread=_LOOSE)
    lines = (_fit(logit, right, centre=shared, spread=_CLASS_PRIOR) for logit, right in samples)
    return {name: (round(slope, 5), round(offset, 5)) for name, (slope, offset) in zip(classes, lines, strict=True)}


def _fit(logit: FloatArray, right: FloatArray, *, centre: ScoreMap, spread: tuple[float, float]) -> ScoreMap:
    """Logistic regression with one input by Newton's method.

    Args:
        logit: `(N,)` the input.
        right: `(N,)` 0 or 1.
        centre: The line that is most likely before any box is seen.
        spread: How far slope and height at `_CENTRE` lie from it, as standard deviations.

    Returns:
        Slope and offset. A line that falls, or nearly, is turned about its height at `_CENTRE` until it rises.
    """
    design = np.stack([logit - _CENTRE, np.ones_like(logit)], axis=1)
    start = np.array([centre[0], centre[1] + centre[0] * _CENTRE])
    penalty = np.diag(1 / np.square(spread))
    line = start
    for _ in range(_MAX_STEPS):
        share = _share(design @ line)
        gradient = design.T @ (share - right) + penalty @ (line - start)
        curvature = (design.T * (share * (1 - share))) @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        line = line - np.clip(step, -_MAX_STEP, _MAX_STEP)
        if np.abs(step).max() < _CONVERGED:
            break
    slope, height = max(float(line[0]), _MIN_SLOPE), float(line[1])
    return slope, height - slope * _CENTRE


def _logit(score: FloatArray) -> FloatArray:
    inside = np.clip(score, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def _share(logit: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logit)))
