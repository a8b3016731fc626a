"""Annotated pictures: a film with its marks, and one film as the four models see it. Pillow only."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.images import Radiograph
from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard
from xray_chest_detection.inference.palette import mark_of

HALO = "#000000"
CHIP = "#101214"
PAPER = "#0b0c0e"
TEXT = "#e6e8ea"
QUIET = "#9aa1a7"
GAP_PX = 16

Rect = tuple[float, float, float, float]


def draw_detections(
    pixels: NDArray[np.uint8],
    detections: Detections,
    names: Sequence[str],
    *,
    max_side_px: int | None = None,
    labels: bool = True,
) -> Image.Image:
    """A film with boxes and labels.

    Args:
        pixels: The film, `(H, W)`.
        detections: Boxes in pixels of the film; none gives the film alone.
        names: Class names by class id.
        max_side_px: Longest side of the picture; a larger film is scaled down before drawing, so that lines keep their
            width. None keeps the size of the film.
        labels: Whether to write class and score beside each box. In a crowd the best-scored labels that fit are
            written, so that none covers another.

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
    colours = [mark_of(names[int(detections.class_id[row])]).colour for row in order]
    for box, colour in zip(boxes, colours, strict=True):
        draw.rectangle(_grown(box, line_px), outline=HALO, width=line_px * 3)
        draw.rectangle(box, outline=colour, width=line_px)
    if labels:
        texts = [f"{names[int(detections.class_id[row])]} {detections.score[row]:.2f}" for row in order]
        _draw_labels(draw, boxes[::-1], texts[::-1], colours[::-1], bounds=picture.size)
    return picture


def four_panel(
    radiograph: Radiograph,
    detections: Mapping[str, Detections],
    cards: Mapping[str, ModelCard],
    *,
    panel_px: int = 640,
) -> Image.Image:
    """One film, once per model, two panels a row, each under the model's name and operating point.

    Args:
        radiograph: The film.
        detections: Detections by model name, in the order of the panels.
        cards: The card of each of these models.
        panel_px: Longest side of the film in a panel.

    Returns:
        An RGB picture that ends with the line that this is no medical device.
    """
    panels = [
        _panel(radiograph, found, cards[name], panel_px=panel_px) for name, found in detections.items() if name in cards
    ]
    footer_px = round(panel_px * 0.06)
    columns = min(2, max(1, len(panels)))
    rows = -(-len(panels) // columns)
    width, height = panels[0].size if panels else (panel_px, 0)
    sheet = Image.new(
        "RGB",
        (GAP_PX + columns * (width + GAP_PX), GAP_PX + rows * (height + GAP_PX) + footer_px),
        PAPER,
    )
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        sheet.paste(panel, (GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX)))
    font = _font(max(11, round(panel_px * 0.026)))
    ImageDraw.Draw(sheet).text((GAP_PX, sheet.height - footer_px), NOT_A_DEVICE, fill=QUIET, font=font)
    return sheet


def fit(pixels: NDArray[np.uint8], *, max_side_px: int | None) -> Image.Image:
    """A film `(H, W)` as a grey picture whose longest side is at most `max_side_px`; smaller films keep their size."""
    film = Image.fromarray(pixels)
    if max_side_px is None or max(film.size) <= max_side_px:
        return film
    scale = max_side_px / max(film.size)
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    return film.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def operating_point(card: ModelCard) -> str:
    """The operating point in words, for example `shown from score 0.20; NMS IoU 0.50`."""
    thresholds = card.thresholds
    values = {thresholds.conf, *thresholds.per_class.values()}
    shown = f"{min(values):.2f}" if len(values) == 1 else f"{min(values):.2f} to {max(values):.2f} by class"
    agnostic = " across classes" if thresholds.agnostic else ""
    return f"shown from score {shown}; NMS IoU {thresholds.iou:.2f}{agnostic}"


def _panel(radiograph: Radiograph, found: Detections, card: ModelCard, *, panel_px: int) -> Image.Image:
    film = draw_detections(radiograph.pixels, found, card.classes, max_side_px=panel_px)
    title, line = _font(max(13, round(panel_px * 0.034))), _font(max(11, round(panel_px * 0.025)))
    head_px = round(panel_px * 0.1)
    panel = Image.new("RGB", (max(film.width, panel_px // 2), film.height + head_px), PAPER)
    draw = ImageDraw.Draw(panel)
    count = "marks nothing" if len(found) == 0 else f"{len(found)} mark{'s' if len(found) > 1 else ''}"
    draw.text((0, 0), card.title, fill=TEXT, font=title)
    draw.text((0, round(panel_px * 0.05)), f"{count} · {operating_point(card)}", fill=QUIET, font=line)
    panel.paste(film, ((panel.width - film.width) // 2, head_px))
    return panel


def _draw_labels(
    draw: ImageDraw.ImageDraw,
    boxes: Sequence[Rect],
    texts: Sequence[str],
    colours: Sequence[str],
    *,
    bounds: tuple[int, int],
) -> None:
    size = max(11, round(max(bounds) / 46))
    font = _font(size)
    pad = max(2, size // 4)
    taken: list[Rect] = []
    for box, text, colour in zip(boxes, texts, colours, strict=True):
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        width, height = right - left + 2 * pad + size // 2, bottom - top + 2 * pad
        place = _place(box, width, height, taken, bounds)
        if place is None:
            continue
        taken.append(place)
        draw.rectangle(place, fill=CHIP)
        draw.rectangle((place[0], place[1], place[0] + size // 3, place[3]), fill=colour)
        draw.text((place[0] + pad + size // 2 - left, place[1] + pad - top), text, fill=TEXT, font=font)


def _place(box: Rect, width: float, height: float, taken: Sequence[Rect], bounds: tuple[int, int]) -> Rect | None:
    """Where a label of this size goes: the first candidate that covers no other label; None when all of them do."""
    candidates = _candidates(box, width, height, bounds)
    return next((rect for rect in candidates if not any(_overlap(rect, other) for other in taken)), None)


def _candidates(box: Rect, width: float, height: float, bounds: tuple[int, int]) -> Iterator[Rect]:
    """Above, inside and below the box, left then right, then stepwise down its left side; kept inside the picture."""
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


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
