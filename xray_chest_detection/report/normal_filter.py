"""What a finding-free filter is worth, as Markdown."""

from collections.abc import Sequence

from xray_chest_detection.core.normal_filter import NormalFilter
from xray_chest_detection.detect.normal_filter import Effect, FilterChoice
from xray_chest_detection.report.tables import markdown_table

_RULES = {"max": "best score of its marks", "noisy_or": "noisy-or of its marks", "given": "the classifier's score"}


def filter_markdown(name: str, choice: FilterChoice, found: Sequence[Effect], *, measured: str) -> str:
    """The choice and its effect as a page.

    Args:
        name: Name of the run or cross-validation.
        choice: What was chosen.
        found: What it did.
        measured: Which images and which filter the effect is about.
    """
    auroc = "undefined" if choice.auroc is None else f"{choice.auroc:.3f}"
    verdict = "It helps" if choice.helps else "No gain beyond chance: use no filter"
    gain = _signed(choice.out_of_fold - choice.before, choice.gain_low, choice.gain_high)
    intro = (
        f"# Finding-free filter of {name}\n\n"
        f"Chosen on {choice.n_images} images with {choice.n_boxes} boxes by {choice.objective}: "
        f"{describe(choice.filter)} AUROC of this abnormality for images with a box: {auroc}.\n\n"
        f"{choice.objective} without a filter {choice.before:.3f}; with the best one {choice.after:.3f} on the images "
        f"it was chosen on, {choice.out_of_fold:.3f} with filters chosen on other patients, which is the honest "
        f"number: {gain}. **{verdict}.**"
    )
    rows = [[one.name, one.before, one.after, _difference(one), one.perfect] for one in found]
    table = markdown_table(["", "without", "with filter", "difference", "with a perfect filter"], rows)
    return f"{intro}\n\n{measured} In brackets: 95 % intervals, paired by patient.\n\n{table}\n"


def describe(chosen: NormalFilter) -> str:
    """A filter in words, one sentence."""
    if chosen.changes_nothing:
        return "no filter does better."
    steps = []
    if chosen.threshold:
        steps.append(f"images below {chosen.threshold:g} lose all marks")
    if chosen.power:
        steps.append(f"scores are multiplied by it to the power {chosen.power:g}")
    return f"abnormality is {_RULES[chosen.rule]}; {', '.join(steps)}."


def _difference(one: Effect) -> str | None:
    if one.before is None or one.after is None:
        return None
    return _signed(one.after - one.before, one.low, one.high)


def _signed(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f}" if low is None or high is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
