"""An evaluation as values and as files: JSON for programs, CSV for tables, Markdown for people."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.evaluation import ClassRow, Scores
from xray_chest_detection.core.files import sha256_of, write_text
from xray_chest_detection.core.model_card import Metric, OperatingCurve, Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.ceiling import Ceiling
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import Views, read_tuned
from xray_chest_detection.errors import ModelError


@dataclass(frozen=True, eq=False)
class Evidence:
    """What figures are drawn from.

    Attributes:
        split: Images and true boxes.
        shown: What the operating point shows on each image.
        scores: The curves.
    """

    split: LabelledSplit
    shown: tuple[Detections, ...]
    scores: Scores


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All numbers of a run on a split.

    Attributes:
        run: Name of the run.
        split: Name of the split.
        n_images: Images, box-free ones included.
        n_patients: Patients.
        n_boxes: True boxes.
        thresholds: The operating point.
        weights_sha256: Digest of the weights.
        metrics: Every number with its interval.
        per_class: One row per class.
        resamples: Number of resamples behind the intervals; 0 without intervals.
        views: How the deployed model looks at a film.
        operating_curve: What it does at every score threshold.
        ceiling: How human readers do; None where nothing is known of them.
        evidence: What figures are drawn from.
    """

    run: str
    split: str
    n_images: int
    n_patients: int
    n_boxes: int
    thresholds: Thresholds
    weights_sha256: str
    metrics: tuple[Metric, ...]
    per_class: tuple[ClassRow, ...]
    resamples: int
    views: Views
    operating_curve: OperatingCurve
    ceiling: Ceiling | None
    evidence: Evidence

    @cached_property
    def by_name(self) -> dict[str, Metric]:
        """The metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    def value(self, name: str) -> float | None:
        """The value of a metric; None when it is undefined or not among them."""
        return self.by_name[name].value if name in self.by_name else None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the evidence as plain values."""
        return {
            "run": self.run,
            "split": self.split,
            "n_images": self.n_images,
            "n_patients": self.n_patients,
            "n_boxes": self.n_boxes,
            "thresholds": self.thresholds.model_dump(mode="json"),
            "weights_sha256": self.weights_sha256,
            "resamples": self.resamples,
            "views": self.views.model_dump(mode="json"),
            "metrics": [metric.model_dump(mode="json") for metric in self.metrics],
            "per_class": [vars(row) for row in self.per_class],
            "froc": {
                name: [[round(float(x), 4), round(float(y), 4)] for x, y in zip(*curve, strict=True)]
                for name, curve in self.evidence.scores.froc.items()
            },
            "reliability": {
                f"IoU {iou:g}": {name: [vars(one) for one in bins] for name, bins in several.items()}
                for iou, several in self.evidence.scores.reliability.items()
            },
            "operating_curve": self.operating_curve.model_dump(mode="json"),
            "confusion": self.evidence.scores.confusion.tolist(),
            "human_ceiling": None if self.ceiling is None else self.ceiling.to_dict(),
        }


def evaluation_path(run: Run, split: str, suffix: str = ".json") -> Path:
    """Where an evaluation is kept."""
    return run.folder / f"evaluation-{split}{suffix}"


def write_evaluation(run: Run, evaluation: Evaluation, markdown: str) -> list[Path]:
    """Write the evaluation as JSON, as CSV (one row a metric) and as Markdown."""
    paths = [evaluation_path(run, evaluation.split, suffix) for suffix in (".json", ".csv", ".md")]
    write_text(paths[0], json.dumps(evaluation.to_dict(), indent=1) + "\n")
    write_text(paths[1], _csv(evaluation.metrics))
    write_text(paths[2], markdown)
    return paths


class Kept(NamedTuple):
    """What a card takes from a kept evaluation; nothing where there is none."""

    metrics: tuple[Metric, ...] = ()
    operating_curve: OperatingCurve | None = None


def read_kept(run: Run, split: str = "test") -> Kept:
    """The kept evaluation of the run's present weights, views and thresholds; nothing when there is no such one.

    Raises:
        ModelError: The file is damaged, or no thresholds were chosen yet.
    """
    path = evaluation_path(run, split)
    if not path.is_file():
        return Kept()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        thresholds = Thresholds.model_validate(content["thresholds"])
        views = Views.model_validate(content.get("views", {}))  # evaluations from before there were any have none
        curve = content.get("operating_curve")
        found = Kept(
            tuple(Metric.model_validate(row) for row in content["metrics"]),
            None if curve is None else OperatingCurve.model_validate(curve),
        )
        measured = content["weights_sha256"], thresholds, views
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: damaged; run `xray evaluate {run.folder} --split {split}` again") from None
    tuned = read_tuned(run)
    return found if measured == (sha256_of(run.weights), tuned.thresholds, tuned.views) else Kept()


def _csv(rows: Sequence[Metric]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Metric.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return text.getvalue()
