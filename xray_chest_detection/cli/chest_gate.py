"""`xray chest-gate`: fetch pictures, train the gate that knows a chest film from others, measure it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.chest_gate import ChestGateConfig


@dataclass(frozen=True)
class Options:
    """Train and measure the gate that says "this does not look like a chest X-ray".

    `fetch` downloads packages with pictures (0.9 GB), `train` trains and measures with every source left out once and
    writes the gate, its card and the report, `measure` scores the pictures of every source again with a written gate.

    Attributes:
        step: What to do.
        config: Where the pictures come from.
        pictures: Folder of the fetched pictures.
        out: The gate: `train` writes it, `measure` reads it; its card lies beside it.
        report: The report of `train`, as Markdown.
    """

    step: Annotated[Literal["fetch", "train", "measure"], tyro.conf.Positional]
    config: Path = Path("configs/chest_gate.yaml")
    pictures: Path = Path("datasets/raw/not_chest")
    out: Path = Path("checkpoints/chest_gate.npz")
    report: Path = Path("docs/chest_gate.md")


def main(argv: Sequence[str]) -> int:
    """Run one step."""
    options = tyro.cli(Options, args=list(argv), prog="xray chest-gate")
    config = read_config(ChestGateConfig, options.config)
    return {"fetch": _fetch, "train": _train, "measure": _measure}[options.step](config, options)


def _fetch(config: ChestGateConfig, options: Options) -> int:
    from xray_chest_detection.data.picture_archives import MARKER, fetch_pictures

    for source in config.other:
        folder = options.pictures / source.name
        if source.archives and not (folder / MARKER).is_file():
            print(f"{source.name}: {fetch_pictures(source, folder)} pictures in {folder}", flush=True)
    return 0


def _train(config: ChestGateConfig, options: Options) -> int:
    from xray_chest_detection.classify.gate_files import markdown, write_gate
    from xray_chest_detection.classify.gate_pictures import read_pictures
    from xray_chest_detection.classify.gate_training import train_gate
    from xray_chest_detection.core.files import write_text
    from xray_chest_detection.inference.chest_gate import ChestGate

    read = partial(read_pictures, fetched=options.pictures, seed=config.seed)
    sources = (config.films, *config.chest, *config.other)
    films, *rest = [read(source) for source in bar(sources, len(sources), title="pictures")]
    chest, other = rest[: len(config.chest)], rest[len(config.chest) :]
    write_gate(options.out, train_gate(config, films, chest, other), config)
    page = markdown(ChestGate.load(options.out).card)
    write_text(options.report, page)
    print(page)
    print(f"wrote {options.out}, its card and {options.report}")
    return 0


def _measure(config: ChestGateConfig, options: Options) -> int:
    from xray_chest_detection.classify.gate_pictures import read_pictures
    from xray_chest_detection.classify.gate_training import measure_pictures
    from xray_chest_detection.cli.progress import table
    from xray_chest_detection.inference.chest_gate import ChestGate

    gate = ChestGate.load(options.out)
    found = []
    sources = (config.films, *config.chest, *config.other)
    for source in bar(sources, len(sources), title="pictures"):
        pictures = read_pictures(source, fetched=options.pictures, seed=config.seed)
        found.append(measure_pictures(gate, pictures, config))
    print(table(found))
    return 0
