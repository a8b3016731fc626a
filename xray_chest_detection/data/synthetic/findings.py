"""Findings: what is drawn, where, and the true box around it.

Every finding is an added attenuation inside the lungs, or a changed outline (heart, aorta). Its box is the bounding
rectangle of what it changed visibly, not of what it was meant to change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import MIDLINE
from xray_chest_detection.data.synthetic.canvas import (
    Field,
    Frame,
    Points,
    Values,
    as_field,
    band,
    smooth_line,
    smooth_loop,
)
from xray_chest_detection.data.synthetic.chest import Chest, placed

PixelBox = tuple[float, float, float, float]

_VISIBLE = 0.28  # share of a finding's strongest change from which a reader would draw it into the box


@dataclass(frozen=True)
class Finding:
    """One abnormality of one patient.

    Attributes:
        class_name: Name in the box table of NIH ChestX-ray14, or `Aortic enlargement`.
        side: -1 the patient's right lung (left of the image), 1 the left one.
        depth: Where, 0 apex .. 1 base of the lung.
        breadth: Where, 0 mediastinum .. 1 chest wall.
        size: Diameter, length or height in image sides; for the heart the cardiothoracic ratio, for the aorta the size
            of its knob relative to a young one.
        contrast: 0.3 hardly seen .. 1 obvious.
        seed: Draws shape and texture.
    """

    class_name: str
    side: int
    depth: float
    breadth: float
    size: float
    contrast: float
    seed: int


@dataclass(frozen=True)
class Site:
    """Where findings are drawn: the frame, the chest, and masks 0..1 of lungs and heart."""

    frame: Frame
    chest: Chest
    lungs: Field
    heart: Field

    @cached_property
    def breadth(self) -> Field:
        """Distance from the midline as a share of the distance of the chest wall at that height."""
        u, v = self.frame.grid
        wall = np.interp(v, _V_NODES, self.chest.lateral(_V_NODES)).astype(np.float32)
        return np.asarray(np.abs(u - MIDLINE) / wall, dtype=np.float32)

    def lung(self, side: int) -> Field:
        """The mask of one lung."""
        u = self.frame.grid[0]
        return self.lungs * ((u - MIDLINE) * side > 0)


@dataclass(frozen=True)
class Change:
    """What a finding does to the picture: added attenuation, vessels it hides 0..1, and its box."""

    density: Field
    vessels_hidden: Field
    box: PixelBox | None


def change_of(finding: Finding, site: Site) -> Change:
    """Draw one finding.

    A finding that lies wholly outside the picture has no box.
    """
    density, hidden, extent = _DRAWERS[finding.class_name](finding, site, np.random.default_rng([finding.seed, 3]))
    return Change(as_field(density), as_field(hidden), bounding_box(extent))


def bounding_box(extent: Values, share: float = _VISIBLE) -> PixelBox | None:
    """Rectangle around the pixels above a share of the maximum, max exclusive; None for an empty field."""
    peak = float(extent.max())
    if peak < 1e-3:
        return None
    visible = extent > share * peak
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


Drawing = tuple[Values, Values, Values]

_V_NODES: Points = np.linspace(-0.2, 1.3, 200)


def _focus(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Nodule and mass: a ball, so thickest in the middle, with a lobed and sometimes spiky outline."""
    frame = site.frame
    u0, v0 = site.chest.at(finding.side, finding.depth, finding.breadth)
    u, v = frame.grid
    du, dv = u - np.float32(u0), v - np.float32(v0)
    angle, radius = np.arctan2(dv, du), np.hypot(du, dv)
    outline = np.ones_like(radius)
    for lobes in (2, 3, 5, 7):
        outline += np.float32(rng.normal(0, 0.16 / lobes)) * np.cos(lobes * angle + np.float32(rng.uniform(0, 6.28)))
    for spikes in (11, 17, 29):
        outline += np.float32(rng.choice([0.0, 0.022])) * np.cos(spikes * angle + np.float32(rng.uniform(0, 6.28)))
    share = radius / (np.float32(0.5 * finding.size) * outline)
    ball = frame.blur(np.sqrt(np.maximum(1 - share**2, 0)), 0.0025)
    strength = (0.15 + 0.9 * finding.size) * (0.35 + 0.75 * finding.contrast)
    return strength * ball, 0.8 * ball, ball


def _infiltrate(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Patchy, ill-defined opacity: overlapping clouds broken up by noise."""
    frame = site.frame
    u0, v0 = site.chest.at(finding.side, finding.depth, finding.breadth)
    u, v = frame.grid
    cloud = frame.zeros()
    for _ in range(7):
        spot_u, spot_v = u0 + rng.normal(0, 0.22 * finding.size), v0 + rng.normal(0, 0.30 * finding.size)
        spread = finding.size * rng.uniform(0.16, 0.28)
        cloud += np.exp(-((u - spot_u) ** 2 + (v - spot_v) ** 2) / np.float32(2 * spread**2))
    cloud = np.minimum(cloud / 2.2, 1.0) * site.lung(finding.side) * (1 - 0.5 * site.heart)
    patches = np.clip(0.85 + 0.30 * frame.blur(frame.noise(rng, grain=0.05, octaves=3), 0.004), 0.1, 1.6)
    extent = cloud**1.3
    return 0.30 * (0.45 + 0.65 * finding.contrast) * cloud * patches, 0.45 * cloud, extent


def _pneumonia(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Consolidation of a lobe: dense, sharp at the fissure, fading elsewhere, with air-filled bronchi showing dark."""
    frame, side = site.frame, finding.side
    u0, v0 = site.chest.at(side, finding.depth, finding.breadth)
    u, v = frame.grid
    tilt = np.float32(rng.uniform(-0.25, 0.25))
    from_fissure = (v - v0) + np.float32(0.5 * finding.size) - tilt * (u - u0)
    fissure = _step(from_fissure / np.float32(rng.uniform(0.004, 0.012)))
    across = np.exp(-(np.abs((u - u0) / np.float32(0.42 * finding.size + 0.055)) ** 3.5))
    below = np.exp(-(np.maximum(from_fissure / np.float32(finding.size * 0.95), 0) ** 5))
    lobe = fissure * across * below * site.lung(side) * (1 - 0.5 * site.heart)
    tubes = []
    root = np.array(site.chest.at(side, min(finding.depth, 0.6), 0.02))
    for _ in range(5):
        end = np.array([u0, v0]) + rng.normal(0, 0.32 * finding.size, 2)
        bend = (root + end) / 2 + rng.normal(0, 0.012, 2)
        tubes.append((band(smooth_line(np.array([root, bend, end])), np.linspace(0.010, 0.004, 24)), 1.0))
    bronchi = frame.blur(frame.paint(tubes), 0.0018)
    texture = np.clip(1 + 0.13 * frame.noise(rng, grain=0.04, octaves=3), 0.5, 1.5)
    density = 0.42 * (0.45 + 0.60 * finding.contrast) * lobe * texture * (1 - 0.38 * bronchi)
    return density, 0.8 * lobe, lobe


def _atelectasis(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Plate-like collapse: one to three dense bands in a haze; the diaphragm below is drawn higher by the chest."""
    frame, side = site.frame, finding.side
    centre = np.array(site.chest.at(side, finding.depth, finding.breadth))
    slope = side * rng.uniform(-0.05, 0.45)
    plates = []
    for number in range(int(rng.integers(1, 4))):
        length = finding.size * rng.uniform(0.7, 1.0)
        middle = centre + np.array([rng.normal(0, 0.01), 0.034 * number - 0.02 + rng.normal(0, 0.004)])
        x = np.linspace(-0.5, 0.5, 5)
        line = middle + np.stack([x * length, x * length * slope + rng.normal(0, 0.003, 5)], axis=1)
        thickness = rng.uniform(0.010, 0.022) * np.sin(np.linspace(0.15, np.pi - 0.15, 24))
        plates.append((band(smooth_line(line), thickness), 1.0))
    drawn = frame.blur(frame.paint(plates), 0.003) * site.lung(side) * (1 - 0.5 * site.heart)
    haze = frame.blur(drawn, 0.022) * site.lung(side)
    density = (0.20 * drawn + 0.50 * haze) * (0.40 + 0.70 * finding.contrast)
    return density, 0.5 * haze, drawn + haze


def _effusion(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Free fluid at the base: the angle is blunted and the upper border climbs the wall as a meniscus."""
    frame, chest, side = site.frame, site.chest, finding.side
    _, v = frame.grid
    bottom = chest.dome_v[side] + chest.recess
    climb = 0.35 + 0.65 * np.clip(site.breadth, 0, 1) ** float(rng.uniform(2.0, 3.5))
    surface = np.float32(bottom) - np.float32(finding.size) * climb
    fluid = _step((v - surface) / np.float32(0.006 + 0.010 * (1 - finding.contrast)))
    fluid = fluid * frame.blur(site.lung(side), 0.002)
    depth = np.clip((v - surface) / np.float32(0.10), 0, 1)
    density = fluid * (0.26 + 0.26 * depth) * (0.65 + 0.40 * finding.contrast)
    return density, fluid, fluid * (0.35 + 0.65 * depth)


def _pneumothorax(finding: Finding, site: Site, rng: np.random.Generator) -> Drawing:
    """Air outside the lung: a dark zone without vessels at apex and wall, bounded by the thin line of the pleura."""
    frame, chest, side = site.frame, site.chest, finding.side
    base_v = chest.apex_v + finding.depth * (chest.dome_v[side] - chest.apex_v)
    v = np.linspace(chest.apex_v + 0.75 * finding.size, base_v, 24)
    share = np.linspace(0, 1, 24)
    gap = finding.size * (1 - share**2.2) + 0.004 * np.sin(9 * share + rng.uniform(0, 6.28))
    edge = np.stack([np.maximum(chest.lateral(v) - gap, 0.10), v], axis=1)
    crown = np.array([[chest.medial(v[:1])[0] + 0.005, v[0] - 0.002], [0.5 * edge[0, 0] + 0.03, v[0] - 0.018]])
    pleura = placed(smooth_line(np.vstack([crown, edge]), 60), side)
    far = placed(np.array([[0.6, base_v], [0.6, -0.1], [0.02, -0.1]]), side)
    zone = frame.blur(frame.fill(np.vstack([pleura, far])), 0.0015) * site.lung(side)
    line = frame.blur(frame.paint([(band(pleura, 0.0042), 1.0)]), 0.0011) * site.lung(side)
    collapsed = site.lung(side) * (1 - zone)
    strength = 0.45 + 0.65 * finding.contrast
    density = strength * (-0.12 * zone + 0.10 * line + 0.05 * finding.size / 0.1 * collapsed)
    return density, zone, zone


def _step(x: Values) -> Values:
    """A soft step from 0 to 1 at x = 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


def _outline(mask: Field, site: Site) -> Drawing:
    empty = site.frame.zeros()
    return empty, empty, mask


def _heart(_: Finding, site: Site, __: np.random.Generator) -> Drawing:
    """The enlarged heart is drawn by the chest; its box is the heart."""
    return _outline(site.heart, site)


def _aorta(_: Finding, site: Site, __: np.random.Generator) -> Drawing:
    """The wide aortic arch is drawn by the chest; its box is the arch."""
    return _outline(site.frame.fill(smooth_loop(site.chest.knob_outline(), rounds=1)), site)


_DRAWERS: dict[str, Callable[[Finding, Site, np.random.Generator], Drawing]] = {
    "Aortic enlargement": _aorta,
    "Atelectasis": _atelectasis,
    "Cardiomegaly": _heart,
    "Effusion": _effusion,
    "Infiltrate": _infiltrate,
    "Mass": _focus,
    "Nodule": _focus,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
}
