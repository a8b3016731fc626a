"""`xray compare RUN RUN --split test`: the difference of two runs on the same patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.core.evaluation import DEFAULT_IOUS
from xray_chest_detection.core.intervals import EVALUATION_RESAMPLES
from xray_chest_detection.core.measures import parse_ious
from xray_chest_detection.detect.runs import open_trained_run
from xray_chest_detection.errors import UsageError


@dataclass(frozen=True)
class Options:
    """Compare two runs on the same images: the difference of every number, its interval and p-value.

    Attributes:
        first: Run folder of the one that was there before.
        second: Run folder of the one that may be better.
        split: The split; both runs must have the same images, patients, classes and true boxes in it.
        ious: Overlaps of average precision, each a number or a range as 0.5:0.95; 0.4, 0.5 and 0.5:0.95 always are.
        resamples: Resamples of the patients, the same for both; 0 leaves intervals and p-values out.
        out: Folder for the two files; the second run when not given.
        device: Torch device for the forward passes; chosen when not given.
    """

    first: Annotated[Path, tyro.conf.Positional]
    second: Annotated[Path, tyro.conf.Positional]
    split: Literal["test", "val", "train"] = "test"
    ious: tuple[str, ...] = DEFAULT_IOUS
    resamples: int = EVALUATION_RESAMPLES
    out: Path | None = None
    device: str | None = None


def main(argv: Sequence[str]) -> int:
    """Write `comparison-<first>-<second>-<split>.{json,md}` and print the page.

    Raises:
        UsageError: An option is out of range, or both runs are the same.
        XrayError: A run or its data cannot be used, or the two do not belong together.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray compare")
    if options.resamples < 0:
        raise UsageError(f"--resamples: {options.resamples} is less than 0")
    ious = parse_ious(options.ious)
    first, second = (open_trained_run(folder) for folder in (options.first, options.second))
    if first.folder.resolve() == second.folder.resolve():
        raise UsageError(f"{options.first} is given twice; give two runs")
    from xray_chest_detection.detect.compare import compare, write_comparison
    from xray_chest_detection.report.comparison import comparison_markdown

    started = perf_counter()
    comparison = compare(
        first,
        second,
        options.split,
        resamples=options.resamples,
        ious=ious,
        device=options.device,
        progress=partial(bar, title=options.split),
    )
    measured_in = perf_counter() - started
    markdown = comparison_markdown(comparison)
    written = write_comparison(options.out or second.folder, comparison, markdown)
    print(markdown)
    print(f"measured in {measured_in:.1f} s")
    print("wrote " + ", ".join(str(path) for path in written))
    return 0
