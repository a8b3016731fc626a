"""Files of the finding-free filter: the marks of runs and scores of a classifier it is chosen from, and the choice."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.numbers import FloatArray
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.normal_filter import Effect, FilterChoice, Marked
from xray_chest_detection.detect.out_of_fold import OutOfFold
from xray_chest_detection.detect.predict import Progress, require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import predict_deployed, read_thresholds
from xray_chest_detection.errors import DataError
from xray_chest_detection.inference.decode import FLOOR

FILTER_FILE = "normal_filter.yaml"


def marks_of_run(
    run: Run,
    split_name: str,
    *,
    scores: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Marked:
    """The marks of a run on a split, suppressed as `xray tune-nms` chose it.

    Raises:
        DataError: The split is missing, damaged or has no boxes, or the scores cannot be used.
        ModelError: There are no thresholds, or the weights do not fit the data.
    """
    point = read_thresholds(run)
    split = read_labelled_split(run.config.data, split_name)
    require_boxes(split, purpose="a finding-free filter")
    given = None if scores is None else read_scores(scores, split.image_id)
    candidates = predict_deployed(run, split, device=device, progress=progress)
    return Marked(split, candidates.suppressed(conf=FLOOR, iou=point.iou, agnostic=point.agnostic), given)


def marks_out_of_fold(predictions: OutOfFold, *, scores: Path | None = None) -> Marked:
    """The marks of a cross-validation, each image's by the model that did not see its patient.

    Raises:
        DataError: The scores cannot be used.
    """
    marks = predictions.shown(lambda found, point: found.suppressed(conf=FLOOR, iou=point.iou, agnostic=point.agnostic))
    given = None if scores is None else read_scores(scores, predictions.split.image_id)
    return Marked(predictions.split, marks, given)


def read_scores(path: Path, image_id: Sequence[str]) -> FloatArray:
    """How abnormal a classifier finds each image, `(I,)`, from a CSV table `image_id,score`; other images are ignored.

    Raises:
        DataError: The table cannot be read, lacks an image, has one twice, or a score is outside [0, 1].
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).strip()}); give a table image_id,score") from None
    absent = [name for name in ("image_id", "score") if name not in table.columns]
    if absent:
        raise DataError(f"{path}: no column '{absent[0]}'; give a table image_id,score")
    table = table[table["image_id"].isin(image_id)]
    scores = pd.to_numeric(table["score"], errors="coerce")
    wrong = table[~scores.between(0, 1)]
    if len(wrong):
        raise DataError(
            f"{path}: line {wrong.index[0] + 2}: score '{wrong['score'].iloc[0]}', expected a number in [0, 1]"
        )
    twice = table[table["image_id"].duplicated()]
    if len(twice):
        raise DataError(f"{path}: line {twice.index[0] + 2}: image '{twice['image_id'].iloc[0]}' stands twice")
    missing = sorted(set(image_id) - set(table["image_id"]))
    if missing:
        raise DataError(f"{path}: no score of image '{missing[0]}' ({len(missing)} such images); score all of them")
    of_image = dict(zip(table["image_id"], scores, strict=True))
    return np.array([of_image[name] for name in image_id], np.float64)


def write_choice(folder: Path, choice: FilterChoice, found: Sequence[Effect], markdown: str, *, on: str) -> list[Path]:
    """Write the filter as YAML, and what it did on the images named `on` as JSON and Markdown."""
    paths = [folder / FILTER_FILE, *(folder / f"normal_filter-{on}{suffix}" for suffix in (".json", ".md"))]
    numbers = {"helps": choice.helps, **choice.model_dump(mode="json"), "effects": [vars(one) for one in found]}
    write_text(paths[0], yaml.safe_dump(choice.model_dump(mode="json"), sort_keys=False))
    write_text(paths[1], json.dumps(numbers, indent=1) + "\n")
    write_text(paths[2], markdown)
    return paths
