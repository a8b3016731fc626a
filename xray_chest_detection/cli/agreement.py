"""`xray agreement SOURCE --out FOLDER`: how far the readers of a data set agree, and where they do not."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from xray_chest_detection.cli.progress import bar
from xray_chest_detection.config.consensus import ConsensusConfig, Rule
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.intervals import RESAMPLES as CEILING_RESAMPLES
from xray_chest_detection.core.manifest import Manifest, hash_inputs, versions_of, write_manifest
from xray_chest_detection.data.agreement import measure_agreement
from xray_chest_detection.data.disagreement import disagreement_table
from xray_chest_detection.data.folders import new_folder
from xray_chest_detection.data.human_ceiling import HumanCeiling, human_ceiling
from xray_chest_detection.data.reader_table import reader_rows
from xray_chest_detection.data.reading_source import ReadingSource, read_source
from xray_chest_detection.errors import ImageError
from xray_chest_detection.report.agreement import JSON_FILE, ReaderStudy, study_markdown, study_summary, write_study
from xray_chest_detection.report.agreement_figures import MIN_BOXES, draw_classes, draw_pairs, is_enough
from xray_chest_detection.report.contact_sheet import draw_disputed
from xray_chest_detection.report.reader_figure import draw_readers

PAGE_FILE, SHEET_FILE = "report.md", "most-disputed.png"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how far readers agree: boxes, presence, class by class and pair by pair.

    Attributes:
        source: Folder of tables with one reader a row (data_prep.vinbigdata), or VinBigData's train.csv(.gz).
        out: Folder to write; an older one of this command is replaced.
        scheme: Class scheme to rename, merge or leave out classes first.
        rule: How the other readers become one, against whom each reader is scored; see config/consensus.py.
        resamples: Resamples of the patients behind the intervals, at most 1000 for the human ceiling; 0 for none.
        seed: Seed of the resamples.
        films: Number of images on the contact sheet; 0 leaves it out.
    """

    source: Annotated[Path, tyro.conf.Positional]
    out: Path
    scheme: Path | None = None
    rule: Rule = "quorum"
    resamples: int = 2000
    seed: int = 0
    films: int = 12


def main(argv: Sequence[str]) -> int:
    """Write tables, figures and a page, and print the summary; 1 when the contact sheet could not be drawn.

    Raises:
        XrayError: The source, the scheme or the output cannot be used.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray agreement")
    problem = _usage_problem(options)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    scheme = read_scheme(options.scheme) if options.scheme else None
    source = read_source(options.source, scheme=scheme)
    agreement = measure_agreement(
        source.readings, patients=source.patients, resamples=options.resamples, seed=options.seed
    )
    title = options.source.name + (f", classes of {scheme.name}" if scheme else "")
    study = ReaderStudy(
        title, agreement, *reader_rows(source.readings), _ceiling(source, options), disagreement_table(source.readings)
    )
    with new_folder(options.out, marker=JSON_FILE) as folder:
        write_study(folder, study)
        figures = _draw_figures(study, folder)
        sheet_problem = _draw_sheet(source, study, folder / SHEET_FILE, options.films)
        write_text(folder / PAGE_FILE, study_markdown(study, [path.name for path in figures]))
        write_manifest(folder, _manifest(options, source))
    print(study_summary(study))
    print(f"\nwrote {options.out}")
    if sheet_problem:
        print(f"no contact sheet: {sheet_problem}", file=sys.stderr)
    return 1 if sheet_problem and source.films else 0


def _usage_problem(options: Options) -> str | None:
    for name in ("resamples", "seed", "films"):
        if getattr(options, name) < 0:
            return f"--{name}: {getattr(options, name)} is less than 0"
    return None


def _ceiling(source: ReadingSource, options: Options) -> HumanCeiling:
    others = int(source.readings.n_readers.max()) - 1
    config = ConsensusConfig(rule=options.rule, quorum=min(2, others))  # one other reader is his own quorum
    resamples = min(options.resamples, CEILING_RESAMPLES)
    return human_ceiling(source.readings, config, resamples=resamples, seed=options.seed)


def _draw_figures(study: ReaderStudy, folder: Path) -> list[Path]:
    figures = [draw_classes(study.agreement, folder / "classes.png")]
    if any(is_enough(row) for row in study.agreement.pairs):
        figures.append(draw_pairs(study.agreement, folder / "pairs.png"))
    if any(row.boxes >= MIN_BOXES for row in study.readers):
        figures.append(draw_readers(study.readers, folder / "readers.png"))
    return figures


def _draw_sheet(source: ReadingSource, study: ReaderStudy, path: Path, films: int) -> str | None:
    """Draw the contact sheet; why there is none, or None."""
    disputed = study.disputed[study.disputed["disagreement"] > 0].head(films)
    if films == 0:
        return None
    if not source.films:
        return "the table names no image files; prepare it with data_prep.vinbigdata and give the folder of tables"
    if disputed.empty:
        return None
    try:
        draw_disputed(source.readings, disputed, source.films, path, progress=partial(bar, title="contact sheet"))
    except ImageError as error:
        return str(error)
    return None


def _manifest(options: Options, source: ReadingSource) -> Manifest:
    scheme = [options.scheme] if options.scheme else []
    return Manifest(
        step="xray agreement",
        config={"rule": options.rule, "resamples": options.resamples},
        inputs=hash_inputs(*source.files, *scheme),
        counts={"images": len(source.readings.images), "boxes": len(source.readings)},
        seed=options.seed,
        versions=versions_of("numpy", "pandas"),
    )
