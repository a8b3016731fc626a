"""A canvas in patient coordinates: outlines and bands are filled with sub-pixel edges, fields are smooth.

Patient coordinates `uv`: u to the right of the image, v downwards, one unit is the side of the square image, the body
midline is at u = 0.5. The frame turns, scales and shifts them into pixels, as the patient stands before the detector.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Values = npt.NDArray[np.floating[Any]]
Points = npt.NDArray[np.float64]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Frame:
    """How patient coordinates fall on a square image.

    Attributes:
        size_px: Side of the image.
        rotation_rad: Turn of the patient in the image plane, positive is clockwise on the screen.
        scale: Magnification about the image centre.
        shift_uv: Displacement in units of the image side.
    """

    size_px: int
    rotation_rad: float = 0.0
    scale: float = 1.0
    shift_uv: tuple[float, float] = (0.0, 0.0)

    def to_px(self, uv: Points) -> Points:
        """Points `(N, 2)` in patient coordinates to pixels."""
        cos, sin = np.cos(self.rotation_rad) * self.scale, np.sin(self.rotation_rad) * self.scale
        turned = (uv - 0.5) @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray((turned + 0.5 + np.asarray(self.shift_uv)) * self.size_px)

    @cached_property
    def grid(self) -> tuple[Field, Field]:
        """Patient coordinates u and v of every pixel centre, two arrays `(size_px, size_px)`."""
        line = (np.arange(self.size_px, dtype=np.float32) + 0.5) / self.size_px - 0.5
        x, y = line[None, :] - np.float32(self.shift_uv[0]), line[:, None] - np.float32(self.shift_uv[1])
        cos = np.float32(np.cos(self.rotation_rad) / self.scale)
        sin = np.float32(np.sin(self.rotation_rad) / self.scale)
        return as_field(x * cos + y * sin + np.float32(0.5)), as_field(y * cos - x * sin + np.float32(0.5))

    def zeros(self) -> Field:
        """An empty field."""
        return np.zeros((self.size_px, self.size_px), dtype=np.float32)

    def fill(self, *outlines: Points) -> Field:
        """Coverage 0..1 of the union of closed outlines `(N, 2)`; soft edges reach up to one pixel outwards."""
        return self.paint([(outline, 1.0) for outline in outlines])

    def paint(self, shapes: list[tuple[Points, float]]) -> Field:
        """Fill closed outlines with values 0..1; where shapes overlap the later one wins."""
        layer = np.zeros((self.size_px, self.size_px), dtype=np.uint8)
        for outline, value in shapes:
            fixed = np.rint((self.to_px(outline) - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
            cv2.fillPoly(layer, [fixed], round(255 * value), cv2.LINE_AA, _SUBPIXEL_BITS)
        return layer.astype(np.float32) / np.float32(255)

    def blur(self, field: Field, sigma: float) -> Field:
        """Gaussian blur; `sigma` in units of the image side. Wide blurs are computed on a smaller copy."""
        sigma_px = sigma * self.size_px
        if sigma_px < 0.3:
            return field
        shrink = max(1, int(sigma_px / 4))
        if shrink == 1:
            return as_field(cv2.GaussianBlur(field, (0, 0), sigma_px))
        small_px = max(8, self.size_px // shrink)
        small = cv2.resize(field, (small_px, small_px), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma * small_px)
        return as_field(cv2.resize(small, (self.size_px, self.size_px), interpolation=cv2.INTER_CUBIC))

    def depth(self, mask: Field, reach: float) -> Field:
        """How far inside a mask each pixel lies: 0 at the edge, towards 1 beyond `reach` (image sides)."""
        shrink = max(1, self.size_px // 256)
        small_px = self.size_px // shrink
        small = cv2.resize(mask, (small_px, small_px), interpolation=cv2.INTER_AREA)
        distance = cv2.distanceTransform((small > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / small_px
        inside = 1.0 - np.exp(-distance / reach)
        wide = cv2.resize(inside.astype(np.float32), (self.size_px, self.size_px), interpolation=cv2.INTER_LINEAR)
        return as_field(wide)

    def noise(self, rng: np.random.Generator, *, grain: float, octaves: int = 1) -> Field:
        """Smooth random field of about unit variance; `grain` is the size of its largest lumps in image sides."""
        total = self.zeros()
        for octave in range(octaves):
            cells = min(self.size_px // 3, max(3, round(2**octave / grain)))
            fine = rng.standard_normal((3 * cells, 3 * cells), dtype=np.float32)
            coarse = 4.5 * cv2.GaussianBlur(fine, (0, 0), 1.3)  # blurred, so that no grid of cells shows
            total += cv2.resize(coarse, (self.size_px, self.size_px), interpolation=cv2.INTER_CUBIC) * 0.6**octave
        return total


def as_field(values: npt.ArrayLike) -> Field:
    """The values in the precision of a field."""
    return np.asarray(values, dtype=np.float32)


def smooth_loop(corners: Points, rounds: int = 3) -> Points:
    """Closed outline through Chaikin's corner cutting; each round doubles the number of points.

    Source: G. Chaikin, An algorithm for high-speed curve generation, 1974.
    """
    points = corners
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(-1, 2)
    return points


def smooth_line(corners: Points, n_points: int = 24) -> Points:
    """Open curve through all corners `(N, 2)`, a Catmull-Rom spline sampled at `n_points`."""
    padded = np.vstack([2 * corners[0] - corners[1], corners, 2 * corners[-1] - corners[-2]])
    position = np.linspace(0, len(corners) - 1, n_points)
    start = np.minimum(position.astype(int), len(corners) - 2)
    t = (position - start)[:, None]
    p0, p1, p2, p3 = (padded[start + k] for k in range(4))
    return np.asarray(
        0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    )


def band(line: Points, width: float | npt.NDArray[np.float64]) -> Points:
    """Outline of a band of the given full width around an open line `(N, 2)`; the width may vary along it."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1])[:, None], 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * (np.broadcast_to(width, len(line)) / 2)[:, None]
    return np.vstack([line + normal, (line - normal)[::-1]])


def ellipse(centre: tuple[float, float], radii: tuple[float, float], turn_rad: float = 0.0) -> Points:
    """Outline of an ellipse `(40, 2)`."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], axis=1)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(centre))
