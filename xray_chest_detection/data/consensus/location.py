"""How exactly each reader draws, and the most likely box behind several readers' boxes.

Every edge of a reader's box is the true edge plus a normal error whose standard deviation is a share `d[r]` of the
side of the box: width for the left and right edges, height for the others. Then

    box      = sum of box[r] / d[r]^2  /  sum of 1 / d[r]^2        over the readers of the cluster
    d[r]^2   = mean of (edge[r] - edge of the box)^2 / side^2  +  1 / sum of 1 / d^2

where the last term is the variance that the box itself still has, without which readers who decide the box would seem
too good. The two are taken in turn: expectation-maximisation with the true edges as hidden data.

Source: Dempster, Laird, Rubin 1977; the estimate is that of a random-effects model with unequal variances.
"""

import numpy as np

from xray_chest_detection.data.consensus.clusters import Clusters, sums
from xray_chest_detection.data.readings import FloatArray, Readings

# What is expected of a reader without boxes to compare, and how many edges that expectation is worth.
_TYPICAL_SD, _PRIOR_EDGES = 0.1, 20.0
_ROUNDS, _TOLERANCE = 30, 1e-3


def edge_errors(readings: Readings, clusters: Clusters, probability: FloatArray) -> FloatArray:
    """Standard deviation of each reader's edges, `(R,)`, as a share of the side of the box.

    Clusters of several readers count by their probability `(K,)`. Readers with few boxes are drawn towards all others.
    """
    side = np.tile(readings.xyxy[:, 2:] - readings.xyxy[:, :2], 2)
    relative = readings.xyxy / clusters.mean(side)[clusters.label]
    weight = (probability * (clusters.votes.sum(axis=1) > 1))[clusters.label]
    n_readers = len(readings.readers)
    edges = 4 * sums(readings.reader, weight, n_readers)
    variance = np.full(n_readers, _TYPICAL_SD**2)
    for _ in range(_ROUNDS):
        precision = 1 / variance[readings.reader]
        distance = ((relative - clusters.mean(relative, precision)[clusters.label]) ** 2).sum(axis=1)
        uncertain = 4 / clusters.sum(precision[:, None])[clusters.label, 0]
        squares = sums(readings.reader, weight * (distance + uncertain), n_readers)
        common = (squares.sum() + _PRIOR_EDGES * _TYPICAL_SD**2) / (edges.sum() + _PRIOR_EDGES)
        previous, variance = variance, (squares + _PRIOR_EDGES * common) / (edges + _PRIOR_EDGES)
        if np.allclose(variance, previous, rtol=_TOLERANCE, atol=0):
            break
    return np.asarray(np.sqrt(variance), np.float64)


def likely_boxes(readings: Readings, clusters: Clusters, edge_sd: FloatArray) -> FloatArray:
    """Means of the readers' boxes, `(K, 4)`, weighted by the inverse variance of their edges."""
    return clusters.mean(readings.xyxy, edge_sd[readings.reader] ** -2.0)
