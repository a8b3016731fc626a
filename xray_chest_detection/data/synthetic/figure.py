"""Pictures of the synthetic set itself: a contact sheet with the true boxes, and examples for the web page."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xray_chest_detection.core.files import atomic_path
from xray_chest_detection.data.synthetic.anatomy import sample_exposure, sample_patient
from xray_chest_detection.data.synthetic.cases import NIH_CLASSES, sample_finding
from xray_chest_detection.data.synthetic.nih_format import write_png
from xray_chest_detection.data.synthetic.radiograph import SyntheticImage, render_radiograph

EXAMPLES: dict[str, tuple[str, ...]] = {
    "synthetic_normal": (),
    "synthetic_cardiomegaly": ("Cardiomegaly",),
    "synthetic_effusion": ("Effusion",),
    "synthetic_mass": ("Mass",),
    "synthetic_several_findings": ("Cardiomegaly", "Effusion", "Nodule"),
}

_SHEET: tuple[tuple[str, ...], ...] = (
    (), *((name,) for name in NIH_CLASSES), ("Cardiomegaly", "Effusion"), ("Mass", "Nodule"), (),
)  # fmt: skip
_COLUMNS = 4
_TILE_PX = 300
_ACCENT = (255, 196, 61)


def render_case(
    class_names: tuple[str, ...], seed: tuple[int, ...], *, size_px: int, view: str | None
) -> SyntheticImage:
    """Render a patient with one plain finding of each given class."""
    rng = np.random.default_rng(seed)
    patient = sample_patient(rng)
    findings = tuple(sample_finding(name, rng, obvious=True) for name in class_names)
    return render_radiograph(patient, rng, size_px=size_px, findings=findings, exposure=sample_exposure(rng, view=view))


def write_examples(folder: Path, *, seed: int, size_px: int = 1024) -> list[Path]:
    """Write the example pictures for the web page as 8-bit grey PNG, without boxes; gives their paths."""
    paths = []
    for number, (name, class_names) in enumerate(EXAMPLES.items()):
        path = folder / f"{name}.png"
        write_png(path, render_case(class_names, (seed, 31, number), size_px=size_px, view="PA"))
        paths.append(path)
    return paths


def write_contact_sheet(path: Path, *, seed: int) -> None:
    """Write twelve cases with their true boxes as one PNG."""
    rows = -(-len(_SHEET) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE_PX, rows * _TILE_PX))
    for number, class_names in enumerate(_SHEET):
        view = "AP" if number % 5 == 4 else "PA"
        tile = _with_boxes(render_case(class_names, (seed, 30, number), size_px=2 * _TILE_PX, view=view))
        sheet.paste(tile, ((number % _COLUMNS) * _TILE_PX, (number // _COLUMNS) * _TILE_PX))
    with atomic_path(path) as temporary:
        sheet.quantize(palette=_palette(), dither=Image.Dither.NONE).save(temporary, optimize=True)


def _with_boxes(image: SyntheticImage) -> Image.Image:
    """One tile of the sheet: the picture at half its size, boxes and names on it."""
    scale = _TILE_PX / image.intensity.shape[0]
    tile = Image.fromarray(image.pixels).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS).convert("RGB")
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(size=13)
    labels = [("No finding", 4.0, _TILE_PX - 4.0)] if not image.boxes else []
    for name, *edges in image.boxes:
        x1, y1, x2, y2 = (edge * scale for edge in edges)
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=_ACCENT, width=2)
        labels.append((name, x1, y1))
    for text, x, y in labels:
        width = pen.textlength(text, font=font) + 6
        left, top = min(x, _TILE_PX - width), max(0, y - 17)
        pen.rectangle((left, top, left + width, top + 17), fill=(0, 0, 0))
        pen.text((left + 3, top), text, fill=_ACCENT, font=font)
    return tile


def _palette() -> Image.Image:
    """Greys for the pictures and shades of the accent for lines and letters."""
    greys = [(level, level, level) for level in np.linspace(0, 255, 96).astype(int)]
    shades = [tuple(int(part * share) for part in _ACCENT) for share in np.linspace(1, 0.1, 12)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([int(part) for colour in (*greys, *shades) for part in colour])
    return palette
