"""The weighted mean of a model before and after training, which can do better on other films than either.

After Wortsman et al. 2022, Robust fine-tuning of zero-shot models (CVPR): a short training that begins at good weights
stays in their basin, and the mean of both lies in it, too.
"""

from pathlib import Path
from typing import Any

import torch

from xray_chest_detection.detect.predict import read_checkpoint
from xray_chest_detection.detect.weights import write_checkpoint
from xray_chest_detection.errors import ModelError


def write_blend(trained: Path, start: Path, out: Path, *, start_share: float) -> None:
    """Write the checkpoint `trained` with the weighted mean of its weights and those of the checkpoint `start`.

    What the last layers know of a class is averaged with what they knew of the class of that name; classes that
    `start` does not know stay as they were trained.

    Raises:
        DataError: The disk is full.
        ModelError: One of the two is damaged, or they are not of one architecture.
    """
    before = read_checkpoint(start)
    read_checkpoint(trained)
    content = torch.load(trained, map_location="cpu", weights_only=False)
    key = "ema" if content.get("ema") is not None else "model"
    state, old = content[key].state_dict(), before.state_dict()
    rows = _same_classes(content[key], before)
    for name, values in state.items():
        there = old.get(name)
        if there is None or there.shape[1:] != values.shape[1:] or (name not in rows and there.shape != values.shape):
            raise ModelError(
                f"{start}: another architecture than {trained}, no mean can be taken; set start_share to 0"
            )
        if not values.is_floating_point():
            continue
        new = values.double()
        mine, theirs = rows.get(name, (slice(None), slice(None)))
        new[mine] = (1 - start_share) * new[mine] + start_share * there.double()[theirs]
        state[name] = new.to(values.dtype)
    content[key].load_state_dict(state)
    write_checkpoint(content, out)


def _same_classes(trained: Any, before: Any) -> dict[str, tuple[list[int], list[int]]]:  # noqa: ANN401
    """Names of the parameters with a row per class, with the rows of equal class names in both models."""
    old = {name: row for row, name in before.names.items()}
    pairs = [(row, old[name]) for row, name in trained.names.items() if name in old]
    mine, theirs = [row for row, _ in pairs], [row for _, row in pairs]
    last = {id(values) for branch in trained.model[-1].cv3 for values in branch[-1].parameters()}
    return {name: (mine, theirs) for name, values in trained.named_parameters() if id(values) in last}
