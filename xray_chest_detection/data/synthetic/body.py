"""Soft tissue and air of a normal chest as attenuation: skin outline, lungs, heart, mediastinum, abdomen."""

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import LEFT, MIDLINE, RIGHT, PatientAnatomy
from xray_chest_detection.data.synthetic.canvas import Field, Frame, Points, band, ellipse, smooth_line, smooth_loop
from xray_chest_detection.data.synthetic.chest import Chest, placed

SIDES = (RIGHT, LEFT)


def torso(frame: Frame, patient: PatientAnatomy) -> Field:
    """Attenuation of the outer body: trunk, neck and arms; zero where the beam meets only air."""
    wall = patient.half_width + 0.030 + 0.045 * patient.fat
    neck = 0.115 + 0.03 * patient.fat
    right_half = np.array(
        [
            [neck, -0.20], [neck, 0.0], [neck + 0.02, 0.045], [0.24, 0.085], [0.40, 0.115], [0.50, 0.17], [0.56, 0.28],
            [0.60, 0.45], [0.64, 1.2], [wall + 0.135, 1.2], [wall + 0.105, 0.60], [wall + 0.055, 0.44],
            [wall + 0.012, 0.385], [wall + 0.004, 0.46], [wall, 0.62], [wall - 0.004, 0.80], [wall + 0.01, 1.2],
        ]
    )  # fmt: skip
    outline = np.vstack([right_half, (right_half * [-1, 1])[::-1]])
    mask = frame.fill(placed(smooth_loop(outline, rounds=2)))
    trunk = frame.fill(
        smooth_loop(np.array([[0.5 - wall, 0.1], [0.5 + wall, 0.1], [0.5 + wall, 1.3], [0.5 - wall, 1.3]]))
    )
    bulk = 0.10 + 0.44 * frame.depth(mask, 0.055) + (0.16 + 0.08 * patient.fat) * frame.blur(trunk, 0.03)
    return mask * bulk


def breasts(frame: Frame, patient: PatientAnatomy) -> Field:
    """Attenuation of the breasts: a soft upper and a clear lower border; empty for none."""
    layer = frame.zeros()
    if patient.breast <= 0.05:
        return layer
    size = 0.10 + 0.075 * patient.breast
    for side in SIDES:
        centre = (MIDLINE + side * (0.225 + 0.035 * patient.breast), 0.60 + 0.06 * patient.breast)
        shape = frame.fill(ellipse(centre, (1.08 * size, 1.05 * size), turn_rad=0.3 * side))
        _, v = frame.grid
        layer += shape * np.clip((v - centre[1] + size) / (1.6 * size), 0, 1) ** 1.3
    return np.asarray(0.17 * patient.breast**0.6 * frame.blur(layer, 0.006), dtype=np.float32)


def lung_air(frame: Frame, chest: Chest) -> tuple[Field, Field]:
    """Mask of both lungs 0..1 and the air that the beam crosses in them 0..1 (less at the edges than in the middle)."""
    mask = np.maximum(frame.fill(chest.lung(RIGHT)), frame.fill(chest.lung(LEFT)))
    mask = frame.blur(mask, 0.0018)
    return mask, mask * (0.58 + 0.42 * frame.depth(mask, 0.035))


def heart_and_vessels(frame: Frame, chest: Chest, patient: PatientAnatomy) -> tuple[Field, Field]:
    """Mask of the heart alone 0..1, and the attenuation of heart, great vessels and mediastinum."""
    heart = frame.blur(frame.fill(chest.heart()), 0.0045)
    knob = frame.blur(frame.fill(chest.knob_outline()), 0.0045)
    shift = 0.5 * chest.heart_shift
    wide = 1.0 + 0.25 * patient.fat
    trunk = np.array(
        [
            [-0.030, 0.05], [-0.042, 0.12], [-0.052, 0.18], [-0.058, 0.28], [-0.064, 0.38], [-0.060, 0.50],
            [-0.04, 0.75], [0.04, 0.75], [0.095, 0.47], [0.086, 0.41], [0.072, 0.36], [0.060, 0.28], [0.050, 0.18],
            [0.040, 0.12], [0.030, 0.05],
        ]
    ) * [wide, 1.0]  # fmt: skip
    middle = frame.blur(frame.fill(placed(smooth_loop(trunk), du=shift)), 0.006)
    density = np.maximum(0.22 * middle, 0.22 * knob)
    return heart, np.maximum(density, heart * (0.13 + 0.19 * frame.depth(heart, 0.05)))


def airway(frame: Frame, chest: Chest) -> Field:
    """Air in the trachea and the main bronchi, 0..1."""
    x = MIDLINE + 0.5 * chest.heart_shift
    carina = chest.apex_v + 0.235
    trachea = smooth_line(np.array([[x, -0.1], [x - 0.002, 0.1], [x - 0.010, carina - 0.05], [x - 0.008, carina]]))
    right = smooth_line(np.array([[x - 0.010, carina - 0.012], [x - 0.035, carina + 0.03], [x - 0.06, carina + 0.09]]))
    left = smooth_line(
        np.array([[x - 0.004, carina - 0.012], [x + 0.035, carina + 0.035], [x + 0.085, carina + 0.075]])
    )
    pipes = [(band(trachea, 0.036), 1.0), (band(right, 0.024), 0.7), (band(left, 0.020), 0.6)]
    return frame.blur(frame.paint(pipes), 0.0035)


def abdomen(frame: Frame, chest: Chest, *, gas: bool, rng: np.random.Generator) -> Field:
    """Attenuation below the diaphragm, less some gas in stomach and bowel."""
    layer = frame.zeros()
    for side in SIDES:
        x = np.linspace(-0.01, chest.half_width * 0.995, 40)
        dome = np.stack([x, chest.dome(side, np.maximum(x, 0.09))], axis=1)
        below: Points = np.vstack([dome, [[chest.half_width + 0.01, 1.3], [-0.01, 1.3]]])
        layer = np.maximum(layer, frame.fill(placed(below, side)))
    layer = frame.blur(layer, 0.0025)
    density = layer * (0.25 + 0.17 * frame.depth(layer, 0.12))
    bubbles = frame.zeros()
    if gas:
        v = chest.dome_v[LEFT] + rng.uniform(0.055, 0.075)
        radii = (rng.uniform(0.05, 0.085), rng.uniform(0.028, 0.045))
        bubble = ellipse((MIDLINE + rng.uniform(0.16, 0.22), v), radii)
        bubble[:, 1] = np.minimum(bubble[:, 1], v + rng.uniform(0.25, 0.9) * radii[1])
        bubbles += frame.blur(frame.fill(bubble), 0.003)
    for _ in range(int(rng.integers(0, 7))):
        spot = (MIDLINE + rng.uniform(-0.1, 0.3), rng.uniform(0.86, 1.0))
        bubbles += 0.6 * frame.blur(
            frame.fill(ellipse(spot, (rng.uniform(0.015, 0.05), rng.uniform(0.012, 0.03)))), 0.006
        )
    return np.asarray(density - 0.30 * np.minimum(bubbles, 1.2) * layer, dtype=np.float32)
