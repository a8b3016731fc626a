"""Measuring a run on one split with the thresholds chosen before.

Average precision and FROC use every box from score 0.001 up; the operating point uses the chosen thresholds. Intervals
come from a bootstrap by patient. The arithmetic is that of `core.evaluation`, which scores human readers too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.evaluation import Scores, score_boxes
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.intervals import EVALUATION_RESAMPLES, RESAMPLES, patient_weights
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.numbers import BoolArray, FloatArray
from xray_chest_detection.core.operating_curve import operating_curve
from xray_chest_detection.data.side_files import read_unknown
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.ceiling import Ceiling, ceiling_of_data, read_ceiling
from xray_chest_detection.detect.predict import Candidates, Progress, require_boxes
from xray_chest_detection.detect.results import Evaluation, Evidence
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import Views, predict_deployed, read_thresholds, show, views_of
from xray_chest_detection.inference.decode import FLOOR


def evaluate(
    run: Run,
    split_name: str = "test",
    *,
    thresholds: Thresholds | None = None,
    resamples: int = EVALUATION_RESAMPLES,
    ious: Mapping[str, tuple[float, ...]] | None = None,
    ceiling: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a run on a split.

    Args:
        run: A run with weights.
        split_name: `test`; `val` for a look at what thresholds were chosen on.
        thresholds: The operating point; that of `xray tune-nms` when not given.
        resamples: Resamples of the patients for the intervals; 0 leaves them out.
        ious: Overlaps of average precision, from `core.measures.parse_ious`; None for the usual ones.
        ceiling: A report of `xray agreement`; not given, the readers of the data set's own tables, if it has any.
        device: Torch device of the forward pass, if one is needed.
        progress: Wraps the images of the forward pass.

    Raises:
        DataError: The split is missing, damaged or has no boxes, or the report about readers cannot be used.
        ModelError: There are no thresholds, or the weights do not fit the data.
    """
    chosen = thresholds or read_thresholds(run)
    split = read_labelled_split(run.config.data, split_name)
    require_boxes(split, purpose="an evaluation")
    humans = (
        ceiling_of_data(run.config.data, split, resamples=min(resamples, RESAMPLES))
        if ceiling is None
        else read_ceiling(ceiling, split.classes)
    )
    candidates = predict_deployed(run, split, device=device, progress=progress)
    return measure(
        run.folder.name,
        split,
        candidates,
        chosen,
        weights_sha256=sha256_of(run.weights),
        resamples=resamples,
        ious=ious,
        labelled=labelled_without_box(run.config.data, split),
        ceiling=humans,
        views=views_of(run),
    )


def measure(
    name: str,
    split: LabelledSplit,
    candidates: Candidates,
    thresholds: Thresholds,
    *,
    weights_sha256: str = "",
    resamples: int = EVALUATION_RESAMPLES,
    seed: int = 0,
    ious: Mapping[str, tuple[float, ...]] | None = None,
    labelled: BoolArray | None = None,
    ceiling: Ceiling | None = None,
    views: Views | None = None,
) -> Evaluation:
    """All numbers from candidates and true boxes; pure arithmetic. `labelled` as in `core.evaluation.score_boxes`.

    `views` says what the candidates were made with.
    """
    weights = patient_weights(split.patient, resamples=resamples, seed=seed) if resamples else None
    n_patients = len(set(split.patient))
    shown = show(candidates, thresholds, split.classes)
    scores = score_candidates(
        split,
        candidates,
        shown,
        thresholds,
        weights=weights,
        ious=ious,
        labelled=labelled,
        reader_rates=ceiling.rates(split.classes) if ceiling else None,
    )
    return Evaluation(
        run=name,
        split=split.name,
        n_images=len(split.image_id),
        n_patients=n_patients,
        n_boxes=len(split.truth),
        thresholds=thresholds,
        weights_sha256=weights_sha256,
        metrics=scores.metrics,
        per_class=scores.per_class,
        resamples=resamples,
        views=views or Views(),
        operating_curve=operating_curve(scores.pooled, split=split.name, n_patients=n_patients, weights=weights),
        ceiling=ceiling,
        evidence=Evidence(split, shown, scores),
    )


def score_candidates(
    split: LabelledSplit,
    candidates: Candidates,
    shown: Sequence[Detections],
    thresholds: Thresholds,
    *,
    weights: FloatArray | None = None,
    ious: Mapping[str, tuple[float, ...]] | None = None,
    labelled: BoolArray | None = None,
    reader_rates: Mapping[str, float] | None = None,
) -> Scores:
    """The numbers of candidates, and of what is shown of them, under image weights.

    Marks of classes that are unknown on an image are left out after suppression: there they hide what the deployed
    model would hide. A class that is labelled on an image but was boxed by nobody is not unknown: its marks there are
    false alarms, as in published numbers.
    """
    modes: dict[str, Any] = {"iou": thresholds.iou, "agnostic": thresholds.agnostic}
    several = len(split.classes) > 1
    return score_boxes(
        split.truth,
        candidates.table(conf=FLOOR, **modes),
        BoxTable.from_detections(shown),
        classes=split.classes,
        class_free=candidates.table(conf=FLOOR, iou=0.5, agnostic=True) if several else None,
        unknown=split.unknown,
        labelled=labelled,
        image_area_px=np.array(split.sizes_px, np.float64).prod(axis=1),
        weights=weights,
        ious=ious,
        reader_rates=reader_rates,
        split=split.name,
    )


def labelled_without_box(data: Path, split: LabelledSplit) -> BoolArray:
    """`(I, C)` which classes an image is labelled with although it has no box of them, from the data set's side file.

    Raises:
        DataError: The side file is damaged.
    """
    not_located = read_unknown(data, split.classes, reasons=("not_located",))
    labelled = np.zeros(split.unknown.shape, np.bool_)
    for number, path in enumerate(split.files):
        labelled[number, not_located.get(path.relative_to(data).as_posix(), [])] = True
    return labelled
