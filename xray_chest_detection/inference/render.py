"""Annotated pictures: a film with its marks, and one film as the four models see it. Pillow only."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.images import Radiograph
from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard
from xray_chest_detection.inference.palette import Mark, mark_of

HALO = "#000000"
CHIP = "#101214"
PAPER = "#0b0c0e"
TEXT = "#e6e8ea"
QUIET = "#9aa1a7"
AMBER = "#e3b04b"
GAP_PX = 16
# Line styles of the models in their order: on, off, on, off ... in half line widths, solid first; as on the page.
DASHES: tuple[tuple[int, ...], ...] = ((), (9, 5), (2, 4), (14, 4, 3, 4))

Rect = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_detections(
    pixels: NDArray[np.uint8],
    detections: Detections,
    names: Sequence[str],
    *,
    max_side_px: int | None = None,
    labels: bool = True,
    dash: Sequence[int] = (),
) -> Image.Image:
    """A film with boxes and labels.

    Args:
        pixels: The film, `(H, W)`.
        detections: Boxes in pixels of the film; none gives the film alone.
        names: Class names by class id.
        max_side_px: Longest side of the picture; a larger film is scaled down before drawing, so that lines keep their
            width. None keeps the size of the film.
        labels: Whether to write letter, class and score beside each box. In a crowd the best-scored labels that fit
            are written, the others by their letter if that fits, so that none covers another.
        dash: Line style, one of `DASHES`.

    Returns:
        An RGB picture.
    """
    film = fit(pixels, max_side_px=max_side_px)
    picture = film.convert("RGB")
    scale = np.array([film.width / pixels.shape[1], film.height / pixels.shape[0]] * 2)
    draw = ImageDraw.Draw(picture)
    line_px = max(2, round(max(picture.size) / 500))
    order = np.argsort(detections.score, kind="stable")
    boxes = [_rect(detections.xyxy[row] * scale) for row in order]
    marks = [mark_of(names[int(detections.class_id[row])]) for row in order]
    for box, mark in zip(boxes, marks, strict=True):
        draw.rectangle(_grown(box, line_px), outline=HALO, width=line_px * 3)
        _draw_outline(draw, box, mark.colour, line_px=line_px, dash=dash)
    if labels:
        texts = [f"{names[int(detections.class_id[row])]} {detections.score[row]:.2f}" for row in order]
        _draw_labels(draw, boxes[::-1], texts[::-1], marks[::-1], bounds=picture.size)
    return picture


def four_panel(
    radiograph: Radiograph,
    detections: Mapping[str, Detections],
    cards: Mapping[str, ModelCard],
    *,
    conf: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    order: Sequence[str] = (),
    panel_px: int = 640,
) -> Image.Image:
    """One film, once per model, two panels a row, each under the model's name and operating point.

    Args:
        radiograph: The film.
        detections: Detections by model name, in the order of the panels.
        cards: The card of each of these models.
        conf: Scores that boxes were asked from, by model; the others show their own thresholds.
        notes: Lines below the films: what a reader must know about this film.
        order: All models, where these are only some: the place of a model gives its line style.
        panel_px: Longest side of the film in a panel.

    Returns:
        An RGB picture that ends with the line that this is no medical device.
    """
    asked = conf or {}
    shown = [name for name in detections if name in cards]
    styles = dict(zip(dict.fromkeys([*order, *shown]), cycle(DASHES)))
    films = [
        draw_detections(
            radiograph.pixels, detections[name], cards[name].classes, max_side_px=panel_px, dash=styles[name]
        )
        for name in shown
    ]
    width = max([round(panel_px * 0.6), *(film.width for film in films)])
    font = _font(max(11, round(panel_px * 0.025)))
    heads = [
        _wrapped(_point_line(len(detections[name]), cards[name], asked.get(name)), font=font, width_px=width)
        for name in shown
    ]
    head_rows = max(map(len, heads), default=0)
    panels = [
        _panel(film, cards[name].title, head, size=(width, head_rows), font=font, panel_px=panel_px)
        for name, film, head in zip(shown, films, heads, strict=True)
    ]
    return _sheet(panels, notes, panel_px=panel_px)


def fit(pixels: NDArray[np.uint8], *, max_side_px: int | None) -> Image.Image:
    """A film `(H, W)` as a grey picture whose longest side is at most `max_side_px`; smaller films keep their size."""
    film = Image.fromarray(pixels)
    if max_side_px is None or max(film.size) <= max_side_px:
        return film
    scale = max_side_px / max(film.size)
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    return film.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def operating_point(card: ModelCard, conf: float | None = None) -> str:
    """The operating point in words, for example `shown from score 0.20; NMS IoU 0.50`.

    Args:
        card: The model's card.
        conf: Score that was asked for instead of the card's thresholds.
    """
    thresholds = card.thresholds
    values = {thresholds.conf, *thresholds.per_class.values()}
    shown = f"{min(values):.2f}" if len(values) == 1 else f"{min(values):.2f} to {max(values):.2f} by class"
    if conf is not None:
        shown = f"{conf:.2f} as asked, tuned {shown}"
    agnostic = " across classes" if thresholds.agnostic else ""
    return f"shown from score {shown}; NMS IoU {thresholds.iou:.2f}{agnostic}"


def _point_line(count: int, card: ModelCard, conf: float | None) -> str:
    marks = "marks nothing" if count == 0 else f"{count} mark{'s' if count > 1 else ''}"
    return f"{marks} · {operating_point(card, conf)}"


def _panel(
    film: Image.Image, title: str, lines: Sequence[str], *, size: tuple[int, int], font: Font, panel_px: int
) -> Image.Image:
    """A film under its title and lines; `size` is the width in pixels and the number of lines there is room for."""
    width, rows = size
    title_px, line_px = round(panel_px * 0.05), round(panel_px * 0.036)
    head_px = title_px + rows * line_px + GAP_PX // 2
    panel = Image.new("RGB", (width, film.height + head_px), PAPER)
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), title, fill=TEXT, font=_font(max(13, round(panel_px * 0.034))))
    for number, text in enumerate(lines):
        draw.text((0, title_px + number * line_px), text, fill=QUIET, font=font)
    panel.paste(film, ((width - film.width) // 2, head_px))
    return panel


def _sheet(panels: Sequence[Image.Image], notes: Sequence[str], *, panel_px: int) -> Image.Image:
    """Panels of one size, two in a row, and the lines below them."""
    width, height = panels[0].size if panels else (panel_px, 0)
    columns = min(2, max(1, len(panels)))
    rows = -(-len(panels) // columns)
    foot = _foot(notes, width_px=columns * (width + GAP_PX) - GAP_PX, panel_px=panel_px)
    films_px = GAP_PX + rows * (height + GAP_PX)
    sheet = Image.new("RGB", (GAP_PX + columns * (width + GAP_PX), films_px + foot.height), PAPER)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        sheet.paste(panel, (GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX)))
    sheet.paste(foot, (GAP_PX, films_px))
    return sheet


def _foot(notes: Sequence[str], *, width_px: int, panel_px: int) -> Image.Image:
    """The lines below the films: notes, then that this is no medical device."""
    font = _font(max(11, round(panel_px * 0.026)))
    line_px = round(panel_px * 0.042)
    lines = [(text, AMBER) for note in notes for text in _wrapped(note, font=font, width_px=width_px)]
    lines += [(text, QUIET) for text in _wrapped(NOT_A_DEVICE, font=font, width_px=width_px)]
    foot = Image.new("RGB", (width_px, len(lines) * line_px + GAP_PX), PAPER)
    draw = ImageDraw.Draw(foot)
    for number, (text, colour) in enumerate(lines):
        draw.text((0, number * line_px), text, fill=colour, font=font)
    return foot


def _wrapped(text: str, *, font: Font, width_px: float) -> list[str]:
    """The text in lines that are no wider, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_labels(
    draw: ImageDraw.ImageDraw,
    boxes: Sequence[Rect],
    texts: Sequence[str],
    marks: Sequence[Mark],
    *,
    bounds: tuple[int, int],
) -> None:
    """Beside each box a chip with letter, class and score; where that covers another chip, the letter alone."""
    size = max(11, round(max(bounds) / 46))
    font = _font(size)
    pad, height = max(2, size // 4), round(size * 1.5)
    taken: list[Rect] = []
    for box, text, mark in zip(boxes, texts, marks, strict=True):
        width = height + font.getlength(text) + 2 * pad
        place = _place(box, width, height, taken, bounds) or _place(box, height, height, taken, bounds)
        if place is None:
            continue
        taken.append(place)
        x, y, right, bottom = place
        draw.rectangle(place, fill=CHIP)
        draw.rectangle((x, y, x + height, bottom), fill=mark.colour)
        draw.text((x + height / 2, y + height / 2), mark.letter, fill=HALO, font=font, anchor="mm")
        if right - x > height:
            draw.text((x + height + pad, y + height / 2), text, fill=TEXT, font=font, anchor="lm")


def _draw_outline(draw: ImageDraw.ImageDraw, box: Rect, colour: str, *, line_px: int, dash: Sequence[int]) -> None:
    """A rectangle whose dashes run once around it, clockwise from the top left corner."""
    if not dash:
        draw.rectangle(box, outline=colour, width=line_px)
        return
    left, top, right, bottom = box
    inner = line_px - 1
    lengths = cycle([part * line_px / 2 for part in dash])
    drawn, rest = True, next(lengths)
    for side, length in enumerate((right - left, bottom - top) * 2):
        start = 0.0
        while start < length:
            end = min(start + rest, length)
            near, far = round(start), max(round(start), round(end) - 1)
            if drawn:
                strip = (
                    (left + near, top, left + far, top + inner),
                    (right - inner, top + near, right, top + far),
                    (right - far, bottom - inner, right - near, bottom),
                    (left, bottom - far, left + inner, bottom - near),
                )[side]
                draw.rectangle(strip, fill=colour)
            rest -= end - start
            start = end
            if rest <= 0:
                drawn, rest = not drawn, next(lengths)


def _place(box: Rect, width: float, height: float, taken: Sequence[Rect], bounds: tuple[int, int]) -> Rect | None:
    """Where a label of this size goes: the first candidate that covers no other label; None when all of them do."""
    candidates = _candidates(box, width, height, bounds)
    return next((rect for rect in candidates if not any(_overlap(rect, other) for other in taken)), None)


def _candidates(box: Rect, width: float, height: float, bounds: tuple[int, int]) -> Iterator[Rect]:
    """Above, inside and below the box, left then right, then stepwise down its left side; kept inside the picture.

    None for a label that is wider than the picture.
    """
    if width > bounds[0]:
        return
    x_min, y_min, x_max, y_max = box
    corners = [(x, y) for y in (y_min - height, y_min, y_max - height, y_max) for x in (x_min, x_max - width)]
    corners += [(x_min, y_min + step * (height + 1)) for step in range(1, 8)]
    for x, y in corners:
        left = min(max(x, 0), max(bounds[0] - width, 0))
        top = min(max(y, 0), max(bounds[1] - height, 0))
        yield (left, top, left + width, top + height)


def _overlap(first: Rect, second: Rect) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _rect(xyxy: NDArray[np.floating]) -> Rect:
    """A rectangle Pillow accepts: whole pixels, right and bottom never before left and top."""
    x_min, y_min, x_max, y_max = (round(float(value)) for value in xyxy)
    return (x_min, y_min, max(x_max, x_min), max(y_max, y_min))


def _grown(box: Rect, by: int) -> Rect:
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)
