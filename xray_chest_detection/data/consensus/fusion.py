"""Weighted boxes fusion of annotators, equal to ensemble-boxes and much faster.

What is reproduced is `ensemble_boxes.weighted_boxes_fusion` with one list per reader (silent readers as empty lists),
every score 1, no weights, `conf_type="avg"` and `skip_box_thr=0`. It is sequential: box after box joins the fused box
it overlaps most, if by more than the threshold, and moves it, or starts a new one. So the order decides. As all scores
tie, it is that of `argsort()[::-1]`: the last box of the last reader comes first. (numpy promises no order of ties. It
was seen to keep them for up to 59 boxes; no image of VinBigData has more of a class.) A reader may have several boxes
in one fused box.

Equal means: the same clusters, and the same fused boxes to the last bit if ensemble-boxes is given coordinates divided
by a power of two, which changes no digit. Divided by anything else, overlaps within rounding of the threshold may
fall on its other side.

Here all images take a step together: the first boxes of all images and classes, then the second ones, and so on.

Source: Solovyev, Wang, Gabruseva 2021, "Weighted boxes fusion", Image and Vision Computing 107; ensemble-boxes 1.0.9.
"""

import numpy as np

from xray_chest_detection.data.consensus.clusters import clusters_of, consensus_of, group_of
from xray_chest_detection.data.readings import Consensus, FloatArray, IntArray, Readings


def weighted_boxes_fusion(readings: Readings, iou: float) -> Consensus:
    """Fused boxes; their score in ensemble-boxes is min(boxes, readers) / readers of the image."""
    label, fused = fuse(readings, iou)
    clusters = clusters_of(readings, label)
    xyxy = np.zeros((len(clusters), 4))
    xyxy[clusters.label] = fused[label]
    return consensus_of(readings, clusters, xyxy)


def fuse(readings: Readings, iou: float) -> tuple[IntArray, FloatArray]:
    """The number of the fused box of each box, `(N,)`, and the fused boxes by number, some of them unused."""
    group = group_of(readings)
    sizes = np.bincount(group)
    biggest = int(sizes.max(initial=0))
    # Groups by falling size: those that still have a box at some step are the first so many.
    order = np.argsort(-sizes, kind="stable")
    last = np.cumsum(sizes)[order] - 1
    fused = np.zeros((biggest, len(sizes), 4))
    total = np.zeros((biggest, len(sizes), 4))
    members = np.zeros((biggest, len(sizes)))
    label = np.zeros(len(readings), np.int64)
    for step in range(biggest):
        active = int((sizes > step).sum())
        rows = last[:active] - step
        box = readings.xyxy[rows]
        target = _partner(fused[:step, :active], members[:step, :active], box, iou, new=step)
        groups = np.arange(active)
        members[target, groups] += 1
        # ensemble-boxes rounds the sum and the quotient to single precision, but keeps a lone box as it is.
        total[target, groups] = (total[target, groups] + box).astype(np.float32)
        mean = (total[target, groups] / members[target, groups, None]).astype(np.float32)
        fused[target, groups] = np.where(target[:, None] == step, box, mean)
        label[rows] = target * len(sizes) + groups
    return label, fused.reshape(-1, 4)


def _partner(fused: FloatArray, members: FloatArray, box: FloatArray, iou: float, *, new: int) -> IntArray:
    """For each group the fused box (first axis of `fused` `(S, G, 4)`) that takes its next box, or `new`."""
    if not len(fused):
        return np.full(len(box), new)
    sides = np.minimum(fused[..., 2:], box[:, 2:]) - np.maximum(fused[..., :2], box[:, :2])
    shared = np.clip(sides[..., 0], 0, None) * np.clip(sides[..., 1], 0, None)
    area = (fused[..., 2] - fused[..., 0]) * (fused[..., 3] - fused[..., 1])
    own = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    overlap = np.where(members > 0, shared / (area + own - shared), -1.0)
    best = overlap.argmax(axis=0)
    return np.where(overlap[best, np.arange(len(box))] > iou, best, new)
