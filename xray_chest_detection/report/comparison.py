"""Two runs side by side as a Markdown page."""

from collections.abc import Sequence

from xray_chest_detection.core.measures import AT_POINT
from xray_chest_detection.detect.compare import Comparison, Difference
from xray_chest_detection.report.tables import markdown_table

_PER_CLASS = ("AP40 ", "AP50 ", "AUROC ", f"recall {AT_POINT}, ", f"precision {AT_POINT}, ")
_ONLY_IN_JSON = "localisation "


def comparison_markdown(comparison: Comparison) -> str:
    """The numbers over all classes, then the main ones of each class; the JSON file has all of them."""
    classes = comparison.classes if len(comparison.classes) > 1 else ()
    of_class = [row for row in comparison.differences if row.name.endswith(classes) and classes]
    overall = [row for row in comparison.differences if row not in of_class and not row.name.startswith(_ONLY_IN_JSON)]
    chosen = [row for row in of_class if row.name.startswith(_PER_CLASS)]
    parts = [
        f"# {comparison.second} against {comparison.first} on {comparison.split}",
        _intro(comparison),
        difference_table(comparison, overall),
        *(["## Classes", difference_table(comparison, chosen)] if chosen else []),
    ]
    return "\n\n".join(parts) + "\n"


def difference_table(comparison: Comparison, rows: Sequence[Difference]) -> str:
    """One row a number; differences carry their sign."""
    header = ["metric", comparison.first, comparison.second, "difference", "p"]
    cells = [
        [row.name, row.first, row.second, _signed(row), "-" if row.p_value is None else f"{row.p_value:.3f}"]
        for row in rows
    ]
    return markdown_table(header, cells)


def _signed(row: Difference) -> str:
    if row.difference is None:
        return "-"
    if row.low is None or row.high is None:
        return f"{row.difference:+.3f}"
    return f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"


def _intro(comparison: Comparison) -> str:
    text = (
        f"{comparison.n_images} images of {comparison.n_patients} patients, {comparison.n_boxes} boxes. Differences "
        f"are {comparison.second} less {comparison.first}, each run at its own operating point."
    )
    if not comparison.resamples:
        return text
    chance = round(len(comparison.differences) / 20)
    return (
        f"{text} In brackets 95 % intervals, and two-sided p-values, from {comparison.resamples} resamples of the "
        "patients, the same for both runs. Decide before looking which number counts: of "
        f"{len(comparison.differences)} numbers about {chance} fall below p = 0.05 between two runs that are alike."
    )
