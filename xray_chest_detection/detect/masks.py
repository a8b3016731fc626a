"""The training loss with classes that are unknown in parts of an image, and with weights of boxes.

The loss of ultralytics stays as it is, and so does what it is divided by; single terms of its sums are multiplied:

- by 0: the class term of an anchor that lies where the class is unknown, unless a box of the class is assigned to it;
- by the weight of the box: all terms of the anchors a box is assigned to (position, size, and the class of the box).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from ultralytics.utils.loss import v8DetectionLoss

from xray_chest_detection.detect.regions import UNKNOWN

WEIGHT = "box_weight"


def weigh_criterion(model: Any) -> None:  # noqa: ANN401 -- a model of ultralytics
    """Let a model's loss obey `unknown` and `box_weight` of its batches; without these keys it is what it was.

    The criterion is no part of a checkpoint: ultralytics leaves it out when it saves.
    """
    if getattr(model, "criterion", None) is None:
        model.criterion = model.init_criterion()
    for name in ("one2many", "one2one"):  # heads without suppression have two losses
        if hasattr(model.criterion, name):
            _Terms(getattr(model.criterion, name))
    if isinstance(model.criterion, v8DetectionLoss):
        _Terms(model.criterion)


def unknown_at(points: Tensor, regions: Tensor) -> Tensor:
    """Which classes are unknown at which point, `(B, A, C)`.

    Args:
        points: `(A, 2)` x and y, from 0 to 1 over the image.
        regions: `(B, R, 6 + C)` rows of `Regions.encoded`; rows of zeros change nothing.
    """
    x, y = points[:, 0], points[:, 1]
    a, b, c, d, e, f = regions[..., :6, None].unbind(2)  # no matrix product: mixed precision would round it
    u, v = a * x + b * y + c, d * x + e * y + f
    inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    return (inside[..., None] & regions[:, :, None, 6:].bool()).any(1)


def anchor_weights(weights: Tensor, batch_index: Tensor, foreground: Tensor, box_index: Tensor) -> Tensor:
    """The weight of the box each anchor is assigned to, 1 without a box; `(B, A)`.

    Args:
        weights: `(N,)` weights of the boxes of all images, image after image.
        batch_index: `(N,)` image of each box, ascending.
        foreground: `(B, A)` anchors with a box.
        box_index: `(B, A)` number of the box among those of its image.
    """
    counts = torch.bincount(batch_index.long(), minlength=len(foreground))
    first = counts.cumsum(0) - counts
    rows = torch.where(foreground, first[:, None] + box_index, len(weights))
    return torch.cat([weights, weights.new_ones(1)])[rows.long()]


def class_shares(target_scores: Tensor, unknown: Tensor | None, weights: Tensor | None) -> Tensor:
    """What each class term is multiplied by, `(B, A, C)`: a positive is certain even where its class is unknown.

    Args:
        target_scores: `(B, A, C)` targets of the class scores.
        unknown: `(B, A, C)` of `unknown_at`; None is nowhere.
        weights: `(B, A)` of `anchor_weights`; None is 1 everywhere.
    """
    positive = target_scores > 0
    shares = torch.ones_like(target_scores)
    if unknown is not None:
        shares = shares.masked_fill(unknown & ~positive, 0)
    return shares if weights is None else torch.where(positive, weights[..., None], shares)


class _Terms:
    """Stands before the assigner, the class loss and the box loss of one criterion."""

    def __init__(self, criterion: v8DetectionLoss) -> None:
        self._assigner, self._class_loss, self._box_loss = criterion.assigner, criterion.bce, criterion.bbox_loss
        self._total: Callable[..., Any] = criterion.get_assigned_targets_and_loss
        self._batch: dict[str, Any] = {}
        self._shares: Tensor | None = None
        self._weights: Tensor | None = None
        criterion.assigner, criterion.bce, criterion.bbox_loss = self._assign, self._weigh_classes, self._weigh_boxes
        criterion.get_assigned_targets_and_loss = self._with_batch

    def _with_batch(self, preds: dict[str, Tensor], batch: dict[str, Any], **options: Any) -> Any:  # noqa: ANN401
        self._batch = batch
        try:
            return self._total(preds, batch, **options)
        finally:
            self._batch, self._shares, self._weights = {}, None, None

    def _assign(self, scores: Tensor, boxes: Tensor, anchors_px: Tensor, *rest: Tensor, **options: Tensor) -> Any:  # noqa: ANN401
        assigned = self._assigner(scores, boxes, anchors_px, *rest, **options)
        _, _, targets, foreground, box_index = assigned
        regions, weights = self._batch.get(UNKNOWN), self._batch.get(WEIGHT)
        unknown = None
        if regions is not None and regions.shape[1]:
            height, width = self._batch["img"].shape[-2:]
            points = anchors_px.float() / torch.tensor([width, height], device=anchors_px.device)
            unknown = unknown_at(points, regions.to(targets.device))
        if weights is not None:
            image = self._batch["batch_idx"].to(targets.device)
            self._weights = anchor_weights(weights.to(targets.device), image, foreground, box_index)
        if unknown is not None or self._weights is not None:
            self._shares = class_shares(targets, unknown, self._weights)
        return assigned

    def _weigh_classes(self, scores: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self._class_loss(scores, targets)
        return loss if self._shares is None else loss * self._shares.to(loss.dtype)

    def _weigh_boxes(self, *arguments: Tensor) -> Any:  # noqa: ANN401
        if self._weights is None:
            return self._box_loss(*arguments)
        *before, target_scores, total, foreground, size, stride = arguments
        weighed = target_scores * self._weights[..., None]
        return self._box_loss(*before, weighed, total, foreground, size, stride)
