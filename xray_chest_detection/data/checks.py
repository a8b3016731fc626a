"""What a check of a data set found, and writing all of it as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from xray_chest_detection.core.files import write_text

Severity = Literal["info", "warning", "error"]


class Progress(Protocol):
    """Wraps an iterable of known length so that somebody can watch it."""

    def __call__(self, items: Iterable[Any], total: int, *, title: str) -> Iterable[Any]:
        """The same items, watched under a title."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: What is looked for.
        severity: How serious it is when it is found.
        places: Every place where it was found.
        advice: What it means and the cure, where the name does not say it.
    """

    name: str
    severity: Severity
    places: Sequence[str]
    advice: str = ""

    @property
    def result(self) -> str:
        """`ok` when nothing was found, else the severity."""
        return self.severity if self.places else "ok"

    def to_row(self) -> dict[str, object]:
        """The check as a row of a printed table, with the first place as the example."""
        example = self.places[0] if self.places else "-"
        return {"check": self.name, "result": self.result, "count": len(self.places), "example": example}


@dataclass(frozen=True)
class Report:
    """The checks of one data set, or of several together.

    Attributes:
        subject: What was looked at.
        counts: How much was looked at.
        checks: The outcomes, in a fixed order.
    """

    subject: str
    counts: dict[str, int]
    checks: tuple[Check, ...]

    @property
    def failed(self) -> bool:
        """Whether a check found an error; warnings and notes do not count."""
        return any(check.result == "error" for check in self.checks)

    @property
    def advice(self) -> list[str]:
        """A line for every check that found something and has an advice."""
        return [f"{check.name}: {check.advice}" for check in self.checks if check.places and check.advice]

    def to_dict(self) -> dict[str, object]:
        """The report with every place of every finding, for JSON; checks that found nothing are left out."""
        found = [
            {"check": check.name, "result": check.result, "advice": check.advice, "places": list(check.places)}
            for check in self.checks
            if check.places
        ]
        return {"subject": self.subject, "counts": self.counts, "failed": self.failed, "findings": found}


def write_reports(path: Path, reports: Sequence[Report]) -> None:
    """Write every finding of several reports as JSON, whole or not at all."""
    content = {
        "failed": any(report.failed for report in reports),
        "reports": [report.to_dict() for report in reports],
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
