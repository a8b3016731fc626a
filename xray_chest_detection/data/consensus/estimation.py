"""The parameters of the model in `em`, and the two steps that estimate them."""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.consensus.clusters import Clusters, sums
from xray_chest_detection.data.consensus.effects import Effects, no_effects
from xray_chest_detection.data.consensus.hypotheses import Hypotheses, unique_rows
from xray_chest_detection.data.readings import BoolArray, FloatArray, IntArray, Readings

# Priors. Of ten findings a reader draws seven, names nineteen of twenty alike, and three of ten boxes are of nothing.
_SENSITIVITY, _RIGHT_NAME, _FALSE_SHARE = 0.7, 0.95, 0.3
# Standard deviations of the effects overall, of class, reader and cell, on the scales of logit and logarithm. Readers
# are taken to differ more than classes do, whose few boxes could otherwise be explained by any mixture.
_SD_DRAWN, _SD_NAMED, _SD_FALSE = (0.5, 0.3, 0.7, 0.15), (1.0, 1.0, 1.0, 0.5), (0.5, 0.3, 0.7, 0.15)
_SD_FREQUENCY = (1.0, 0.3, 0.01, 0.01)  # no readers here: the last two only have to be small
# What the priors of the other parameters are worth: images that a set of readers read, boxes of nothing.
_PRIOR_IMAGES, _PRIOR_CALM = 2.0, 1.0
_NEARLY_ALL = 1 - 1e-6
_LARGEST_LOG_ODDS = 700.0  # exp of more overflows


@dataclass(frozen=True, eq=False)
class Data:
    """The hypotheses, and what does not change from round to round. A cell is reader times classes plus class.

    Attributes:
        table: The hypotheses about the clusters.
        image: `(K,)` image of each cluster.
        place_image: `(Q,)` image of each place.
        drawn: `(E,)` cell of an entry's reader and true class.
        voted: `(E,)` whether the reader drew it.
        named: Cell times classes plus name, of entries with a vote.
        false: Cell of the reader and the name of entries of patterns with a vote.
        false_row: Their pattern.
        voters: `(P,)` number of voters of each pattern.
        readers: `(S, R)` 1 or 0, the distinct sets of readers of one image.
        reader_set: `(I,)` which set read an image.
        typical_rate: `(C,)` boxes per image and reader.
        drawn_on: Share of images with a box.
        comparable: Whether any image was read by more than one reader.
    """

    table: Hypotheses
    image: IntArray
    place_image: IntArray
    drawn: IntArray
    voted: BoolArray
    named: IntArray
    false: IntArray
    false_row: IntArray
    voters: FloatArray
    readers: FloatArray
    reader_set: IntArray
    typical_rate: FloatArray
    drawn_on: float
    comparable: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Readers and classes."""
        return self.readers.shape[1], len(self.typical_rate)

    @property
    def shared(self) -> BoolArray:
        """Which clusters share their place with another, `(K,)`; joint hypotheses are in the order of these."""
        return self.table.place >= 0

    def per_set(self, weight: FloatArray) -> FloatArray:
        """Sum of weights of images `(I,)` over those that a set of readers read, `(S,)`."""
        return sums(self.reader_set, weight, len(self.readers))

    def per_image(self, of_clusters: FloatArray, of_places: FloatArray) -> FloatArray:
        """Sum of values of clusters `(K,)` and of places `(Q,)` over the images, `(I,)`."""
        n_images = len(self.reader_set)
        of_places = sums(self.place_image, of_places, n_images)
        return sums(self.image, of_clusters, n_images) + of_places

    def per_cell(self, cell: IntArray, weight: FloatArray) -> FloatArray:
        """Sum of weights over cells, `(R, C)`."""
        return sums(cell, weight, self.shape[0] * self.shape[1]).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Parameters:
    """What is estimated.

    Attributes:
        drawn: Chance that a reader draws a true finding.
        named: Chance that he calls it by its class.
        false: Boxes of nothing per image with findings.
        calm: The same on images without findings, as a share of that, at most 1: nobody invents more on normal images.
        affected: `(S,)` share of images with findings among those that a set of readers read.
        frequency: True findings per image with findings; its only row is `prevalence`.
        wrong_name: `(C, C)` chances of the wrong names of a class, by row.
    """

    drawn: Effects
    named: Effects
    false: Effects
    calm: float
    affected: FloatArray
    frequency: Effects
    wrong_name: FloatArray

    @property
    def prevalence(self) -> FloatArray:
        """True findings of each class per image with findings, `(C,)`."""
        return np.asarray(self.frequency.value[0], np.float64)

    @property
    def name(self) -> FloatArray:
        """Chance that a reader calls a finding of a class by a name, `(R, C, C)`."""
        right = self.named.value
        chance = (1 - right)[:, :, None] * self.wrong_name
        own = np.arange(len(self.wrong_name))
        chance[:, own, own] = right
        return chance


@dataclass(frozen=True, eq=False)
class Expectation:
    """Outcome of an E step. What follows the first line is under the condition that the image has findings.

    Attributes:
        affected: `(I,)` probability that an image has findings.
        alone: `(P,)` probability that a cluster of a pattern is true, if it is not part of a joint finding.
        apart: `(Q,)` probability that the clusters of a place are not one finding.
        joint: `(H - P,)` probability of the joint hypotheses.
        missed: `(S, C)` chance that all readers of a set miss a finding.
        log_likelihood: Of the parameters that the step was made with.
    """

    affected: FloatArray
    alone: FloatArray
    apart: FloatArray
    joint: FloatArray
    missed: FloatArray
    log_likelihood: float

    def of_clusters(self, data: Data) -> tuple[FloatArray, FloatArray]:
        """Probability of each cluster, `(K,)`, to be a finding by itself, and to be one together with its place."""
        separate, affected = self.separate(data), self.affected[data.image]
        joint = np.zeros(len(separate))
        joint[data.shared] = self.joint * affected[data.shared]
        return self.alone[data.table.pattern] * separate, joint

    def separate(self, data: Data) -> FloatArray:
        """Probability that a cluster, `(K,)`, is on an image with findings and not part of a joint one."""
        separate = self.affected[data.image]
        separate[data.shared] *= self.apart[data.table.place[data.shared]]
        return separate


def data_of(readings: Readings, clusters: Clusters, table: Hypotheses) -> Data:
    """What the estimation needs of some readings."""
    n_classes = len(readings.classes)
    voted = table.name >= 0
    drawn = table.reader * n_classes + table.class_id[table.row]
    counted = voted & (table.row < table.n_patterns)
    reader_set, first = unique_rows(readings.read.astype(np.int64))
    place_image = np.zeros(len(table.log_coincidence), np.int64)
    place_image[table.place[table.place >= 0]] = clusters.image[table.place >= 0]
    boxes_drawn = np.bincount(readings.class_id, minlength=n_classes)
    return Data(
        table=table,
        image=clusters.image,
        place_image=place_image,
        drawn=drawn,
        voted=voted,
        named=(drawn * n_classes + table.name)[voted],
        false=(table.reader * n_classes + table.name)[counted],
        false_row=table.row[counted],
        voters=np.bincount(table.row[counted], minlength=table.n_patterns).astype(np.float64),
        readers=readings.read[first].astype(np.float64),
        reader_set=reader_set,
        typical_rate=(boxes_drawn + 0.5) / max(int(readings.read.sum()), 1),
        drawn_on=(len(np.unique(readings.image)) + 1) / (len(readings.images) + 2),
        comparable=bool((readings.n_readers > 1).any()),
    )


def start(data: Data) -> Parameters:
    """The means of the priors; readers who cannot be compared are taken to have read images with findings only."""
    n_readers, n_classes = data.shape
    affected = 0.5 if data.comparable else _NEARLY_ALL
    ones = np.ones(n_classes)
    return Parameters(
        drawn=no_effects("logit", ones * _logit(_SENSITIVITY), n_readers, sd=_SD_DRAWN),
        named=no_effects("logit", ones * _logit(_RIGHT_NAME), n_readers, sd=_SD_NAMED),
        false=no_effects("log", np.log(_FALSE_SHARE * data.typical_rate), n_readers, sd=_SD_FALSE),
        calm=1.0,
        affected=np.full(len(data.readers), affected),
        frequency=no_effects("log", np.log(data.typical_rate / affected), 1, sd=_SD_FREQUENCY),
        wrong_name=_other_classes(data) / max(n_classes - 1, 1),
    )


def expect(data: Data, parameters: Parameters, *, bounded: bool = False) -> Expectation:
    """The E step; if `bounded`, no reader is taken to be so bad that his vote would speak against a finding."""
    table, n_patterns, n_places = data.table, data.table.n_patterns, len(data.table.log_coincidence)
    log_true, log_false = _log_rates(data, parameters, bounded=bounded)
    log_any = np.logaddexp(log_true[:n_patterns], log_false)
    place = table.place[data.shared]
    log_apart = sums(place, log_any[table.pattern[data.shared]], n_places) + table.log_coincidence
    odds = np.exp(np.minimum(log_true[n_patterns:] - log_apart[place], _LARGEST_LOG_ODDS))
    apart = 1 / (1 + sums(place, odds, n_places))
    missed = np.exp(data.readers @ np.log1p(-parameters.drawn.value))
    expected_seen = ((1 - missed) @ parameters.prevalence)[data.reader_set]
    expected_false = (data.readers @ parameters.false.value.sum(axis=1))[data.reader_set]
    log_some = data.per_image(np.where(data.shared, 0, log_any[table.pattern]), log_apart - np.log(apart))
    log_some += np.log(parameters.affected)[data.reader_set] - expected_seen - expected_false
    calm_false = log_false + data.voters * np.log(parameters.calm)
    log_none = data.per_image(calm_false[table.pattern], table.log_coincidence)
    log_none += np.log1p(-parameters.affected)[data.reader_set] - parameters.calm * expected_false
    log_image = np.logaddexp(log_some, log_none)
    return Expectation(
        affected=np.exp(log_some - log_image),
        alone=np.exp(log_true[:n_patterns] - log_any),
        apart=apart,
        joint=odds * apart[place],
        missed=missed,
        log_likelihood=float(log_image.sum()),
    )


def maximise(data: Data, parameters: Parameters, expected: Expectation) -> Parameters:
    """The M step; what has no closed form takes one step towards its mode."""
    table, n_patterns = data.table, data.table.n_patterns
    separate, affected = expected.separate(data), expected.affected[data.image]
    clusters = sums(table.pattern, separate, n_patterns)
    findings = np.concatenate([clusters * expected.alone, expected.joint * affected[data.shared]])
    calm_false = sums(table.pattern, 1 - affected, n_patterns)
    false = calm_false + clusters * (1 - expected.alone)
    images, calm_images = data.per_set(expected.affected), data.per_set(1 - expected.affected)
    unseen = images[:, None] * expected.missed * parameters.prevalence
    weight = findings[table.row]
    hits = data.per_cell(data.drawn[data.voted], weight[data.voted])
    tries = data.per_cell(data.drawn, weight) + data.readers.T @ unseen
    names = sums(data.named, weight[data.voted], hits.size * data.shape[1]).reshape(*data.shape, data.shape[1])
    exposure = (images + parameters.calm * calm_images) @ data.readers
    false_effects = parameters.false.improved(
        data.per_cell(data.false, false[data.false_row]), np.broadcast_to(exposure[:, None], data.shape)
    )
    calm_expected = calm_images @ data.readers @ false_effects.value.sum(axis=1)
    found = sums(table.class_id, findings, data.shape[1]) + unseen.sum(axis=0)
    wrong = _other_classes(data) * (names.sum(axis=0) + _prior_names(data))
    return Parameters(
        drawn=parameters.drawn.improved(hits, tries),
        named=parameters.named.improved(np.diagonal(names, axis1=1, axis2=2), hits),
        false=false_effects,
        calm=min(float((calm_false @ data.voters + _PRIOR_CALM) / (calm_expected + _PRIOR_CALM)), 1.0),
        affected=(images + _PRIOR_IMAGES * data.drawn_on) / (images + calm_images + _PRIOR_IMAGES),
        frequency=parameters.frequency.improved(found[None, :], np.full((1, data.shape[1]), images.sum())),
        wrong_name=wrong / np.maximum(wrong.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny),
    )


def log_prior(data: Data, parameters: Parameters) -> float:
    """Logarithm of the prior density, up to a constant.

    Normal for the effects, Gamma for calm, Beta for the affected shares, Dirichlet for the wrong names.
    """
    affected, calm = parameters.affected, parameters.calm
    named = parameters.wrong_name[_other_classes(data) > 0]
    return (
        parameters.drawn.log_prior()
        + parameters.named.log_prior()
        + parameters.false.log_prior()
        + parameters.frequency.log_prior()
        + _PRIOR_IMAGES * float((data.drawn_on * np.log(affected) + (1 - data.drawn_on) * np.log1p(-affected)).sum())
        + _PRIOR_CALM * float(np.log(calm) - calm)
        + _prior_names(data) * float(np.log(named).sum())
    )


def _log_rates(data: Data, parameters: Parameters, *, bounded: bool) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the rates of the hypotheses, `(H,)`, and of the patterns being boxes of nothing, `(P,)`."""
    table, voted = data.table, data.voted
    sensitivity = parameters.drawn.value
    vote, silence = np.log(sensitivity).ravel(), np.log1p(-sensitivity).ravel()
    entry = np.where(voted, vote[data.drawn], silence[data.drawn])
    entry[voted] += np.log(parameters.name.ravel()[data.named])
    log_true = np.log(parameters.prevalence)[table.class_id] + sums(table.row, entry, len(table.class_id))
    log_false = np.log(parameters.false.value).ravel()[data.false]
    if bounded:
        chance = (table.log_chance / np.maximum(data.voters - 1, 1))[data.false_row]
        against_silence = vote - silence + np.log(parameters.named.value).ravel()
        log_false = np.minimum(log_false, against_silence[data.false] - chance)
    return log_true, sums(data.false_row, log_false, table.n_patterns) + table.log_chance


def _prior_names(data: Data) -> float:
    """Wrong names of each kind seen before: one per class in all."""
    return 1 / max(data.shape[1] - 1, 1)


def _other_classes(data: Data) -> FloatArray:
    """`(C, C)`, 1 for the names that are wrong."""
    return 1 - np.eye(data.shape[1])


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))
