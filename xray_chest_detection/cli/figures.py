"""`xray figures RUN`: draw a run; `xray figures --tables DIR` or `--csv FILE`: draw what is in tables of boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.errors import UsageError

_OF_A_RUN = ("split", "checkpoints", "films", "device")


@dataclass(frozen=True)
class Options:
    """Draw the figures of a run, or of tables of boxes.

    A run: training curves, boxes of the data set, curves, confusion matrix and films. Tables: classes, boxes per image,
    shapes and sizes, places, and every pair of x, y, width and height, for each source.

    Attributes:
        run: Run folder.
        tables: Folders with `images.csv` and `annotations.csv`, in place of a run.
        csv: Raw tables, plain or gzipped, which need no image: BBox_List_2017.csv and Data_Entry_2017*.csv (NIH),
            train.csv and train_meta.csv (VinBigData).
        out: Folder of the figures; `figures` in the run folder when not given. Tables need it.
        split: The split the results of a run are drawn for; `test` when not given.
        checkpoints: Folder with deployed models; their answers are drawn beside the true boxes of a run.
        films: Number of films in the panels of a run; 6 when not given.
        device: Torch device, if a forward pass is needed.
    """

    run: Annotated[Path | None, tyro.conf.Positional] = None
    tables: tuple[Path, ...] = ()
    csv: tuple[Path, ...] = ()
    out: Path | None = None
    split: Literal["test", "val", "train"] | None = None
    checkpoints: Path | None = None
    films: int | None = None
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Draw the figures and print their names.

    Raises:
        UsageError: Neither a run nor tables are given, or both, or tables without a folder for the figures or with an
            option of a run.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray figures")
    of_tables = bool(options.tables or options.csv)
    if options.run is not None and not of_tables:
        written = _draw_run(options.run, options)
    elif options.run is None and of_tables:
        written = _draw_tables(options)
    else:
        raise UsageError("give a run folder, or tables of boxes with --tables or --csv, and not both")
    print("\n".join(str(path) for path in written))
    return 0


def _draw_tables(options: Options) -> list[Path]:
    from xray_chest_detection.data.box_sources import read_sources
    from xray_chest_detection.report.data_figures import draw_sources

    given = [name for name in _OF_A_RUN if getattr(options, name) is not None]
    if given:
        raise UsageError(f"--{given[0]}: only a run has it; leave it out with --tables and --csv")
    if options.out is None:
        raise UsageError("--out: give a folder for the figures of the tables")
    return draw_sources(read_sources(options.tables, options.csv), options.out)


def _draw_run(folder: Path, options: Options) -> list[Path]:
    from xray_chest_detection.data.yolo_read import read_labelled_split
    from xray_chest_detection.detect.evaluate import evaluate
    from xray_chest_detection.detect.runs import open_trained_run
    from xray_chest_detection.detect.tracking import epoch_rows
    from xray_chest_detection.inference.registry import Registry
    from xray_chest_detection.report.canvas import FOLDER
    from xray_chest_detection.report.figures import draw_evaluation, spread_images
    from xray_chest_detection.report.panels import draw_panels
    from xray_chest_detection.report.training_figures import draw_boxes, draw_training

    run = open_trained_run(folder)
    out = options.out or run.folder / FOLDER
    registry = Registry.load(options.checkpoints) if options.checkpoints else None
    written = [draw_boxes(read_labelled_split(run.config.data, "train"), out / "boxes-train.png")]
    epochs = epoch_rows(run.folder / "results.csv")
    if epochs:
        written.append(draw_training(epochs, out / "training.png", title=run.folder.name))
    split = options.split or "test"
    progress = partial(bar, title=split)
    evaluation = evaluate(run, split, resamples=0, device=options.device, progress=progress)
    written += draw_evaluation(evaluation, out)
    if registry is not None:
        evidence = evaluation.evidence.split
        images = spread_images(evidence, max(1, 6 if options.films is None else options.films))
        path = out / f"panels-{split}.png"
        written.append(draw_panels(evidence, registry, path, images=images, progress=partial(bar, title="panels")))
    return written
