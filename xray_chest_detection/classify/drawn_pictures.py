"""Drawn pictures that are no radiograph: text pages, windows of programs, noise, and simple shapes."""

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GreyArray = NDArray[np.uint8]

_LETTERS = np.array(list(string.ascii_lowercase + "      ,."))
_SIDE_PX = 256


def draw_text(rng: np.random.Generator) -> GreyArray:
    """A page of one to three columns of letters, dark on bright or bright on dark."""
    width, height = (int(side) for side in rng.integers(300, 900, 2))
    dark = rng.random() < 0.3
    paper, ink = (
        (rng.integers(0, 60), rng.integers(180, 255)) if dark else (rng.integers(215, 256), rng.integers(0, 90))
    )
    page = Image.new("L", (width, height), int(paper))
    canvas = ImageDraw.Draw(page)
    size, margin, columns = int(rng.integers(10, 34)), int(rng.integers(5, 60)), int(rng.integers(1, 4))
    font, step = ImageFont.load_default(size=size), size * rng.uniform(1.1, 1.8)
    column_px = (width - 2 * margin) // columns
    longest = max(4, int(1.9 * column_px / size))
    for column in range(columns):
        for y in np.arange(margin, height - margin, step):
            if rng.random() < 0.9:
                line = "".join(rng.choice(_LETTERS, int(rng.integers(3, longest))))
                canvas.text((margin + column * column_px, y), line, font=font, fill=int(ink))
    return np.asarray(page)


def draw_windows(rng: np.random.Generator) -> GreyArray:
    """Overlapping rectangles with captions, like the screen of a computer."""
    width, height = int(rng.integers(500, 1400)), int(rng.integers(400, 900))
    screen = Image.new("L", (width, height), int(rng.integers(256)))
    canvas = ImageDraw.Draw(screen)
    for _ in range(int(rng.integers(3, 25))):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        right, bottom = left + int(rng.integers(20, width)), top + int(rng.integers(10, height // 2))
        canvas.rectangle((left, top, right, bottom), fill=int(rng.integers(256)), outline=int(rng.integers(256)))
        if rng.random() < 0.7:
            caption = "".join(rng.choice(_LETTERS, int(rng.integers(3, 30))))
            font = ImageFont.load_default(size=int(rng.integers(10, 30)))
            canvas.text((left + 5, top + 5), caption, font=font, fill=int(rng.integers(256)))
    return np.asarray(screen)


def draw_noise(rng: np.random.Generator) -> GreyArray:
    """Smooth or fine noise, or two kinds of it in one."""
    picture = _noise(rng)
    return np.asarray(Image.blend(picture, _noise(rng), rng.uniform(0.2, 0.8)) if rng.random() < 0.5 else picture)


def draw_shapes(rng: np.random.Generator) -> GreyArray:
    """Gradients, discs, balls and waves, one to five of them."""
    y, x = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX] / _SIDE_PX - 0.5
    total = np.zeros((_SIDE_PX, _SIDE_PX))
    for _ in range(int(rng.integers(1, 6))):
        (x0, y0), size, angle = rng.uniform(-0.3, 0.3, 2), rng.uniform(0.05, 0.5, 2), rng.uniform(0, np.pi)
        along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
        across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
        inside = 1 - (along / size[0]) ** 2 - (across / size[1]) ** 2
        kinds = (along, (inside > 0).astype(float), np.maximum(inside, 0), np.sin(along * rng.uniform(5, 80)))
        total += kinds[int(rng.integers(4))] * rng.uniform(-1, 1)
    total -= total.min()
    return np.asarray(255 * total / max(total.max(), 1e-6)).astype(np.uint8)


def _noise(rng: np.random.Generator) -> Image.Image:
    rows, columns = (int(2**power) for power in rng.integers(1, 9, 2))
    values = np.clip(128 + rng.uniform(10, 80) * rng.normal(size=(rows, columns)), 0, 255).astype(np.uint8)
    return Image.fromarray(values).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
