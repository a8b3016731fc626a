"""`xray card RUN_OR_CARD`: a model card as a page for people, in Markdown and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xray_chest_detection.core.card_page.blocks import to_html, to_markdown
from xray_chest_detection.core.card_page.page import card_page
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.model_card import CARD_SUFFIX, ModelCard, read_card


@dataclass(frozen=True)
class Options:
    """Write a model card as a page for people: data, results with intervals, limits, and the CLAIM 2024 check list.

    Attributes:
        source: A run folder, or the `<name>.card.yaml` of an exported model, which needs no run and no torch.
        out: Folder of the pages; not given: the run folder, or the folder of the card.
    """

    source: Annotated[Path, tyro.conf.Positional]
    out: Path | None = None


def main(argv: Sequence[str]) -> int:
    """Write `<name>.card.md` and `<name>.card.html`."""
    options = tyro.cli(Options, args=list(argv), prog="xray card")
    is_card = options.source.name.endswith(CARD_SUFFIX)
    card = read_card(options.source) if is_card else _card_of_run(options.source)
    out = options.out or (options.source.parent if is_card else options.source)
    page = card_page(card)
    stem = CARD_SUFFIX.removesuffix(".yaml")
    for suffix, text in ((".md", to_markdown(page)), (".html", to_html(page))):
        write_text(out / f"{card.name}{stem}{suffix}", text)
    if not card.metrics:
        print(f"the card has no results: `xray evaluate RUN` measures them{' and `xray export` adds them' * is_card}")
    print(f"wrote {out / card.name}{stem}.md and .html")
    return 0


def _card_of_run(folder: Path) -> ModelCard:
    from xray_chest_detection.detect.runs import open_trained_run

    run = open_trained_run(folder)
    from xray_chest_detection.detect.card import card_of_checkpoint

    return card_of_checkpoint(run)
