"""Whether the shipped files find the boxes of their checkpoints, through one letterbox and one suppression."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from xray_chest_detection.cli.progress import table
from xray_chest_detection.core import boxes
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.nms import nms
from xray_chest_detection.detect.predict import head_of, load_model
from xray_chest_detection.detect.runs import open_run
from xray_chest_detection.inference.decode import decode_head
from xray_chest_detection.inference.network import Runtime
from xray_chest_detection.inference.session import DetectorSession

SAME_IOU = 0.9
Pairs = Iterator[tuple[Detections, Detections]]


def compare_boxes(root: Path, images: Sequence[Path]) -> str:
    """A table of the models: boxes of both at the deployed threshold, how many agree, largest difference of scores.

    Without the checkpoints, onnxruntime is compared with OpenVINO in float32, and the first line says so.
    """
    rows = []
    for card in sorted((root / "checkpoints").glob("*.card.yaml")):
        session = DetectorSession(card, threads=1)
        run = root / "runs" / "detect" / session.card.name
        trained = (run / "config.yaml").is_file() and open_run(run).weights.is_file()
        pairs = _against_torch(session, run, images) if trained else _against(session, card, "openvino", images)
        rows.append(
            {"model": session.card.name, "against": "its checkpoint" if trained else "openvino", **_count(pairs)}
        )
    return "equal boxes on the sample films, at the thresholds of the cards\n" + table(rows)


def _against_torch(session: DetectorSession, run: Path, images: Sequence[Path]) -> Pairs:
    """The network alone: one view, scores as they come."""
    card = session.card
    model = load_model(open_run(run).weights, classes=card.classes, device="cpu")
    limits = card.thresholds
    for path in images:
        prepared = session.prepare(read_image(path).pixels)
        exported = session.views(prepared, floor=limits.conf)[0]
        head = head_of(model, prepared.squares[:1])[0]
        trained = decode_head(head, prepared.frames[0], floor=limits.conf)
        yield tuple(nms(one, conf=limits.conf, iou=limits.iou, agnostic=limits.agnostic) for one in (exported, trained))  # type: ignore[misc]


def _against(session: DetectorSession, card: Path, runtime: Runtime, images: Sequence[Path]) -> Pairs:
    other = DetectorSession(card, threads=1, runtime=runtime)
    for path in images:
        pixels = read_image(path).pixels
        yield session.detect(pixels), other.detect(pixels)


def _count(pairs: Pairs) -> dict[str, object]:
    counts, same, largest = [0, 0], 0, 0.0
    for ours, theirs in pairs:
        counts = [counts[0] + len(ours), counts[1] + len(theirs)]
        if not len(ours) or not len(theirs):
            continue
        alike = (boxes.iou(ours.xyxy, theirs.xyxy) >= SAME_IOU) & (ours.class_id[:, None] == theirs.class_id[None])
        same += int(alike.any(axis=1).sum())
        gaps = np.abs(ours.score[:, None] - theirs.score[None])
        largest = max(largest, float(np.where(alike, gaps, 0).max()))
    return {"boxes": counts[0], "of the other": counts[1], "same": same, "largest score gap": round(largest, 4)}
