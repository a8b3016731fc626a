"""`xray export RUN`: write a run's model with its card, or compare all formats it can be written in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.detect.runs import Run, open_trained_run
from xray_chest_detection.errors import UsageError

Form = Literal["fp32", "fp16", "int8", "openvino"]


@dataclass(frozen=True)
class Options:
    """Write a run's model with its card, after comparing it with the torch model on the validation split.

    Attributes:
        run: Run folder.
        out: Folder of the model and its card.
        name: Key of the model; the name of the run when not given.
        format: `fp32` is ONNX as it is; `fp16` is ONNX with weights in half the space (arithmetic stays float32);
            `int8` is ONNX that computes in INT8 up to the detection head, scaled on images of the validation split;
            `openvino` is OpenVINO's own format with weights in half the space.
        compare: Write no model; measure size, time and change of mAP50 of the formats below in one table, which is
            printed and written into the run folder as `formats.md` and `formats.json`.
        formats: The formats `--compare` measures.
        timed_runs: Films behind each time of `--compare`.
        force: Keep the model even when mAP50 changes by more than 0.01.
        measured_by: Run folder of a twin: the same recipe without the test patients. The card gets its thresholds,
            score maps and numbers, and says so; for weights that were trained on all films.
    """

    run: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("checkpoints")
    name: str | None = None
    format: Form = "fp16"
    compare: bool = False
    formats: tuple[Form, ...] = ("fp32", "fp16", "int8", "openvino")
    timed_runs: int = 30
    force: bool = False
    measured_by: Path | None = None


def main(argv: Sequence[str]) -> int:
    """Write the model and print how it compares, or print the table of all formats."""
    options = tyro.cli(Options, args=list(argv), prog="xray export")
    if options.timed_runs < 3:
        raise UsageError(f"--timed-runs: {options.timed_runs} is too few for a median; give at least 3")
    if not options.formats:
        raise UsageError("--formats: name at least one of fp32, fp16, int8, openvino")
    if options.compare and options.measured_by is not None:
        raise UsageError("--measured-by: says what a written card tells; --compare writes none")
    run = open_trained_run(options.run)
    return _compare(run, options) if options.compare else _export(run, options)


def _export(run: Run, options: Options) -> int:
    from xray_chest_detection.detect.export import export

    written = export(
        run,
        out=options.out,
        name=options.name,
        form=options.format,
        force=options.force,
        measured_by=None if options.measured_by is None else open_trained_run(options.measured_by),
        progress=partial(bar, title="val"),
    )
    parity = written.parity
    print(
        f"compared on {parity.n_images} validation images, {parity.n_boxes} boxes: "
        f"largest difference {parity.largest_box_px:.3f} px and {parity.largest_score:.5f} in score, "
        f"{parity.without_partner} boxes without partner; "
        f"mAP50 {parity.map50_torch:.4f} torch, {parity.map50_exported:.4f} exported"
    )
    if written.card.measured_on:
        print(f"thresholds and numbers are those of {options.measured_by}: {written.card.measured_on}")
    if not written.card.metrics:
        print(f"the card has no metrics: run `xray evaluate {options.run}` and export again")
    print(f"wrote {written.path} ({written.size_bytes / 1e6:.1f} MB, {options.format}) and its card")
    return 0


def _compare(run: Run, options: Options) -> int:
    from xray_chest_detection.detect.formats import compare_formats, write_comparison
    from xray_chest_detection.report.formats import formats_markdown

    forms = tuple(dict.fromkeys(options.formats))
    comparison = compare_formats(run, forms, timed_runs=options.timed_runs, progress=partial(bar, title="val"))
    markdown = formats_markdown(comparison)
    written = write_comparison(run, comparison, markdown)
    print(markdown)
    print(f"wrote {', '.join(path.name for path in written)} in {run.folder}")
    return 0
