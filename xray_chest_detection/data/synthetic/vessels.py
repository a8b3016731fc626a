"""The branching blood vessels of both lungs, as attenuation."""

from functools import lru_cache

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import LEFT, MIDLINE, RIGHT, PatientAnatomy
from xray_chest_detection.data.synthetic.canvas import Field, Frame, Points, band, ellipse, smooth_line
from xray_chest_detection.data.synthetic.chest import Chest, placed

_STEP = 0.022
_THINNEST = 0.0016


def vessels(frame: Frame, chest: Chest, patient: PatientAnatomy, *, width_factor: float) -> Field:
    """Attenuation of hila and lung vessels, to be limited to the lungs by the caller."""
    thin: list[tuple[Points, float]] = []
    hila: list[tuple[Points, float]] = []
    for side in (RIGHT, LEFT):
        hilum = chest.apex_v + (0.315 if side == RIGHT else 0.290)
        origin = np.array([0.0, hilum])
        for line, width in _tree(patient.seed, side):
            value = min(1.0, 0.22 + 55 * width)
            thin.append((band(placed(line + origin, side, du=chest.heart_shift), width * width_factor), value))
        centre = (MIDLINE + chest.heart_shift + side * 0.088, hilum)
        hila.append((ellipse(centre, (0.026, 0.050), turn_rad=-0.35 * side), 1.0))
    thin.sort(key=lambda shape: shape[1])
    tree = 0.16 * frame.blur(frame.paint(thin), 0.0011)
    return np.asarray(tree + 0.10 * width_factor * frame.blur(frame.paint(hila), 0.012), dtype=np.float32)


@lru_cache(maxsize=64)
def _tree(seed: int, side: int) -> tuple[tuple[Points, float], ...]:
    """Pieces of the vessel tree of one side: centre lines in distance from the hilum, and their mean widths."""
    rng = np.random.default_rng([seed, 2, side + 1])
    pieces: list[tuple[Points, float]] = []
    n_trunks = 11
    waiting = []
    for k in range(n_trunks):
        angle = np.deg2rad(-78 + 160 * k / (n_trunks - 1) + rng.normal(0, 6))
        start = np.array([0.075, 0.0]) + rng.normal(0, [0.012, 0.020])
        waiting.append((start, angle, float(rng.uniform(0.0075, 0.0125))))
    while waiting:
        start, angle, width = waiting.pop()
        line, final_angle, final_width = _branch(rng, start, angle, width)
        pieces.append((line, 0.5 * (width + final_width)))
        if final_width > _THINNEST:
            fork = rng.uniform(0.25, 0.6)
            share = rng.uniform(0.55, 0.85)
            waiting.append((line[-1], final_angle + fork * (1 - share), final_width * share**0.4))
            waiting.append((line[-1], final_angle - fork * share, final_width * (1 - share) ** 0.35))
    return tuple(pieces)


def _branch(rng: np.random.Generator, start: Points, angle: float, width: float) -> tuple[Points, float, float]:
    """One piece between two forks: its line, and angle and width at its end."""
    n_steps = int(rng.integers(2, 5))
    points = [start]
    for _ in range(n_steps):
        angle += rng.normal(0, 0.16)
        points.append(points[-1] + _STEP * np.array([np.cos(angle), np.sin(angle)]))
    return smooth_line(np.array(points), n_points=3 * n_steps), angle, width * 0.90**n_steps
