"""Measuring a run on one split with the thresholds chosen before.

Average precision and FROC use every box from score 0.001 up; the operating point uses the chosen thresholds. Intervals
come from a bootstrap by patient. The arithmetic is that of `core.evaluation`, which scores human readers too.
"""

from typing import Any

from xray_chest_detection.core.evaluation import score_boxes
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.intervals import RESAMPLES, patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import Candidates, Progress, predict_split, require_boxes
from xray_chest_detection.detect.results import Evaluation, Evidence
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import read_thresholds, show
from xray_chest_detection.inference.decode import FLOOR


def evaluate(
    run: Run,
    split_name: str = "test",
    *,
    thresholds: Thresholds | None = None,
    resamples: int = RESAMPLES,
    device: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a run on a split.

    Args:
        run: A run with weights.
        split_name: `test`; `val` for a look at what thresholds were chosen on.
        thresholds: The operating point; that of `xray tune-nms` when not given.
        resamples: Resamples of the patients for the intervals; 0 leaves them out.
        device: Torch device of the forward pass, if one is needed.
        progress: Wraps the images of the forward pass.

    Raises:
        DataError: The split is missing, damaged or has no boxes.
        ModelError: There are no thresholds, or the weights do not fit the data.
    """
    chosen = thresholds or read_thresholds(run)
    split = read_labelled_split(run.config.data, split_name)
    require_boxes(split, purpose="an evaluation")
    candidates = predict_split(run, split, device=device, progress=progress)
    return measure(
        run.folder.name, split, candidates, chosen, weights_sha256=sha256_of(run.weights), resamples=resamples
    )


def measure(
    name: str,
    split: LabelledSplit,
    candidates: Candidates,
    thresholds: Thresholds,
    *,
    weights_sha256: str = "",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """All numbers from candidates and true boxes; pure arithmetic.

    Marks of classes that are unknown on an image are left out after suppression: there they hide what the deployed
    model would hide. A class that is labelled on an image but was boxed by nobody is not unknown: its marks there are
    false alarms, as in published numbers.
    """
    modes: dict[str, Any] = {"iou": thresholds.iou, "agnostic": thresholds.agnostic}
    all_boxes = candidates.table(conf=FLOOR, **modes)
    shown = show(candidates, thresholds, split.classes)
    several = len(split.classes) > 1
    scores = score_boxes(
        split.truth,
        all_boxes,
        BoxTable.from_detections(shown),
        classes=split.classes,
        class_free=candidates.table(conf=FLOOR, iou=0.5, agnostic=True) if several else None,
        unknown=split.unknown,
        weights=patient_weights(split.patient, resamples=resamples, seed=seed) if resamples else None,
        split=split.name,
    )
    return Evaluation(
        run=name,
        split=split.name,
        n_images=len(split.image_id),
        n_patients=len(set(split.patient)),
        n_boxes=len(split.truth),
        thresholds=thresholds,
        weights_sha256=weights_sha256,
        metrics=scores.metrics,
        per_class=scores.per_class,
        resamples=resamples,
        evidence=Evidence(split, shown, scores.pr_curves, scores.froc, scores.confusion),
    )
