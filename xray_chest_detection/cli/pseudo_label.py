"""`xray pseudo-label CARD --data DATASET --films TABLES --out TABLES`: guess the boxes of findings nobody located."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.data.build import GUESSES
from xray_chest_detection.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Write tables in which a model's best boxes stand for findings that the labels name and nobody located.

    A box counts in training as often as such boxes hit on the validation part of the data set; build the data set with
    `python -m data_prep.build_yolo configs/data/yolo_multi_self.yaml`.

    Attributes:
        card: Card of the model that guesses.
        data: A data set of the split the model was trained on.
        films: Folder of tables with further films, from `data_prep.nih --unboxed`.
        out: Folder of the new tables and their split.
        min_weight: Classes whose guesses would count less get none.
        iou: Overlap from which a guess hits.
        everyone: Guess on films of validation and test patients too; such tables can only be trained on as a whole
            (`data_prep.build_yolo --everything-but N`).
        threads: Threads of the model; every core when not given.
    """

    card: Annotated[Path, tyro.conf.Positional]
    data: Path = Path("datasets/yolo/multi")
    films: Path = Path("datasets/interim/nih_unboxed")
    out: Path = Path("datasets/interim/nih_self")
    min_weight: float = 0.35
    iou: float = 0.4
    everyone: bool = False
    threads: int | None = None


def main(argv: Sequence[str]) -> int:
    """Write the tables and print how often the model's boxes hit."""
    options = tyro.cli(Options, args=list(argv), prog="xray pseudo-label")
    for name, value in (("--min-weight", options.min_weight), ("--iou", options.iou)):
        if not 0 < value <= 1:
            raise UsageError(f"{name}: {value:g} is not above 0 and at most 1")
    from xray_chest_detection.detect.pseudo_label import pseudo_label

    done = pseudo_label(
        options.card,
        options.data,
        options.films,
        options.out,
        min_weight=options.min_weight,
        iou=options.iou,
        everyone=options.everyone,
        threads=options.threads,
        progress=partial(bar, title="films"),
    )
    if done.remark:
        print(f"note: {done.remark}")
    print(table([_row(name, counted) for name, counted in done.counts[GUESSES].items()]))
    print(f"{done.counts['further_images']} further films")
    print(f"wrote {options.out}" if done.written else f"{options.out} is up to date")
    return 0


def _row(name: str, counted: dict[str, float]) -> dict[str, object]:
    return {
        "class": name,
        "val films": counted["films"],
        "with a guess": counted["shown"],
        "hits": counted["hits"],
        "weight": f"{counted['weight']:.2f}" if counted["weight"] else "-",
        "unlocated": counted["unlocated"],
        "guessed": counted["guessed"],
    }
