"""What a model does at every score threshold: sensitivity and false positives per image, with intervals."""

import numpy as np

from xray_chest_detection.core.intervals import percentile_interval
from xray_chest_detection.core.matching import Matches
from xray_chest_detection.core.model_card import CurvePoint, OperatingCurve
from xray_chest_detection.core.numbers import FloatArray, image_rows, ratio

CONFS = (np.arange(1, 100) / 100).round(2)
_DIGITS = 4


def operating_curve(
    matches: Matches, *, split: str, n_patients: int, weights: FloatArray | None = None
) -> OperatingCurve:
    """Sensitivity, false positives per image and precision when boxes of all classes are shown from one score.

    Args:
        matches: Every box after suppression, classes pooled; its first overlap is used.
        split: Name of the split.
        n_patients: Its patients.
        weights: `(R, I)` how often each image counts in each resample; None leaves the intervals out.

    Returns:
        Points at the scores 0.01, 0.02 ... 0.99. A box is shown at a score that is its own to float32, as in
        `DetectorSession.detect`.
    """
    rows = image_rows(len(matches.positives), weights)
    per_image = _shown_per_image(matches)
    found, wrong = rows @ per_image[1], rows @ per_image[0]
    positives = np.broadcast_to((rows @ matches.positives)[:, None], found.shape)
    images = np.broadcast_to(rows.sum(axis=1)[:, None], found.shape)
    columns = zip(CONFS, ratio(found, positives).T, ratio(wrong, images).T, ratio(found, found + wrong)[0], strict=True)
    return OperatingCurve(
        split=split,
        n_images=len(matches.positives),
        n_boxes=matches.n_positives,
        n_patients=n_patients,
        iou=float(matches.ious[0]),
        points=tuple(_point(float(conf), *values) for conf, *values in columns),
    )


def _shown_per_image(matches: Matches) -> FloatArray:
    """Boxes shown from each score, `(2, I, 99)`: the wrong ones, then the right ones."""
    reached = np.searchsorted(CONFS.astype(np.float32), matches.score.astype(np.float32), side="right")
    counts = np.zeros((2, len(matches.positives), len(CONFS) + 1))
    np.add.at(counts, (matches.hit[0].astype(np.int64), matches.image, reached), 1)
    return np.asarray(counts[:, :, :0:-1].cumsum(axis=2)[:, :, ::-1])


def _point(conf: float, sensitivity: FloatArray, false_positives: FloatArray, precision: float) -> CurvePoint:
    low, high = percentile_interval(sensitivity[1:])
    fewest, most = percentile_interval(false_positives[1:])
    values = {
        "sensitivity": sensitivity[0],
        "sensitivity_low": low,
        "sensitivity_high": high,
        "false_positives_per_image": false_positives[0],
        "false_positives_per_image_low": fewest,
        "false_positives_per_image_high": most,
        "precision": precision,
    }
    return CurvePoint(conf=conf, **{name: _rounded(value) for name, value in values.items()})


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), _DIGITS)
