"""Which images the readers disagree on most."""

import numpy as np
import pandas as pd

from xray_chest_detection.data.agreement import finding_counts
from xray_chest_detection.data.agreement_sums import drawn_boxes
from xray_chest_detection.data.readings import SEPARATOR, FloatArray, Readings


def disagreement_scores(readings: Readings) -> tuple[FloatArray, FloatArray]:
    """How much the readers of each image disagree.

    Returns:
        Score `(I,)`: the number of findings on which two readers of the image, drawn by lot, differ, because one drew
        nothing there or called it by another name; 0 for an image with one reader. And the findings `(I,)`.
    """
    image, counts = finding_counts(readings)
    readers = counts.sum(axis=1)
    pairs = np.maximum(readers * (readers - 1), 1)
    differ = np.where(readers >= 2, 1 - (counts * (counts - 1)).sum(axis=1) / pairs, 0.0)
    total = len(readings.images)
    findings = np.bincount(image, minlength=total).astype(np.float64)
    return np.bincount(image, differ, minlength=total).astype(np.float64), findings


def disagreement_table(readings: Readings) -> pd.DataFrame:
    """Images with several readers, most disputed first: one row an image.

    Columns: image_id, disagreement, findings, boxes; readers, silent (those who drew nothing) and classes (what was
    drawn), joined by `|`.
    """
    score, findings = disagreement_scores(readings)
    drawn = drawn_boxes(readings)
    by_reader, by_class = drawn.sum(axis=2) > 0, drawn.sum(axis=1) > 0
    names, classes = np.array(readings.readers, dtype=object), np.array(readings.classes, dtype=object)
    several = np.flatnonzero(readings.n_readers >= 2)
    order = several[np.lexsort((several, -score[several].round(9)))]
    return pd.DataFrame(
        {
            "image_id": [readings.images[row] for row in order],
            "disagreement": score[order],
            "findings": findings[order].astype(int),
            "boxes": drawn.sum(axis=(1, 2))[order].astype(int),
            "readers": [SEPARATOR.join(names[readings.read[row]]) for row in order],
            "silent": [SEPARATOR.join(names[readings.read[row] & ~by_reader[row]]) for row in order],
            "classes": [SEPARATOR.join(classes[by_class[row]]) for row in order],
        }
    )
