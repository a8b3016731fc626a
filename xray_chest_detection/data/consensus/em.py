"""Consensus that finds out how good each reader is, by expectation-maximisation.

Boxes are sorted into clusters of one image and class with at most one box of each reader (`clusters`), after the parts
of findings that one reader split were put together (`halves`). Then, for reader r and class c:

    a[S]     share of images that have any finding, among those that the readers S read
    l[c]     true findings per such image
    s[r,c]   sensitivity: chance that r draws a true finding
    w[r,c]   chance that r calls it c if he draws it; else he calls it d with chance q[c,d], the same for all readers
    f[r,c]   boxes per image with findings that r draws where nothing is; g f[r,c], g <= 1, on images without

True findings and boxes of nothing are Poisson processes, and readers err independently of each other. On an image with
findings, clusters of class c that V of its readers drew come up at the rates

    true     l[c] * product over voters of s[r,c] w[r,c] * product over silent readers of (1 - s[r,c])
    false    product over voters of f[r,c] * o[c]^(V - 1)

where o[c] is the chance that boxes of nothing overlap: as often as boxes of that class on different images do. A silent
reader thus votes against, and a cluster is a finding with probability true / (true + false), times the probability that
the image has any. Findings that everybody missed are in the likelihood as `l[c] * product of (1 - s[r,c])` per image,
which is why images without a box must be among the readings.

Without g, VinBigData could not be explained: there, no image has boxes by some of its readers only, so that thousands
of empty images would prove readers who never err. Nor could it with one a for all: R11 to R17 read few images with a
finding and many without, and would look as if they missed nine findings of ten. The silence of such readers means
nothing, and what one of them drew alone would be likely.

Where clusters of several classes overlap and no reader drew two of them, they may be one finding by several names. Of
the findings there at most one is then true, at the rate above with `(1 - w[r,c]) q[c,d]` for voters who called it d,
against the product of the rates of the clusters times the chance that two findings of these classes coincide.

The E step gives every hypothesis its probability, the M step moves the parameters towards the mode of their posterior
(`estimation`). The logits of s and w and the logarithm of f are sums of effects of class and reader (`effects`): that
is what readers with few boxes and classes with few findings live on. No round lowers the posterior density. Last, the
readers' errors of location are estimated, and a box is the mean weighted by their precision (`location`).

With one reader per image nothing contradicts him: nothing is estimated, and every box is as likely as the priors say.

Source: Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
Statistics 28, here with an unknown number of findings instead of one answer per item.
"""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.consensus.clusters import Clusters, cluster_by_reader, clusters_of, consensus_of
from xray_chest_detection.data.consensus.estimation import Data, Parameters, data_of, expect, log_prior, maximise, start
from xray_chest_detection.data.consensus.halves import rejoin_halves
from xray_chest_detection.data.consensus.hypotheses import hypotheses_of
from xray_chest_detection.data.consensus.location import edge_errors, likely_boxes
from xray_chest_detection.data.readings import BoolArray, Consensus, FloatArray, IntArray, Readings

MAX_ROUNDS = 300
TOLERANCE = 1e-7  # gain in log posterior, as a share of it, below which the estimation has converged


@dataclass(frozen=True, eq=False)
class ReaderModel:
    """What the estimation found out about the readers and the classes.

    Attributes:
        sensitivity: `(R, C)` chance that a reader draws a true finding.
        false_positives: `(R, C)` boxes of nothing per image that the reader read.
        right_name: `(R, C)` chance that a reader who draws a finding calls it by its class.
        wrong_name: `(C, C)` by what other class a finding (row) is called when it is not called by its own; rows sum
            to 1, or to 0 where there is one class only.
        edge_sd: `(R,)` standard deviation of a reader's edges, as a share of the side of the box.
        affected: Share of the images that have any finding, all readers together.
        prevalence: `(C,)` true findings per image, all images counted.
        log_posterior: `(T,)` logarithm of the posterior density before each round, up to a constant; it never falls.
        converged: Whether the gain fell below `TOLERANCE` within `MAX_ROUNDS`.
    """

    sensitivity: FloatArray
    false_positives: FloatArray
    right_name: FloatArray
    wrong_name: FloatArray
    edge_sd: FloatArray
    affected: float
    prevalence: FloatArray
    log_posterior: FloatArray
    converged: bool


def fit_readers(readings: Readings, *, iou: float) -> ReaderModel:
    """Estimate the quality of all readers from what they drew on the same images.

    A reader or a class without boxes gets what the priors and the others suggest.

    Args:
        readings: Boxes of all readers. Images without a box belong here too.
        iou: Overlap from which boxes of two readers are one finding.
    """
    whole = rejoin_halves(readings, iou)
    return _fit(whole, cluster_by_reader(whole, iou), iou).model


def weigh_readers(readings: Readings, iou: float, min_probability: float) -> Consensus:
    """The clusters that are true findings with at least `min_probability`, as the most likely boxes.

    Votes are those of readers who called the finding by the class of the row. Readers who drew it by another name
    count in the probability and, where one finding by several names is the likelier explanation, in the box.
    """
    whole = rejoin_halves(readings, iou)
    clusters = cluster_by_reader(whole, iou)
    fit = _fit(whole, clusters, iou)
    own = np.arange(len(clusters))
    places = clusters_of(whole, np.where(fit.place < 0, own, len(own) + fit.place)[clusters.label])
    of_place = np.zeros((len(clusters), 4))
    of_place[clusters.label] = likely_boxes(whole, places, fit.model.edge_sd)[places.label]
    xyxy = np.where(fit.is_renamed[:, None], of_place, likely_boxes(whole, clusters, fit.model.edge_sd))
    return consensus_of(whole, clusters, xyxy, kept=fit.probability >= min_probability, probability=fit.probability)


@dataclass(frozen=True, eq=False)
class _Fit:
    """The model, and per cluster `(K,)` its probability, its place, and whether its place is rather one finding."""

    model: ReaderModel
    probability: FloatArray
    place: IntArray
    is_renamed: BoolArray


def _fit(readings: Readings, clusters: Clusters, iou: float) -> _Fit:
    data = data_of(readings, clusters, hypotheses_of(readings, clusters, iou))
    parameters = start(data)
    history: list[float] = []
    converged = False
    while not converged and len(history) < MAX_ROUNDS:
        expected = expect(data, parameters)
        history.append(expected.log_likelihood + log_prior(data, parameters))
        gained = history[-1] - history[-2] if len(history) > 1 else np.inf
        converged = not data.comparable or gained <= TOLERANCE * abs(history[-1])
        if not converged:
            parameters = maximise(data, parameters, expected)
    expected = expect(data, parameters, bounded=True)
    alone, joint = expected.of_clusters(data)
    probability = np.minimum(alone + joint, 1)
    affected = float(parameters.affected[data.reader_set].mean()) if len(data.reader_set) else data.drawn_on
    model = ReaderModel(
        sensitivity=parameters.drawn.value,
        false_positives=_false_per_image(data, parameters, expected.affected),
        right_name=parameters.named.value,
        wrong_name=parameters.wrong_name,
        edge_sd=edge_errors(readings, clusters, probability),
        affected=affected,
        prevalence=affected * parameters.prevalence,
        log_posterior=np.array(history),
        converged=converged,
    )
    return _Fit(model, probability, data.table.place, joint > alone)


def _false_per_image(data: Data, parameters: Parameters, affected: FloatArray) -> FloatArray:
    """Boxes of nothing per image read: fewer on images without findings, of which every reader saw his share."""
    on_images = data.per_set(affected + parameters.calm * (1 - affected)) @ data.readers
    share = on_images / np.maximum(data.per_set(np.ones(len(affected))) @ data.readers, 1)
    return np.asarray(parameters.false.value * share[:, None], np.float64)
