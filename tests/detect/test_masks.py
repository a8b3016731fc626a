"""The loss: nothing from unknown places, shares by weight, and otherwise the loss of ultralytics to the last bit."""

from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402

from xray_chest_detection.detect.masks import WEIGHT, anchor_weights, unknown_at, weigh_criterion  # noqa: E402
from xray_chest_detection.detect.regions import UNKNOWN  # noqa: E402

SIDE_PX, N_CLASSES = 64, 3
GRID = (8, 4, 2)  # cells a side at strides 8, 16, 32
N_ANCHORS = sum(cells**2 for cells in GRID)
LEFT_HALF = [2.0, 0, 0, 0, 1, 0]  # u = 2x, v = y
EVERYWHERE = [1.0, 0, 0, 0, 1, 0]


@cache
def network(architecture: str = "yolov8n.yaml") -> Any:
    model = DetectionModel(architecture, nc=N_CLASSES, verbose=False)
    model.args = get_cfg()
    return model


def criterion_of(*, weighed: bool, class_weights: Any = None) -> Any:
    model = network()
    model.class_weights, model.criterion = class_weights, None
    if weighed:
        weigh_criterion(model)
        return model.criterion
    return model.init_criterion()


def predictions(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.randn(2, 64, N_ANCHORS, generator=generator).requires_grad_()
    scores = (torch.randn(2, N_CLASSES, N_ANCHORS, generator=generator) - 2).requires_grad_()
    return {"boxes": boxes, "scores": scores, "feats": [torch.zeros(2, 1, cells, cells) for cells in GRID]}


def batch(**changes: Any) -> dict[str, Any]:
    """Two images; the first has boxes of class 0 (left) and 1 (right), the second one of class 2."""
    return {
        "img": torch.zeros(2, 3, SIDE_PX, SIDE_PX),
        "batch_idx": torch.tensor([0.0, 0, 1]),
        "cls": torch.tensor([[0.0], [1], [2]]),
        "bboxes": torch.tensor([[0.25, 0.5, 0.4, 0.5], [0.7, 0.5, 0.4, 0.6], [0.5, 0.5, 0.6, 0.6]]),
    } | changes


def terms(criterion: Any, of_batch: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Loss (box, class, DFL), gradients of scores `(B, A, C)` and of boxes `(B, A, 64)`."""
    preds = predictions()
    loss = criterion.loss(preds, of_batch)[0]
    loss.sum().backward()
    return loss.detach(), preds["scores"].grad.transpose(1, 2), preds["boxes"].grad.transpose(1, 2)


def assigned_classes(of_batch: dict[str, Any]) -> Any:
    """`(B, A)` class of the box each anchor is assigned to, -1 without."""
    (foreground, box, *_), *_ = criterion_of(weighed=False).get_assigned_targets_and_loss(predictions(), of_batch)
    table = torch.tensor([[0, 1], [2, -1]])
    return torch.where(foreground, table.gather(1, box.long()), -1)


def anchor_x() -> Any:
    return torch.cat([((torch.arange(cells) + 0.5) / cells).repeat(cells) for cells in GRID])


@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.5, 1.0, 1.5])], ids=["plain", "class balance"])
def test_gradient_is_zero_where_unknown_and_the_same_elsewhere(class_weights: Any) -> None:
    """Classes 0 and 1 are unknown in the left half of the first image, where a box of class 0 lies."""
    regions = torch.zeros(2, 2, 6 + N_CLASSES)
    regions[0, 0] = torch.tensor([*LEFT_HALF, 1, 1, 0])
    plain = terms(criterion_of(weighed=False, class_weights=class_weights), batch())
    masked = terms(criterion_of(weighed=True, class_weights=class_weights), batch(**{UNKNOWN: regions}))
    assigned = assigned_classes(batch())
    unknown = torch.zeros(2, N_ANCHORS, N_CLASSES, dtype=torch.bool)
    unknown[0, anchor_x() < 0.5, :2] = True
    positive = torch.nn.functional.one_hot(assigned + 1, N_CLASSES + 1)[..., 1:].bool()
    assert (unknown & positive).sum() > 3
    assert (unknown & ~positive).sum() > 50
    assert (masked[1][unknown & ~positive] == 0).all()
    assert (plain[1][unknown & ~positive] != 0).all()
    certain = ~unknown | positive
    assert torch.equal(masked[1][certain], plain[1][certain])
    assert torch.equal(masked[2], plain[2])
    assert torch.equal(masked[0][[0, 2]], plain[0][[0, 2]])
    assert masked[0][1] < plain[0][1]


@pytest.mark.parametrize(
    "of_batch", [batch(), batch(cls=torch.zeros(0, 1), bboxes=torch.zeros(0, 4), batch_idx=torch.zeros(0))]
)
def test_nothing_unknown_and_weights_of_one_change_no_bit(of_batch: dict[str, Any]) -> None:
    plain = terms(criterion_of(weighed=False), of_batch)
    side = {UNKNOWN: torch.zeros(2, 1, 6 + N_CLASSES), WEIGHT: torch.ones(len(of_batch["cls"]))}
    for extra in ({}, side, {UNKNOWN: torch.zeros(2, 0, 6 + N_CLASSES), WEIGHT: side[WEIGHT]}):
        weighed = terms(criterion_of(weighed=True), of_batch | extra)
        assert all(torch.equal(one, other) for one, other in zip(weighed, plain, strict=True))


def test_half_a_weight_halves_the_share_of_the_box() -> None:
    """The second box of the first image counts half: all its anchors' box terms, and the class terms of its class."""
    plain = terms(criterion_of(weighed=False), batch())
    half = terms(criterion_of(weighed=True), batch(**{WEIGHT: torch.tensor([1.0, 0.5, 1.0])}))
    assigned = assigned_classes(batch())
    doubtful = assigned == 1
    assert doubtful.sum() > 3
    assert torch.equal(half[2][doubtful], plain[2][doubtful] / 2)
    assert torch.equal(half[2][~doubtful], plain[2][~doubtful])
    assert torch.equal(half[1][doubtful][:, 1], plain[1][doubtful][:, 1] / 2)
    assert torch.equal(half[1][doubtful][:, [0, 2]], plain[1][doubtful][:, [0, 2]])
    assert torch.equal(half[1][~doubtful], plain[1][~doubtful])


def test_half_a_weight_for_the_only_box_halves_the_box_loss() -> None:
    one = batch(cls=torch.tensor([[1.0]]), bboxes=torch.tensor([[0.5, 0.5, 0.6, 0.6]]), batch_idx=torch.tensor([1.0]))
    plain, _, _ = terms(criterion_of(weighed=False), one)
    half, _, _ = terms(criterion_of(weighed=True), one | {WEIGHT: torch.tensor([0.5])})
    assert half[[0, 2]].tolist() == pytest.approx((plain[[0, 2]] / 2).tolist(), rel=1e-6)


def test_weights_of_images_without_boxes_between() -> None:
    """Boxes of images 0 and 2; nobody's weight slips to image 1."""
    foreground = torch.tensor([[True, False], [False, False], [True, True]])
    box = torch.tensor([[1, 0], [0, 0], [0, 1]])
    weights = anchor_weights(torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.0, 0, 2, 2]), foreground, box)
    assert torch.equal(weights, torch.tensor([[0.2, 1], [1, 1], [0.3, 0.4]]))


@pytest.mark.parametrize("architecture", ["yolov8n.yaml", "yolo26n.yaml"])
def test_image_that_says_nothing_teaches_no_class(architecture: str) -> None:
    """Heads without suppression have two losses: both are masked."""
    model = network(architecture)
    model.criterion = None
    weigh_criterion(model)
    regions = torch.tensor([[[*EVERYWHERE, 1, 1, 1]]]).repeat(2, 1, 1)
    empty = batch(cls=torch.zeros(0, 1), bboxes=torch.zeros(0, 4), batch_idx=torch.zeros(0))
    silent, _ = model.loss(empty | {UNKNOWN: regions})
    assert silent.sum() == 0
    assert model.loss(empty)[0].sum() > 0


def test_points_are_not_rounded_by_mixed_precision() -> None:
    """The loss runs in mixed precision, where a matrix product would move the rim of a part by pixels."""
    points = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    regions = torch.tensor([[[1.7, 0.31, -0.4, -0.31, 1.7, -0.2, 1.0]]])
    exact = unknown_at(points, regions)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(unknown_at(points, regions), exact)
    assert 0.1 < exact.float().mean() < 0.9
