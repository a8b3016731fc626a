"""The formats of a run side by side, as Markdown."""

from typing import TYPE_CHECKING

from xray_chest_detection.detect.parity import COMPARED_FROM, MAX_MAP50_CHANGE
from xray_chest_detection.report.tables import markdown_table

if TYPE_CHECKING:
    from xray_chest_detection.detect.formats import Comparison, Measured


def formats_markdown(comparison: "Comparison") -> str:
    """A comparison as a Markdown page."""
    machine = comparison.machine
    threads = tuple(comparison.rows[0].latency_ms)
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in sorted(machine["versions"]))
    header = ["format", "runtime", "MB", *[f"ms, {count} thread{'s' if count > 1 else ''}" for count in threads]]
    header += ["mAP50", "change", "largest box px", "largest score", "lost boxes", "kept"]
    return (
        f"# {comparison.run}: formats\n\n"
        f"mAP50 on the {comparison.n_images} images and {comparison.n_boxes} boxes of val. A format that changes it by "
        f"more than {MAX_MAP50_CHANGE:g} is not kept without --force. Largest differences are between partners among "
        f"the boxes of the torch model with a score from {COMPARED_FROM:g}. Times are medians of "
        f"{comparison.timed_runs} films of {comparison.image_size_px} px, in turns: network, decoding and suppression. "
        f"{machine['cpu']}, {machine['cores']} cores, {versions}.\n\n"
        f"{markdown_table(header, [_cells(row, comparison.map50_torch) for row in comparison.rows])}\n"
    )


def _cells(row: "Measured", map50_torch: float) -> list[object]:
    times = [f"{value:.1f}" for value in row.latency_ms.values()]
    first = [row.form, row.runtime, f"{row.size_bytes / 1e6:.1f}", *times]
    if row.parity is None:
        return [*first, f"{map50_torch:.4f}", *["-"] * 5]
    parity = row.parity
    differences = [f"{parity.map50_change:+.4f}", f"{parity.largest_box_px:.2f}", f"{parity.largest_score:.4f}"]
    lost = f"{parity.without_partner} of {parity.n_boxes}"
    return [*first, f"{parity.map50_exported:.4f}", *differences, lost, "no" if parity.differs else "yes"]
