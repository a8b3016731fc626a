"""What a smaller test split would have said: `python -m benchmarks.split_size [FOLDER] [--parts 2 5 10 20]`.

Takes the out-of-fold predictions of a cross-validation, deals the patients into parts at random, measures each part as
if it were the test split, and prints the means and standard deviations. The model and its answers stay the same, so
whatever changes with the number of parts comes from their size alone: average precision takes the best precision at
this recall or beyond, and where few boxes are found among few, chance makes that best one better.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xray_chest_detection.cli.progress import table
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.numbers import FloatArray
from xray_chest_detection.detect.evaluate import score_candidates
from xray_chest_detection.detect.out_of_fold import OutOfFold, read_out_of_fold
from xray_chest_detection.detect.thresholds import show

MEASURES = ("mAP50", "mAP40", "sensitivity at 1 false positives per image, IoU 0.4", "mean AUROC")
POINT = Thresholds(conf=0.25, iou=0.5)  # one suppression for all folds; the measures do not depend on the score
SPLITS = 20  # measured per number of parts, at least; so many parts as needed are dealt again


def main(argv: Sequence[str] | None = None) -> None:
    """Print one row per number of parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/cv/multi"), help="a cross-validation")
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    options = parser.parse_args(argv)
    predictions = read_out_of_fold(options.folder)
    rng = np.random.default_rng(0)
    print(table([row(predictions, deal(predictions.split.patient, parts, rng)) for parts in options.parts]))


def deal(patients: Sequence[str], parts: int, rng: np.random.Generator) -> FloatArray:
    """Image weights `(R, I)`, 1 in a part and 0 outside: every patient once in each deal, deals until R >= `SPLITS`.

    >>> deal(["a", "a", "b"], 2, np.random.default_rng(0))[:2].sum(axis=0).tolist()
    [1.0, 1.0, 1.0]
    """
    _, patient = np.unique(patients, return_inverse=True)
    weights = []
    for _ in range(-(-SPLITS // parts) if parts > 1 else 1):
        part = rng.permutation(patient.max() + 1)[patient] % parts
        weights += [part == number for number in range(parts)]
    return np.array(weights, np.float64)


def row(predictions: OutOfFold, weights: FloatArray) -> dict[str, object]:
    """Mean and standard deviation over the parts."""
    split = predictions.split
    shown = show(predictions.candidates, POINT, split.classes)
    scores = score_candidates(
        split, predictions.candidates, shown, POINT, weights=weights, labelled=predictions.labelled
    )
    found: dict[str, object] = {
        "images": f"{weights.sum(axis=1).mean():.0f}",
        "boxes": f"{weights[:, split.truth.image].sum(axis=1).mean():.0f}",
        "parts": len(weights),
    }
    for number in scores.numbers:
        if number.name in MEASURES:
            found[number.name] = f"{np.nanmean(number.values[1:]):.3f} (sd {np.nanstd(number.values[1:]):.3f})"
    return found


if __name__ == "__main__":
    main()
