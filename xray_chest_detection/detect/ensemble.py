"""Several networks of one recipe as one model: the mean of what they answer at each place.

Trained on few films, networks that differ in nothing but their seed err on different films, and their mean errs less
than each (Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep ensembles).
All look at the same grid of places, so that the mean of boxes and scores at a place is a box and a score again, and
what comes after a network need not know that there are several.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xray_chest_detection.detect.weights import write_checkpoint

_MEMBERS = "members"


class Ensemble(torch.nn.Module):
    """The mean of detectors of the same classes, as a model of ultralytics as far as this package uses one."""

    def __init__(self, members: Sequence[Any]) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(members)
        self.names: Any = members[0].names
        self.yaml: Any = members[0].yaml

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Heads `(B, 4 + classes, places)` of images `(B, 3, S, S)`."""
        answers = [member(images) for member in self.members]
        return torch.stack([one[0] if isinstance(one, list | tuple) else one for one in answers]).mean(dim=0)

    def fuse(self, *, verbose: bool = False) -> "Ensemble":
        """Merge convolutions with their normalisation, for faster answers."""
        for member in self.members:
            member.fuse(verbose=verbose)  # type: ignore[operator]
        return self


def write_ensemble(checkpoints: Sequence[Path], out: Path) -> None:
    """Write checkpoints of ultralytics as one file; it is known by the name `runs.ENSEMBLE_FILE`.

    Raises:
        DataError: The disk is full.
    """
    write_checkpoint({_MEMBERS: [_load(path) for path in checkpoints]}, out)


def members_of(weights: Path) -> list[dict[str, Any]]:
    """The checkpoints in a file of `write_ensemble`; any error of torch, zip and pickle when it is damaged."""
    return list(_load(weights)[_MEMBERS])


def ensemble_of(members: Sequence[dict[str, Any]]) -> Ensemble:
    """The model of such checkpoints."""
    models = [one["ema"] if one.get("ema") is not None else one["model"] for one in members]
    return Ensemble([model.float().eval() for model in models])


def _load(path: Path) -> Any:  # noqa: ANN401 -- what the file holds
    return torch.load(path, map_location="cpu", weights_only=False)
