"""What is known of the readers of a data set, as a page, as tables for programs, and as lines for the terminal."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from xray_chest_detection.core.files import atomic_path, write_text
from xray_chest_detection.data.agreement_results import ALL_CLASSES, ANY_FINDING, Agreement, Estimate, flat
from xray_chest_detection.data.human_ceiling import WEIGHTED_MEAN, CeilingRow, HumanCeiling
from xray_chest_detection.data.reader_table import ReaderClassRow, ReaderRow
from xray_chest_detection.report.agreement_figures import MIN_BOXES, MIN_IMAGES, is_enough
from xray_chest_detection.report.tables import markdown_table, with_interval

JSON_FILE = "agreement.json"
MAX_DISPUTED_SHOWN = 20
_RATES = ("match rate 0.4", "match rate 0.5", "mean IoU")
_CLASS_HEADER = ("class", "boxes", "drawn in", *_RATES, "agree on presence", "alpha of presence", "alpha of boxes")
_PAIR_HEADER = ("readers", "images", "boxes", *_RATES, "agree on presence", "kappa")
_READER_HEADER = ("reader", "images", "drawn on", "boxes", "sensitivity", "false positives", "right name", "edge error")
_CEILING_HEADER = ("images", "boxes of the others", "drawn", "AP 0.4", "AP 0.5", "sensitivity", "false positives")
_READERS_NOTE = (
    "Readers, as the reader-aware consensus estimates them on images on which somebody drew something: sensitivity, "
    "false positives per such image, chance to give a finding its name, error of the edges as a share of the side."
)


@dataclass(frozen=True, eq=False)
class ReaderStudy:
    """Everything that `xray agreement` finds out.

    Attributes:
        title: What was measured, for headings.
        agreement: The agreement of the readers.
        readers: The readers one by one.
        reader_classes: The readers class by class.
        ceiling: Each reader scored against the others.
        disputed: `data.disagreement.disagreement_table`.
    """

    title: str
    agreement: Agreement
    readers: Sequence[ReaderRow]
    reader_classes: Sequence[ReaderClassRow]
    ceiling: HumanCeiling
    disputed: pd.DataFrame


def study_markdown(study: ReaderStudy, figures: Iterable[str] = ()) -> str:
    """The whole study as a Markdown page; `figures` are names of files beside it."""
    parts = [
        f"# Agreement of readers: {study.title}",
        _intro(study.agreement),
        _warning(study.agreement),
        "## Classes",
        class_table(study.agreement),
        "## Pairs of readers, all classes",
        f"Pairs with at least {MIN_IMAGES} images and {MIN_BOXES} boxes; `pairs.csv` has all of them, class by class.",
        pair_table(study.agreement),
        "## Readers",
        _READERS_NOTE,
        reader_table(study.readers),
        "## Human ceiling",
        _ceiling_note(study.ceiling),
        ceiling_table(study.ceiling),
        ceiling_class_table(study.ceiling),
        "## Most disputed images",
        "In dispute: findings on which two readers of the image, drawn by lot, differ.",
        disputed_table(study.disputed[study.disputed["disagreement"] > 0].head(MAX_DISPUTED_SHOWN)),
        *(f"![{name}]({name})" for name in figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def study_summary(study: ReaderStudy) -> str:
    """The study for the terminal, without the pairs and the images."""
    parts = [
        _intro(study.agreement),
        _warning(study.agreement),
        class_table(study.agreement),
        _READERS_NOTE,
        reader_table(study.readers),
        _ceiling_note(study.ceiling),
        ceiling_table(study.ceiling),
    ]
    return "\n\n".join(part for part in parts if part)


def write_study(folder: Path, study: ReaderStudy) -> None:
    """Write `agreement.json`, and each of its tables and the images by dispute as CSV."""
    agreement = study.agreement
    tables = {
        "classes": [flat(row) for row in agreement.classes],
        "pairs": [flat(row) for row in agreement.pairs],
        "readers": [asdict(row) for row in study.readers],
        "readers_by_class": [asdict(row) for row in study.reader_classes],
        "human_ceiling": study.ceiling.to_rows(),
    }
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    for name, frame in (*frames.items(), ("disputed", study.disputed)):
        with atomic_path(folder / f"{name}.csv") as temporary:
            frame.to_csv(temporary, index=False)
    content = {
        "title": study.title,
        "n_images": agreement.images,
        "n_patients": agreement.patients,
        "n_readers": agreement.readers,
        "resamples": agreement.resamples,
        "human_ceiling_rule": study.ceiling.config.model_dump(mode="json"),
        "human_ceiling_resamples": study.ceiling.resamples,
        **tables,
    }
    write_text(folder / JSON_FILE, json.dumps(content, indent=1) + "\n")


def class_table(agreement: Agreement) -> str:
    """One row a class."""
    rows = [
        [
            *(row.class_name, row.boxes, _share(row.prevalence)),
            *(_text(value) for value in (row.match_rate_40, row.match_rate_50, row.mean_iou)),
            *(_share(row.observed), _text(row.presence_alpha), _text(row.box_alpha)),
        ]
        for row in agreement.classes
    ]
    return markdown_table(_CLASS_HEADER, rows)


def pair_table(agreement: Agreement) -> str:
    """One row a pair of readers with enough images and boxes, all classes together."""
    rows = [
        [
            *(f"{row.first} {row.second}", row.images, row.boxes_first + row.boxes_second),
            *(_text(value) for value in (row.match_rate_40, row.match_rate_50, row.mean_iou)),
            *(_share(row.observed), _text(row.kappa)),
        ]
        for row in agreement.pairs
        if row.class_name == ALL_CLASSES and is_enough(row)
    ]
    return markdown_table(_PAIR_HEADER, rows) if rows else "None."


def reader_table(readers: Sequence[ReaderRow]) -> str:
    """One row a reader."""
    rows = [
        [
            *(row.reader, row.images, row.images_drawn_on, row.boxes),
            *(row.sensitivity, row.false_positives, row.right_name, row.edge_error),
        ]
        for row in readers
    ]
    return markdown_table(_READER_HEADER, rows)


def ceiling_table(ceiling: HumanCeiling) -> str:
    """All classes together: one row a reader who can be compared, and the means."""
    chosen = [row for row in ceiling.rows if row.class_name == ALL_CLASSES and row.n_boxes]
    return markdown_table(("reader", *_CEILING_HEADER), [[row.reader, *_ceiling_cells(row)] for row in chosen])


def ceiling_class_table(ceiling: HumanCeiling) -> str:
    """The mean of the readers, weighted by their images with a finding, class by class."""
    chosen = [row for row in ceiling.rows if row.reader == WEIGHTED_MEAN and row.class_name != ALL_CLASSES]
    return markdown_table(
        (f"class, {WEIGHTED_MEAN}", *_CEILING_HEADER), [[row.class_name, *_ceiling_cells(row)] for row in chosen]
    )


def disputed_table(disputed: pd.DataFrame) -> str:
    """The given rows of the table of disputed images."""
    header = ["image", "in dispute", "findings", "boxes", "readers", "silent"]
    columns = ["image_id", "disagreement", "findings", "boxes", "readers", "silent"]
    rows = [
        [str(cell).replace("|", ", ") if isinstance(cell, str) else cell for cell in row]
        for row in disputed[columns].itertuples(index=False)
    ]
    return markdown_table(header, rows)


def _intro(agreement: Agreement) -> str:
    who = f"{agreement.readers} readers, {agreement.images} images that several of them read"
    if agreement.patients != agreement.images:
        who += f", {agreement.patients} patients"
    intervals = f" In brackets: 95 % intervals from {agreement.resamples} resamples." if agreement.resamples else ""
    return f"{who}.{intervals}"


def _warning(agreement: Agreement) -> str:
    row = next(row for row in agreement.classes if row.class_name == ANY_FINDING)
    if row.observed != 1 or row.prevalence in (None, 0, 1):
        return ""
    return (
        "Nowhere did some readers draw something and others nothing. Independent readers do not do that: the images "
        "were chosen by it or read again, so kappa and alpha of presence are higher than on images that nobody chose."
    )


def _ceiling_note(ceiling: HumanCeiling) -> str:
    rule = f"{ceiling.config.quorum} votes" if ceiling.config.rule == "quorum" else ceiling.config.rule
    return (
        f"Human ceiling: each reader scored as a model is, against the consensus of the others (rule: {rule}, IoU "
        f"{ceiling.config.iou:g}). Compare the sensitivity of a model at the same false positives per image; a reader "
        "has no scores, so his average precision is lower than that of a model as good as he is."
    )


def _ceiling_cells(row: CeilingRow) -> list[object]:
    estimates = (row.ap40, row.ap50, row.sensitivity, row.false_positives_per_image)
    return [row.n_images, row.n_boxes, row.n_drawn, *(with_interval(*value) for value in estimates)]


def _text(value: Estimate) -> str:
    return with_interval(*value)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
