"""How far readers agree, class by class and pair by pair, with intervals from a bootstrap over the patients.

Every number is a ratio of sums over images, so that a resample costs a product of image weights and per-image sums.
Images that only one reader read say nothing about agreement and count nowhere here.

- Match rate: of the boxes that two readers drew on the images both read, the share that has a partner of the same
  class, 2 matched / (boxes of one + boxes of the other); partners are one to one (`box_pairs.matched_pairs`).
- Cohen's kappa and Krippendorff's alpha of presence: whether the reader drew the class on the image at all.
- Alpha of boxes: the units are findings (`box_pairs.findings_of`), a reader's value is the class he drew there, or
  "nothing", which is what a silent reader says of every finding. For one class the values are "this class" and
  "something else or nothing". Places on which nobody drew are no units, so readers whose boxes never meet come out
  below 0; readers who name common places by lot come out at 0. It is left out where only one class was drawn: its
  places alone do not tell how often readers would agree on nothing by chance.
- The row `all classes` pools the classes: boxes match within their class, presence is asked once an image and class.
- The row `any finding` takes all classes for one: boxes match whatever they are called, presence is "drew anything".

Source: Cohen 1960; Krippendorff 2018; Tschirschwitz et al. 2022, "A Dataset for Analysing Complex Document Layouts in
the Digital Humanities and its Evaluation with Krippendorff's Alpha". That paper takes alpha image by image and matches
reader by reader, whatever the class. Here the units of all images are taken together, because most images have too few
for an alpha of their own; boxes meet by falling overlap, which makes the order of the readers irrelevant; and boxes of
one class meet first, so that two findings on one place are not paired crosswise.
"""

from collections.abc import Sequence

import numpy as np

from xray_chest_detection.core.intervals import patient_weights
from xray_chest_detection.data import krippendorff
from xray_chest_detection.data.agreement_pairs import pair_rows
from xray_chest_detection.data.agreement_results import ALL_CLASSES, ANY_FINDING, Agreement, ClassAgreement
from xray_chest_detection.data.agreement_sums import LOW_IOU, drawn_boxes, estimate, match_sums, ratio, with_total
from xray_chest_detection.data.box_pairs import BoxPairs, findings_of, matched_pairs
from xray_chest_detection.data.readings import FloatArray, IntArray, Readings
from xray_chest_detection.errors import DataError

RESAMPLES = 2000


def measure_agreement(
    readings: Readings, *, patients: Sequence[str] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Agreement:
    """Measure the agreement of the readers.

    Args:
        readings: What everybody drew.
        patients: Patient of each image, `(I,)`; not given: every image is a patient of its own.
        resamples: Resamples of the patients for the intervals; 0 leaves them out.
        seed: Seed of the resamples.

    Raises:
        DataError: No image was read by two readers.
    """
    several = readings.n_readers >= 2
    if not several.any():
        count = len(readings.images)
        raise DataError(f"none of the {count} images was read by two readers: there is nothing to compare")
    owners = readings.images if patients is None else tuple(patients)
    weights = np.ones((1, len(owners)))
    if resamples:
        weights = np.concatenate([weights, patient_weights(owners, resamples=resamples, seed=seed)])
    blind = as_any_finding(readings)
    matches, blind_matches = (matched_pairs(table, iou=LOW_IOU) for table in (readings, blind))
    any_finding = _class_rows(blind, blind_matches, weights)[0]
    any_pairs = [row for row in pair_rows(blind, blind_matches, weights) if row.class_name == ANY_FINDING]
    return Agreement(
        images=int(several.sum()),
        patients=len({owner for owner, counts in zip(owners, several, strict=True) if counts}),
        readers=len(readings.readers),
        resamples=resamples,
        classes=(*_class_rows(readings, matches, weights), any_finding),
        pairs=(*pair_rows(readings, matches, weights), *any_pairs),
    )


def as_any_finding(readings: Readings) -> Readings:
    """The same boxes without their names: all of one class, `any finding`."""
    order = np.lexsort((*readings.xyxy.T[::-1], readings.reader, readings.image))
    columns = (readings.image[order], np.zeros(len(readings), np.int64), readings.reader[order], readings.xyxy[order])
    return Readings(readings.images, (ANY_FINDING,), readings.readers, *columns, readings.read)


def finding_counts(readings: Readings, *, iou: float = LOW_IOU) -> tuple[IntArray, FloatArray]:
    """The findings of all readers together, and how many readers called each of them what.

    Returns:
        Image of each finding, `(U,)`, and readers of that image who drew each class there or, last, nothing,
        `(U, C + 1)`.
    """
    finding = findings_of(readings, iou=iou)
    total = int(finding.max(initial=-1)) + 1
    counts = np.zeros((total, len(readings.classes) + 1))
    np.add.at(counts, (finding, readings.class_id), 1.0)
    image = np.zeros(total, np.int64)
    image[finding] = readings.image
    counts[:, -1] = readings.n_readers[image] - counts.sum(axis=1)
    return image, counts


def _class_rows(readings: Readings, matches: BoxPairs, weights: FloatArray) -> list[ClassAgreement]:
    """One row a class, and one for all classes."""
    n_readers = readings.n_readers
    drawn = drawn_boxes(readings) * (n_readers >= 2)[:, None, None]
    boxes, present = with_total(drawn.sum(axis=1)), (drawn > 0).sum(axis=1)
    ends = boxes * (n_readers - 1)[:, None]  # every box is one end of a pair with each other reader
    matched = match_sums(matches, readings, readings.image[matches.first], len(n_readers))
    ends, low, high, overlap = np.split(weights @ np.concatenate([ends, *matched], axis=1), 4, axis=1)
    presence = _presence(present, n_readers, weights)
    box_alphas = _box_alphas(readings, weights)
    return [
        ClassAgreement(
            class_name=name,
            boxes=int(boxes[:, column].sum()),
            prevalence=float(presence[column][1][0, 0] / presence[column][1][0].sum()),
            match_rate_40=estimate(ratio(2 * low[:, column], ends[:, column])),
            match_rate_50=estimate(ratio(2 * high[:, column], ends[:, column])),
            mean_iou=estimate(ratio(overlap[:, column], low[:, column])),
            observed=float(presence[column][0][0] / presence[column][1][0].sum()),
            presence_alpha=estimate(krippendorff.alpha(*presence[column])),
            box_alpha=estimate(box_alphas[column]),
        )
        for column, name in enumerate((*readings.classes, ALL_CLASSES))
    ]


def _presence(present: IntArray, n_readers: IntArray, weights: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Weighted sums of alpha, agreeing `(R,)` and pairable `(R, 2)`, of presence: per class and for all of them."""
    sums = []
    for yes in present.T:
        agreeing, pairable = krippendorff.unit_sums(np.stack([yes, n_readers - yes], axis=1).astype(np.float64))
        sums.append((weights @ agreeing, weights @ pairable))
    pooled = (np.sum([agreeing for agreeing, _ in sums], axis=0), np.sum([pairable for _, pairable in sums], axis=0))
    return [*sums, pooled]


def _box_alphas(readings: Readings, weights: FloatArray) -> list[FloatArray]:
    """Alpha of boxes `(R,)`: per class against everything else, and of all classes at once."""
    if len(np.unique(readings.class_id)) < 2:
        return [np.full(len(weights), np.nan)] * (len(readings.classes) + 1)
    image, counts = finding_counts(readings)
    readers = counts.sum(axis=1)
    tables = [*(np.stack([yes, readers - yes], axis=1) for yes in counts.T[:-1]), counts]
    alphas = []
    for table in tables:
        agreeing, pairable = krippendorff.unit_sums(table)
        per_image = np.zeros((weights.shape[1], 1 + table.shape[1]))
        np.add.at(per_image, image, np.column_stack([agreeing, pairable]))
        sums = weights @ per_image
        alphas.append(krippendorff.alpha(sums[:, 0], sums[:, 1:]))
    return alphas
