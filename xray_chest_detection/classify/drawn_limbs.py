"""Drawn radiographs of other parts of the body: coarse, but bones in soft tissue, developed and framed like films.

Real ones are hardly to be had without a licence that forbids their use, and without any the gate passes some of them.
Lengths are shares of the side of the drawing.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float64]
Point = Sequence[float] | Field

_SIDE_PX = 192
_Y, _X = np.mgrid[0:_SIDE_PX, 0:_SIDE_PX] / _SIDE_PX


def draw_limb(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A limb with its bones, a hand, a pelvis, a skull or a spine, in any direction and frame, `(H, W)`."""
    part = (_long_bones, _long_bones, _hand, _pelvis, _skull, _spine)[int(rng.integers(6))]
    thickness = np.maximum(part(rng), 0)
    bright = 1 - np.exp(-thickness * rng.uniform(1.2, 4))
    film = Image.fromarray((255 * bright / max(bright.max(), 1e-6)).astype(np.uint8))
    angle = 90 * int(rng.choice((0, 0, 1, 2, 3))) + rng.normal(0, 12)
    film = _framed(film.rotate(float(angle), Image.Resampling.BILINEAR), rng)
    grey = np.asarray(film, np.float64)
    grey = grey + rng.normal(0, rng.uniform(0, 8), grey.shape)
    return np.clip(255 - grey if rng.random() < 0.12 else grey, 0, 255).astype(np.uint8)


def _framed(film: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut by a collimator, and on a larger, dark or bright plate; either of the two or both or none."""
    side = film.width
    if rng.random() < 0.5:
        width, height = side * rng.uniform(0.35, 1) / 2, side * rng.uniform(0.6, 1) / 2
        middle = side / 2
        film = film.crop((int(middle - width), int(middle - height), int(middle + width), int(middle + height)))
    if rng.random() < 0.4:
        size = (int(film.width * rng.uniform(1, 1.7)), int(film.height * rng.uniform(1, 1.3)))
        plate = Image.new("L", size, int(rng.choice((0, 0, 255))))
        plate.paste(film, ((size[0] - film.width) // 2, (size[1] - film.height) // 2))
        film = plate
    return film


def _rod(start: Point, end: Point, radius: float, end_radius: float | None = None) -> Field:
    """Half the thickness of a round rod at every place."""
    (x0, y0), (x1, y1) = start, end
    length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
    along = np.clip(((_X - x0) * (x1 - x0) + (_Y - y0) * (y1 - y0)) / length**2, 0, 1)
    distance = np.hypot(_X - x0 - along * (x1 - x0), _Y - y0 - along * (y1 - y0))
    radii = radius + ((radius if end_radius is None else end_radius) - radius) * along
    return np.asarray(np.sqrt(np.maximum(0, radii**2 - distance**2)))


def _bone(start: Point, end: Point, radius: float, rng: np.random.Generator) -> Field:
    """A shaft that is hollow inside, and wider ends."""
    first, last = np.asarray(start), np.asarray(end)
    step = last - first
    shaft = 1.2 * _rod(first, last, radius) - 0.9 * _rod(first + 0.12 * step, last - 0.12 * step, 0.6 * radius)
    heads = [
        0.8 * _rod(place, place + 0.03 * inwards, radius * rng.uniform(1.2, 1.9), radius * 1.2)
        for place, inwards in ((first, step), (last, -step))
    ]
    return np.asarray(np.maximum(shaft, np.maximum(*heads)))


def _ellipse(centre: Sequence[float], size: Sequence[float]) -> Field:
    """Squared distance from the centre, 1 on the outline."""
    return np.asarray(((_X - centre[0]) / size[0]) ** 2 + ((_Y - centre[1]) / size[1]) ** 2)


def _long_bones(rng: np.random.Generator) -> Field:
    lean, centre, width = np.tan(rng.normal(0, 0.2)), rng.uniform(0.35, 0.65), rng.uniform(0.08, 0.22)

    def at(y: float, offset: float) -> tuple[float, float]:
        return centre + lean * (y - 0.5) + offset, y

    total = _rod(at(-0.3, 0), at(1.3, 0), width * rng.uniform(0.8, 1.3), width * rng.uniform(0.7, 1.3))
    radius, apart = width * rng.uniform(0.18, 0.32), width * rng.uniform(0.3, 0.45)
    joint = rng.uniform(0.3, 0.7) if rng.random() < 0.6 else 1.4
    for offset in (-apart, apart) if rng.random() < 0.6 else (0.0,):
        total += 4 * _bone(at(-0.2, offset), at(joint - 0.015, 0.8 * offset), radius * rng.uniform(0.7, 1.1), rng)
    for offset in (-apart, apart) if rng.random() < 0.4 else (0.0,):
        total += 4 * _bone(at(joint + 0.03 + 0.3 * radius, offset), at(1.7, offset), radius * rng.uniform(1, 1.4), rng)
    return total


def _hand(rng: np.random.Generator) -> Field:
    size = rng.uniform(0.8, 1.15)
    total: Field = np.maximum(
        0.7 * _rod((0.5, 0.6), (0.5, 0.66), 0.16 * size, 0.17 * size),
        0.7 * _rod((0.5, 0.75), (0.5, 1.3), 0.1 * size, 0.11 * size),
    )
    angles = np.deg2rad((-52, -18, -3, 11, 26)) + rng.normal(0, 0.05, 5)
    for finger, (angle, length) in enumerate(zip(angles, (0.26, 0.44, 0.48, 0.44, 0.36), strict=True)):
        towards = np.array((np.sin(angle), -np.cos(angle)))
        start = np.array((0.5 + 0.045 * (finger - 2) * size, 0.62)) + 0.04 * size * towards
        reach = length * size * rng.uniform(0.9, 1.1) * towards
        total = np.maximum(total, 1.2 * _rod(start, start + reach, 0.045 * size, 0.028 * size))
        joints = (0, 0.45, 0.7, 0.87, 1) if finger else (0, 0.45, 0.75, 1)
        for number, (low, high) in enumerate(itertools.pairwise(joints)):
            radius = 0.014 * size * (1 - 0.12 * number)
            total += 5 * _bone(start + reach * (low + 0.015), start + reach * (high - 0.015), radius, rng)
    for _ in range(8):
        place = np.array((0.5, 0.62 + 0.07 * size)) + rng.normal(0, 1, 2) * (0.05 * size, 0.025 * size)
        total += 2 * _rod(place, place + 0.01, 0.028 * size)
    for offset in (-0.045 * size, 0.045 * size):
        total += 4 * _bone((0.5 + offset, 0.76), (0.5 + offset, 1.3), 0.028 * size, rng)
    return total


def _pelvis(rng: np.random.Generator) -> Field:
    total = 1.2 * _rod((0.5, 0.1), (0.5, 0.9), 0.45, 0.42)
    for side in (-1, 1):
        wing = _ellipse((0.5 + 0.22 * side, 0.33), (0.17, 0.2))
        total += 0.5 * (wing < 1) * (0.4 + 0.6 * np.minimum(1, wing))
        total += 2.2 * _rod((0.5 + 0.27 * side, 0.58), (0.5 + 0.28 * side, 0.6), 0.07)
        total += 3 * _bone((0.5 + 0.34 * side, 0.64), (0.5 + 0.3 * side, 1.3), 0.05, rng)
        ring = _ellipse((0.5 + 0.12 * side, 0.7), (0.06, 0.07))
        total += 0.45 * ((ring > 1) & (ring < 2.2))
    for number in range(8):
        total += 4 * _rod((0.47, 0.02 + 0.055 * number), (0.53, 0.02 + 0.055 * number), 0.022)
    return total


def _skull(rng: np.random.Generator) -> Field:
    sideways = rng.random() < 0.5
    vault = _ellipse((0.5, 0.4), (rng.uniform(0.3, 0.42), rng.uniform(0.3, 0.38)))
    total = 0.9 * np.sqrt(np.maximum(0, 1 - vault)) + 0.8 * ((vault < 1) & (vault > 0.86))
    jaw = 0.14 if sideways else 0.0
    total += 2 * _rod((0.5 + jaw, 0.75), (0.5 + jaw, 0.85), 0.16, 0.12)
    for place in (0.7,) if sideways else (0.37, 0.63):
        orbit = _ellipse((place, 0.52), (0.08, 0.06))
        total += 0.3 * ((orbit > 1) & (orbit < 1.3)) - 0.3 * (orbit < 1)
    total += 1.2 * _rod((0.5, 0.8), (0.45, 1.3), 0.15, 0.16)
    for number in range(6):
        total += 3 * _rod((0.44, 0.8 + 0.05 * number), (0.54, 0.8 + 0.05 * number), 0.02)
    return total


def _spine(rng: np.random.Generator) -> Field:
    """Vertebrae in a trunk, with gas."""
    total = 1.4 * _rod((0.5, -0.5), (0.5, 1.5), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6))
    bend, width = rng.uniform(-0.1, 0.1), rng.uniform(0.04, 0.1)
    for y in np.arange(0, 1.2, 1.3 * width):
        x = 0.5 + bend * np.sin(3 * y)
        total += rng.uniform(2, 4) * _rod((x - 0.6 * width, y), (x + 0.6 * width, y), 0.55 * width)
    for _ in range(int(rng.integers(10))):
        place = rng.uniform(0.2, 0.8, 2)
        total -= 1.5 * _rod(place, place + rng.normal(0, 0.06, 2), rng.uniform(0.02, 0.07))
    return total
