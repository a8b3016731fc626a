"""How far an exported model is from the torch model, through the same letterbox and suppression."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xray_chest_detection.core import boxes, matching, metrics
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.nms import nms
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates, predict_view
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.inference.decode import FLOOR
from xray_chest_detection.inference.session import DetectorSession

COMPARED_FROM = 0.05  # boxes with lower scores are not compared one by one
MAX_MAP50_CHANGE = 0.01

Progress = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True)
class Parity:
    """How far the exported model is from the torch model on the validation split.

    Attributes:
        n_images: Number of images compared.
        n_boxes: Boxes of the torch model with a score of at least 0.05, after suppression.
        without_partner: Of these, boxes the exported model lacks.
        largest_box_px: Largest difference of a coordinate between partners, in pixels of the image.
        largest_score: Largest difference of scores between partners.
        map50_torch: mAP50 of the torch model.
        map50_exported: mAP50 of the exported model.
    """

    n_images: int
    n_boxes: int
    without_partner: int
    largest_box_px: float
    largest_score: float
    map50_torch: float
    map50_exported: float

    @property
    def map50_change(self) -> float:
        """What the export adds to mAP50; negative when it loses some."""
        return self.map50_exported - self.map50_torch

    @property
    def differs(self) -> bool:
        """Whether mAP50 changes by more than 0.01, up or down."""
        return abs(self.map50_change) > MAX_MAP50_CHANGE


def compare(run: Run, split: LabelledSplit, session: DetectorSession, *, progress: Progress | None = None) -> Parity:
    """Compare an exported network with the torch model, image by image.

    Networks are compared: the image as it is, before a mirrored view is fused or a score is mapped.
    """
    expected = predict_view(run, split, progress=progress)
    paths = progress(split.files, len(split.files)) if progress else split.files
    per_image = tuple(session.views(session.prepare(read_image(path).pixels))[0] for path in paths)
    got = Candidates(split.image_id, per_image)
    modes: dict[str, Any] = {"iou": session.card.thresholds.iou, "agnostic": session.card.thresholds.agnostic}
    count, lacking, largest_box, largest_score = 0, 0, 0.0, 0.0
    for first, second in zip(expected.per_image, got.per_image, strict=True):
        wanted = nms(first, conf=COMPARED_FROM, **modes)
        partner = _partners(wanted, nms(second, conf=COMPARED_FROM / 2, **modes))
        count += len(wanted)
        for row, other, other_score in partner:
            if other is None:
                lacking += 1
                continue
            largest_box = max(largest_box, float(np.abs(wanted.xyxy[row] - other).max()))
            largest_score = max(largest_score, abs(float(wanted.score[row]) - other_score))
    return Parity(
        n_images=len(split.files),
        n_boxes=count,
        without_partner=lacking,
        largest_box_px=largest_box,
        largest_score=largest_score,
        map50_torch=_map50(expected, split, **modes),
        map50_exported=_map50(got, split, **modes),
    )


def _partners(wanted: Detections, found: Detections) -> Iterator[tuple[int, np.ndarray[Any, Any] | None, float]]:
    """For each wanted box the box of the same class it overlaps most, if by at least a half, and its score."""
    overlaps = boxes.iou(wanted.xyxy.astype(np.float64), found.xyxy.astype(np.float64))
    overlaps[wanted.class_id[:, None] != found.class_id[None, :]] = 0
    for row in range(len(wanted)):
        best = int(overlaps[row].argmax()) if len(found) else -1
        if best < 0 or overlaps[row, best] < 0.5:
            yield row, None, 0.0
        else:
            yield row, found.xyxy[best], float(found.score[best])


def _map50(candidates: Candidates, split: LabelledSplit, *, iou: float, agnostic: bool) -> float:
    found = candidates.table(conf=FLOOR, iou=iou, agnostic=agnostic)
    per_class = matching.match_classes(split.truth, found, n_classes=len(split.classes))
    values = np.array([metrics.average_precision(matches)[0, 0] for matches in per_class])
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
