"""What is known of the readers of a data set, as a page, as tables for programs, and as lines for the terminal."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from xray_chest_detection.core.files import atomic_path, write_text
from xray_chest_detection.data.agreement_results import ALL_CLASSES, ANY_FINDING, Agreement, Estimate, flat
from xray_chest_detection.report.agreement_figures import MIN_BOXES, MIN_IMAGES, is_enough
from xray_chest_detection.report.tables import markdown_table, with_interval

JSON_FILE = "agreement.json"
MAX_DISPUTED_SHOWN = 20
_RATES = ("match rate 0.4", "match rate 0.5", "mean IoU")
_CLASS_HEADER = ("class", "boxes", "drawn in", *_RATES, "agree on presence", "alpha of presence", "alpha of boxes")
_PAIR_HEADER = ("readers", "images", "boxes", *_RATES, "agree on presence", "kappa")


@dataclass(frozen=True, eq=False)
class ReaderStudy:
    """Everything that `xray agreement` finds out.

    Attributes:
        title: What was measured, for headings.
        agreement: The agreement of the readers.
        disputed: `data.disagreement.disagreement_table`.
    """

    title: str
    agreement: Agreement
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
        "## Most disputed images",
        "In dispute: findings on which two readers of the image, drawn by lot, differ.",
        disputed_table(study.disputed.head(MAX_DISPUTED_SHOWN)),
        *(f"![{name}]({name})" for name in figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def study_summary(study: ReaderStudy) -> str:
    """The study for the terminal, without the pairs and the images."""
    agreement = study.agreement
    return "\n\n".join(part for part in (_intro(agreement), _warning(agreement), class_table(agreement)) if part)


def write_study(folder: Path, study: ReaderStudy) -> None:
    """Write `agreement.json`, and as CSV the classes, the pairs and the images by dispute."""
    agreement = study.agreement
    classes, pairs = ([flat(row) for row in rows] for rows in (agreement.classes, agreement.pairs))
    for name, table in (
        ("classes.csv", pd.DataFrame(classes)),
        ("pairs.csv", pd.DataFrame(pairs)),
        ("disputed.csv", study.disputed),
    ):
        with atomic_path(folder / name) as temporary:
            table.to_csv(temporary, index=False)
    content = {
        "title": study.title,
        "images": agreement.images,
        "patients": agreement.patients,
        "readers": agreement.readers,
        "resamples": agreement.resamples,
        "classes": classes,
        "pairs": pairs,
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


def _text(value: Estimate) -> str:
    return with_interval(*value)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
