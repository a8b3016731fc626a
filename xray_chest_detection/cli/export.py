"""`xray export RUN`: write a run's model as ONNX with its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.detect.runs import open_trained_run


@dataclass(frozen=True)
class Options:
    """Write a run's model as ONNX with its card, after comparing it with the torch model on the validation split.

    Attributes:
        run: Run folder.
        out: Folder of the model and its card.
        name: Key of the model; the name of the run when not given.
        precision: `fp16` stores the weights in half the space (arithmetic stays float32), `fp32` stores them as they
            are.
        force: Keep the model even when mAP50 changes by more than 0.01.
    """

    run: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("checkpoints")
    name: str | None = None
    precision: Literal["fp16", "fp32"] = "fp16"
    force: bool = False


def main(argv: Sequence[str]) -> int:
    """Write the two files and print how the exported model compares."""
    options = tyro.cli(Options, args=list(argv), prog="xray export")
    run = open_trained_run(options.run)
    from xray_chest_detection.detect.export import export

    written = export(
        run,
        out=options.out,
        name=options.name,
        precision=options.precision,
        force=options.force,
        progress=partial(bar, title="val"),
    )
    parity = written.parity
    print(
        f"compared on {parity.n_images} validation images, {parity.n_boxes} boxes: "
        f"largest difference {parity.largest_box_px:.3f} px and {parity.largest_score:.5f} in score, "
        f"{parity.without_partner} boxes without partner; "
        f"mAP50 {parity.map50_torch:.4f} torch, {parity.map50_onnx:.4f} ONNX"
    )
    if not written.card.metrics:
        print(f"the card has no metrics: run `xray evaluate {options.run}` and export again")
    print(f"wrote {written.path} ({written.size_bytes / 1e6:.1f} MB, {options.precision}) and its card")
    return 0
