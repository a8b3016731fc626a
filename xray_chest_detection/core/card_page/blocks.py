"""What a page is made of, and how it becomes Markdown or a HTML file that needs nothing beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        header: Names of the columns.
        rows: Cells as text.
        numeric: Columns from this one on are aligned to the right.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 1


Block = Text | Bullets | Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Its heading.
        notice: What must be read before anything else.
        sections: What it says.
    """

    title: str
    notice: str
    sections: tuple[Section, ...]


def to_markdown(page: Page) -> str:
    """The page as Markdown.

    >>> print(to_markdown(Page("Heart", "Not for diagnosis.", (Section("Limits", (Bullets(("Small.",)),)),))))
    # Heart
    <BLANKLINE>
    > **Not for diagnosis.**
    <BLANKLINE>
    ## Limits
    <BLANKLINE>
    - Small.
    <BLANKLINE>
    """
    parts = [f"# {page.title}", f"> **{page.notice}**"]
    for section in page.sections:
        parts += [f"## {section.title}", *map(_block_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def to_html(page: Page) -> str:
    """The page as one HTML file without scripts, fonts or images; it follows the reader's light or dark setting."""
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n{blocks_html(section.blocks)}\n</section>"
        for section in page.sections
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(page.title)}</h1>\n<p class="notice"><strong>{escape(page.notice)}</strong></p>\n'
        f"{sections}\n</main>\n</body>\n</html>\n"
    )


def _block_markdown(block: Block) -> str:
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(f"- {item}" for item in block.items)
    rule = tuple("---" if column < block.numeric else "---:" for column in range(len(block.header)))
    lines = [block.header, rule, *(tuple(cell.replace("|", "\\|") for cell in row) for row in block.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def blocks_html(blocks: Sequence[Block]) -> str:
    """The blocks as HTML, for a page of one's own; tables are `div.table`, cells of numbers `.number`."""
    return "\n".join(map(_block_html, blocks))


def _block_html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Bullets):
        return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in block.items) + "\n</ul>"
    head = "".join(
        f'<th scope="col"{_align(column, block)}>{escape(name)}</th>' for column, name in enumerate(block.header)
    )
    body = "\n".join(f"<tr>{_row_html(row, block)}</tr>" for row in block.rows)
    # A wide table scrolls by itself, with the keyboard too, and does not widen the page.
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class="table" tabindex="0">{table}</div>'


def _row_html(row: tuple[str, ...], block: Table) -> str:
    first, *others = row
    cells = "".join(f"<td{_align(column, block)}>{escape(cell)}</td>" for column, cell in enumerate(others, start=1))
    return f'<th scope="row">{escape(first)}</th>{cells}'


def _align(column: int, block: Table) -> str:
    return ' class="number"' if column >= block.numeric else ""


_STYLE = """\
:root { --ground: #fff; --text: #1b1f23; --quiet: #565f68; --edge: #cdd2d6; --warn: #fff4dc; --warn-edge: #a86f00; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #101214; --text: #d9dde1; --quiet: #98a1a9; --edge: #343a40; --warn: #2b2415;
    --warn-edge: #e3b04b; color-scheme: dark; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font-variant-numeric: tabular-nums;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  overflow-wrap: break-word; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--edge); }
p, ul { margin: .6rem 0; max-width: 46rem; }
li { margin: .25rem 0; }
.notice { padding: .7rem 1rem; background: var(--warn); border-left: 4px solid var(--warn-edge); }
.table { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .92em; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--edge); }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 500; }
td:last-child { overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
@media print {
  :root { --ground: #fff; --text: #000; --quiet: #444; --edge: #bbb; --warn: #fff; color-scheme: light; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .table { overflow: visible; }
  tr, .notice { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
