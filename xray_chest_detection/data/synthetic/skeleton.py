"""Bones of the chest as attenuation: ribs, clavicles, shoulder blades, humeri and spine."""

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import LEFT, MIDLINE, RIGHT, Exposure, PatientAnatomy
from xray_chest_detection.data.synthetic.canvas import Field, Frame, Points, band, ellipse, smooth_line
from xray_chest_detection.data.synthetic.chest import Chest, placed

_N_RIBS = 11


def skeleton(frame: Frame, chest: Chest, patient: PatientAnatomy, exposure: Exposure) -> Field:
    """Attenuation of all bones."""
    rng = np.random.default_rng([patient.seed, 1])
    bones = 0.10 * _ribs(frame, chest, rng) + 0.085 * _wall(frame, chest)
    bones += 0.12 * _clavicles(frame, chest, exposure) + _shoulders(frame, chest, exposure, rng)
    return np.asarray(patient.bone * (bones + _spine(frame, patient, rng)), dtype=np.float32)


def _ribs(frame: Frame, chest: Chest, rng: np.random.Generator) -> Field:
    """Posterior ribs, and the fainter anterior arcs that cross them."""
    back: list[tuple[Points, float]] = []
    front: list[tuple[Points, float]] = []
    pitch = (chest.dome_v[RIGHT] + 0.08 - chest.apex_v) / 9.3
    for side in (RIGHT, LEFT):
        for number in range(_N_RIBS):
            start = chest.apex_v - 0.012 + pitch * (number + 0.08 * rng.standard_normal())
            posterior, anterior = _rib_lines(chest, number, start, pitch)
            for line, layer, width, value in ((posterior, back, 0.0205, 0.62), (anterior, front, 0.023, 0.50)):
                layer.extend(_bone(placed(line, side), width * (0.75 if number == 0 else 1.0), value))
    fade_u = np.abs(frame.grid[0] - MIDLINE) / np.float32(chest.half_width)
    both = frame.paint(back) + frame.paint(front) * np.clip(fade_u * 1.8 - 0.85, 0, 0.6)
    return frame.blur(both, 0.0013)


def _rib_lines(chest: Chest, number: int, start_v: float, pitch: float) -> tuple[Points, Points]:
    """Centre lines of one rib in distances from the midline: from the spine to the wall, and from there forwards."""
    sag = 0.055 + 0.0085 * number
    wall_v = start_v + sag + 0.03
    wall = float(chest.lateral(np.array([wall_v]))[0]) + 0.002
    back = np.array(
        [
            [0.030, start_v + 0.012], [0.20 * wall + 0.02, start_v - 0.010], [0.50 * wall, start_v + 0.10 * sag],
            [0.78 * wall, start_v + 0.45 * sag], [0.95 * wall, start_v + 0.82 * sag], [wall, wall_v],
        ]
    )  # fmt: skip
    drop = 0.9 * pitch + 0.012 * number
    front = np.array(
        [
            [wall, wall_v], [0.975 * wall, wall_v + 0.40 * drop], [0.86 * wall, wall_v + 0.85 * drop],
            [0.66 * wall, wall_v + 1.15 * drop], [0.45 * wall, wall_v + 1.22 * drop],
        ]
    )  # fmt: skip
    return smooth_line(back), smooth_line(front)


def _bone(line: Points, width: float, value: float) -> list[tuple[Points, float]]:
    """A band with the brighter cortex along its edges."""
    edge = np.array([0.0, 0.5 * width - 0.0012])
    body = (band(line, width), value)
    return [
        body,
        (band(line + edge, 0.0035), min(1.0, value * 1.6)),
        (band(line - edge, 0.0025), min(1.0, value * 1.35)),
    ]


def _wall(frame: Frame, chest: Chest) -> Field:
    """The rib cage seen edge-on: a bright rim outside the lungs."""
    rims: list[tuple[Points, float]] = []
    for side in (RIGHT, LEFT):
        v = np.linspace(chest.apex_v + 0.05, chest.dome_v[side] + 0.22, 40)
        rim = np.stack([chest.lateral(v) + 0.011, v], axis=1)
        rims.append((band(placed(rim, side), 0.017), 1.0))
    return frame.blur(frame.paint(rims), 0.004)


def _clavicles(frame: Frame, chest: Chest, exposure: Exposure) -> Field:
    shapes: list[tuple[Points, float]] = []
    high = -0.02 if exposure.view == "AP" else 0.0
    for side in (RIGHT, LEFT):
        head = 0.030 + 0.018 * exposure.yaw * side
        v = chest.apex_v + 0.065
        line = np.array(
            [[head, v + 0.012], [head + 0.07, v - 0.002], [0.20, v - 0.030 + high], [0.31, v - 0.050 + high],
             [0.42, v - 0.045 + high], [0.46, v - 0.030 + high]]
        )  # fmt: skip
        centre = placed(smooth_line(line), side)
        width = np.interp(
            np.linspace(0, 1, 24), [0, 0.03, 0.15, 0.5, 0.9, 1.0], [0.020, 0.036, 0.026, 0.021, 0.026, 0.008]
        )
        shapes.append((band(centre, width), 0.70))
        shapes.extend((band((centre + np.array([0, dv]))[1:-3], 0.004), 0.95) for dv in (-0.010, 0.010))
    return frame.blur(frame.paint(shapes), 0.0015)


def _shoulders(frame: Frame, chest: Chest, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Shoulder blades (over the lungs only when the patient lies in bed), shoulder joints and upper arms."""
    blades: list[tuple[Points, float]] = []
    arms: list[tuple[Points, float]] = []
    inwards = 0.055 if exposure.view == "AP" else rng.uniform(-0.01, 0.02)
    for side in (RIGHT, LEFT):
        x, v = chest.half_width + 0.035 - inwards, chest.apex_v + 0.03
        blade = np.array(
            [[x - 0.045, v + 0.01], [x + 0.09, v], [x + 0.06, v + 0.10], [x - 0.01, v + 0.30], [x - 0.05, v + 0.2]]
        )
        blades.append((placed(_smooth_closed(blade), side), 0.55))
        rim = placed(smooth_line(blade[[1, 2, 3, 4, 0]]), side)
        blades.append((band(rim, 0.006), 1.0))
        head = ellipse((x + 0.125, v + 0.045), (0.042, 0.046))
        shaft = smooth_line(np.array([[x + 0.13, v + 0.06], [x + 0.155, v + 0.17], [x + 0.185, v + 0.75]]))
        arms.append((placed(head, side), 0.9))
        arms.append((band(placed(shaft, side), 0.046), 0.9))
    return 0.075 * frame.blur(frame.paint(blades), 0.003) + 0.11 * frame.blur(frame.paint(arms), 0.004)


def _spine(frame: Frame, patient: PatientAnatomy, rng: np.random.Generator) -> Field:
    """Vertebral bodies with their discs, pedicles and spinous processes."""
    column: list[tuple[Points, float]] = []
    details: list[tuple[Points, float]] = []
    centre_v, phase = -0.03, rng.uniform(0, 2 * np.pi)
    while centre_v < 1.05:
        height = 0.040 + 0.014 * centre_v
        half = 0.030 + 0.012 * max(0.0, centre_v)
        u = MIDLINE + patient.spine_bend * np.sin(2.2 * np.pi * centre_v + phase)
        corners = np.array(
            [[-half, -0.5], [0, -0.42], [half, -0.5], [0.86 * half, 0], [half, 0.5], [0, 0.42], [-half, 0.5]]
        )
        corners = np.vstack([corners, [[-0.86 * half, 0]]]) * [1.0, height * 0.86] + [u, centre_v]
        column.append((corners, 0.85))
        details.extend((ellipse((u + s * 0.62 * half, centre_v - 0.1 * height), (0.006, 0.009)), 0.8) for s in (-1, 1))
        details.append((ellipse((u, centre_v + 0.25 * height), (0.005, 0.013)), 0.9))
        centre_v += height
    return 0.075 * frame.blur(frame.paint(column), 0.0022) + 0.035 * frame.blur(frame.paint(details), 0.002)


def _smooth_closed(corners: Points) -> Points:
    """A closed spline through the corners."""
    return smooth_line(np.vstack([corners, corners[:1]]), n_points=40)
