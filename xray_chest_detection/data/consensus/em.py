"""Consensus that finds out how good each reader is, by expectation-maximisation.

Boxes are first sorted into clusters of one image and class with at most one box of each reader (`clusters`), after the
halves of findings that one reader split were put together (`halves`). Then, for reader r and class c:

    l[c]     true findings per image
    s[r,c]   sensitivity: chance that r draws a true finding
    w[r,c]   chance that r calls it c if he draws it; else he calls it d with chance q[c,d], the same for all readers
    f[r,c]   boxes per image that r draws where nothing is

True findings and boxes of nothing are Poisson processes, readers err independently of each other. Images with k
readers on which V voters drew a cluster of class c hold such clusters at the rates

    true     l[c] * product over voters of s[r,c] w[r,c] * product over silent readers of (1 - s[r,c])
    false    product over voters of f[r,c] * o[c]^(V - 1)

where o[c] is the chance that boxes of nothing overlap, as often as boxes of that class on different images do. A silent
reader thus votes against, and a cluster is true with probability true / (true + false). Findings that everybody missed
are in the likelihood too, as `l[c] * product of (1 - s[r,c])` per image, which is why images without a box must be
among the readings: they tell how seldom nothing is called something.

Where clusters of several classes overlap and no reader drew two of them, they may be one finding by several names. Of
the findings there at most one is then true, at the rate above with `(1 - w[r,c]) q[c,d]` for voters who called it d,
against the product of the rates of the clusters times the chance that two findings of these classes coincide.

E step: the probability of every hypothesis. M step: the parameters, each moved towards the mode of its posterior. The
logits of s and w and the logarithm of f are sums of effects of class and reader (`effects`), which is what readers with
few boxes and classes with few findings live on. No step lowers the logarithm of the posterior density. Last, the
readers' errors of location are estimated (`location`), and a box is the mean weighted by their precision.

With one reader per image nothing contradicts him: his probabilities are those of the priors.

Source: Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied
Statistics 28, here with an unknown number of findings instead of one answer per item.
"""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.consensus.clusters import Clusters, cluster_by_reader, clusters_of, consensus_of
from xray_chest_detection.data.consensus.effects import Effects, no_effects
from xray_chest_detection.data.consensus.halves import rejoin_halves
from xray_chest_detection.data.consensus.hypotheses import Hypotheses, hypotheses_of, unique_rows
from xray_chest_detection.data.consensus.location import edge_errors, likely_boxes
from xray_chest_detection.data.readings import BoolArray, Consensus, FloatArray, IntArray, Readings

MAX_ROUNDS = 300
TOLERANCE = 1e-7  # gain in log posterior, as a share of it, below which the estimation has converged

# Priors. Of ten findings a reader draws seven, names nineteen of twenty alike, and three of ten boxes are of nothing.
_SENSITIVITY, _RIGHT_NAME, _FALSE_SHARE = 0.7, 0.95, 0.3
# Standard deviations of the effects overall, of class, reader and cell, on the scales of logit and logarithm.
_SD_DRAWN, _SD_NAMED, _SD_FALSE = (0.7, 0.7, 0.7, 0.4), (1.0, 1.0, 1.0, 0.5), (0.7, 0.7, 0.7, 0.4)
_PRIOR_FINDINGS = 2.0


@dataclass(frozen=True, eq=False)
class ReaderModel:
    """What the estimation found out about the readers and the classes.

    Attributes:
        sensitivity: `(R, C)` chance that a reader draws a true finding.
        false_positives: `(R, C)` boxes of nothing per image read.
        right_name: `(R, C)` chance that a reader who draws a finding calls it by its class.
        wrong_name: `(C, C)` by what other class a finding (row) is called when it is not; rows sum to 1, or are 0
            where there is one class only.
        edge_sd: `(R,)` standard deviation of a reader's edges, as a share of the side of the box.
        prevalence: `(C,)` true findings per image.
        log_posterior: `(T,)` logarithm of the posterior density before each round, up to a constant; it never falls.
        converged: Whether the gain fell below `TOLERANCE` within `MAX_ROUNDS`.
    """

    sensitivity: FloatArray
    false_positives: FloatArray
    right_name: FloatArray
    wrong_name: FloatArray
    edge_sd: FloatArray
    prevalence: FloatArray
    log_posterior: FloatArray
    converged: bool


def fit_readers(readings: Readings, *, iou: float) -> ReaderModel:
    """Estimate the quality of all readers from what they drew on the same images.

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
    xyxy = likely_boxes(whole, clusters, fit.model.edge_sd)
    own = np.arange(len(clusters))
    places = clusters_of(whole, np.where(fit.place < 0, own, len(own) + fit.place)[clusters.label])
    of_place = np.zeros_like(xyxy)
    of_place[clusters.label] = likely_boxes(whole, places, fit.model.edge_sd)[places.label]
    xyxy = np.where(fit.is_renamed[:, None], of_place, xyxy)
    return consensus_of(whole, clusters, xyxy, kept=fit.probability >= min_probability, probability=fit.probability)


@dataclass(frozen=True, eq=False)
class _Fit:
    """The model, and per cluster `(K,)` its probability, its place, and whether its place is one finding."""

    model: ReaderModel
    probability: FloatArray
    place: IntArray
    is_renamed: BoolArray


@dataclass(frozen=True, eq=False)
class _Data:
    """The hypotheses and what is counted over images; cells are readers times classes, flat."""

    table: Hypotheses
    drawn: IntArray  # (E,) cell of the reader and the true class
    voted: BoolArray  # (E,)
    named: IntArray  # cell and name of entries with a vote
    false: IntArray  # cell of the reader and the name of votes in patterns
    false_row: IntArray  # their pattern
    alone: FloatArray  # (P,) clusters of each pattern that share their place with no other
    readers: FloatArray  # (S, R) sets of readers of one image
    images: FloatArray  # (S,) images read by each set
    typical_rate: FloatArray  # (C,) boxes per image read

    @property
    def shape(self) -> tuple[int, int]:
        """Readers and classes."""
        return self.readers.shape[1], len(self.typical_rate)


@dataclass(frozen=True, eq=False)
class _Parameters:
    drawn: Effects
    named: Effects
    false: Effects
    prevalence: FloatArray
    wrong_name: FloatArray


@dataclass(frozen=True, eq=False)
class _Expectation:
    """Outcome of an E step.

    Attributes:
        alone: `(P,)` probability that a cluster of a pattern is true, if it is not part of a joint finding.
        apart: `(Q,)` probability that the clusters of a place are not one finding.
        joint: `(H - P,)` probability of the joint hypotheses.
        missed: `(S, C)` chance that all readers of a set miss a finding.
        log_likelihood: Of the parameters the step was made with.
    """

    alone: FloatArray
    apart: FloatArray
    joint: FloatArray
    missed: FloatArray
    log_likelihood: float


def _fit(readings: Readings, clusters: Clusters, iou: float) -> _Fit:
    data = _data_of(readings, hypotheses_of(readings, clusters, iou))
    parameters = _start(data)
    history: list[float] = []
    converged = False
    while not converged and len(history) < MAX_ROUNDS:
        expected = _expect(data, parameters)
        history.append(expected.log_likelihood + _log_prior(data, parameters))
        converged = len(history) > 1 and history[-1] - history[-2] <= TOLERANCE * abs(history[-1])
        if not converged:
            parameters = _maximise(data, parameters, expected)
    probability, is_renamed = _probabilities(data, _expect(data, parameters, bounded=True))
    model = ReaderModel(
        sensitivity=parameters.drawn.value,
        false_positives=parameters.false.value,
        right_name=parameters.named.value,
        wrong_name=parameters.wrong_name,
        edge_sd=edge_errors(readings, clusters, probability),
        prevalence=parameters.prevalence,
        log_posterior=np.array(history),
        converged=converged,
    )
    return _Fit(model, probability, data.table.place, is_renamed)


def _data_of(readings: Readings, table: Hypotheses) -> _Data:
    n_classes = len(readings.classes)
    voted = table.name >= 0
    drawn = table.reader * n_classes + table.class_id[table.row]
    counted = voted & (table.row < table.n_patterns)
    number, first = unique_rows(readings.read.astype(np.int64))
    boxes_drawn = np.bincount(readings.class_id, minlength=n_classes)
    return _Data(
        table=table,
        drawn=drawn,
        voted=voted,
        named=(drawn * n_classes + table.name)[voted],
        false=(table.reader * n_classes + table.name)[counted],
        false_row=table.row[counted],
        alone=np.bincount(table.pattern[table.place < 0], minlength=table.n_patterns).astype(np.float64),
        readers=readings.read[first].astype(np.float64),
        images=np.bincount(number, minlength=len(first)).astype(np.float64),
        typical_rate=(boxes_drawn + 0.5) / max(int(readings.read.sum()), 1),
    )


def _start(data: _Data) -> _Parameters:
    n_readers, n_classes = data.shape
    ones = np.ones(n_classes)
    wrong_name = (1 - np.eye(n_classes)) / max(n_classes - 1, 1)
    return _Parameters(
        drawn=no_effects("logit", ones * _logit(_SENSITIVITY), n_readers, sd=_SD_DRAWN),
        named=no_effects("logit", ones * _logit(_RIGHT_NAME), n_readers, sd=_SD_NAMED),
        false=no_effects("log", np.log(_FALSE_SHARE * data.typical_rate), n_readers, sd=_SD_FALSE),
        prevalence=data.typical_rate,
        wrong_name=wrong_name,
    )


def _expect(data: _Data, parameters: _Parameters, *, bounded: bool = False) -> _Expectation:
    """The E step; if `bounded`, no reader is taken to be so bad that his vote would speak against a finding."""
    table, n_patterns, n_places = data.table, data.table.n_patterns, len(data.table.log_coincidence)
    log_true, log_false = _log_rates(data, parameters, bounded=bounded)
    log_any = np.logaddexp(log_true[:n_patterns], log_false)
    shared = table.place >= 0
    log_apart = np.bincount(table.place[shared], log_any[table.pattern[shared]], n_places) + table.log_coincidence
    place_of = table.place[shared]  # joint hypotheses are in the order of their clusters
    odds = np.exp(np.minimum(log_true[n_patterns:] - log_apart[place_of], 700))
    apart = 1 / (1 + np.bincount(place_of, odds, n_places))
    sensitivity = parameters.drawn.value
    missed = np.exp(data.readers @ np.log1p(-sensitivity))
    findings_seen = parameters.prevalence * (data.images[:, None] * (1 - missed))
    false_boxes = (data.images @ data.readers)[:, None] * parameters.false.value
    log_likelihood = data.alone @ log_any + (log_apart - np.log(apart)).sum() - findings_seen.sum() - false_boxes.sum()
    return _Expectation(
        alone=np.exp(log_true[:n_patterns] - log_any),
        apart=apart,
        joint=odds * apart[place_of],
        missed=missed,
        log_likelihood=float(log_likelihood),
    )


def _log_rates(data: _Data, parameters: _Parameters, *, bounded: bool) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the rates of the hypotheses, `(H,)`, and of the patterns being boxes of nothing, `(P,)`."""
    table, voted = data.table, data.voted
    sensitivity, right = parameters.drawn.value, parameters.named.value
    naming = (1 - right)[:, :, None] * parameters.wrong_name
    own = np.arange(len(data.typical_rate))
    naming[:, own, own] = right
    vote, silence = np.log(sensitivity).ravel(), np.log1p(-sensitivity).ravel()
    entry = np.where(voted, vote[data.drawn], silence[data.drawn])
    entry[voted] += np.log(naming.ravel()[data.named])
    log_true = np.log(parameters.prevalence)[table.class_id] + np.bincount(table.row, entry, len(table.class_id))
    log_false = np.log(parameters.false.value).ravel()[data.false]
    if bounded:
        voters = np.bincount(data.false_row, minlength=table.n_patterns)
        chance = table.log_chance / np.maximum(voters - 1, 1)
        limit = (vote - silence + np.log(right).ravel())[data.false] - chance[data.false_row]
        log_false = np.minimum(log_false, limit)
    return log_true, np.bincount(data.false_row, log_false, table.n_patterns) + table.log_chance


def _maximise(data: _Data, parameters: _Parameters, expected: _Expectation) -> _Parameters:
    table, voted, cells = data.table, data.voted, data.shape[0] * data.shape[1]
    shared = table.place >= 0
    clusters = data.alone + np.bincount(table.pattern[shared], expected.apart[table.place[shared]], table.n_patterns)
    findings = np.concatenate([clusters * expected.alone, expected.joint])
    weight = findings[table.row]
    unseen = data.images[:, None] * expected.missed * parameters.prevalence
    hits = np.bincount(data.drawn[voted], weight[voted], cells).reshape(data.shape)
    tries = np.bincount(data.drawn, weight, cells).reshape(data.shape) + data.readers.T @ unseen
    names = np.bincount(data.named, weight[voted], cells * data.shape[1]).reshape(*data.shape, -1)
    right = np.diagonal(names, axis1=1, axis2=2)
    nothing = np.bincount(data.false, (clusters * (1 - expected.alone))[data.false_row], cells).reshape(data.shape)
    read = np.broadcast_to((data.images @ data.readers)[:, None], data.shape)
    total = np.bincount(table.class_id, findings, data.shape[1]) + unseen.sum(axis=0)
    other = ~np.eye(data.shape[1], dtype=np.bool_)
    wrong = np.where(other, names.sum(axis=0) + _prior_names(data), 0)
    return _Parameters(
        drawn=parameters.drawn.improved(hits, tries),
        named=parameters.named.improved(right, hits),
        false=parameters.false.improved(nothing, read),
        prevalence=(total + _PRIOR_FINDINGS) / (data.images.sum() + _PRIOR_FINDINGS / data.typical_rate),
        wrong_name=wrong / np.maximum(wrong.sum(axis=1, keepdims=True), np.finfo(float).tiny),
    )


def _log_prior(data: _Data, parameters: _Parameters) -> float:
    """Logarithm of the prior density, up to a constant: Gamma for the prevalence, Dirichlet for the wrong names."""
    ratio = parameters.prevalence / data.typical_rate
    other = ~np.eye(data.shape[1], dtype=np.bool_)
    effects = parameters.drawn.log_prior() + parameters.named.log_prior() + parameters.false.log_prior()
    prevalence = _PRIOR_FINDINGS * float((np.log(ratio) - ratio).sum())
    return effects + prevalence + _prior_names(data) * float(np.log(parameters.wrong_name[other]).sum())


def _prior_names(data: _Data) -> float:
    """Wrong names of each kind seen before: one per class in all."""
    return 1 / max(data.shape[1] - 1, 1)


def _probabilities(data: _Data, expected: _Expectation) -> tuple[FloatArray, BoolArray]:
    """Per cluster the probability that it is a true finding, and whether it is so rather with its place than alone."""
    table = data.table
    shared = table.place >= 0
    probability = expected.alone[table.pattern]
    probability[shared] *= expected.apart[table.place[shared]]
    joint = np.zeros(len(probability))
    joint[shared] = expected.joint
    return np.minimum(probability + joint, 1), joint > probability


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
