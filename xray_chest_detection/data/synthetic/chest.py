"""The outlines of one chest on one image, from a body, the conditions of the exposure and the findings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.synthetic.anatomy import LEFT, MIDLINE, RIGHT, Exposure, PatientAnatomy
from xray_chest_detection.data.synthetic.canvas import Points, smooth_loop


@dataclass(frozen=True)
class Chest:
    """The outlines of one chest on one image, in patient coordinates."""

    half_width: float
    apex_v: float
    dome_v: Mapping[int, float]
    recess: float
    heart_width: float
    heart_shift: float
    knob: float

    def lateral(self, v: Points) -> Points:
        """Distance of the inner chest wall from the midline at height `v`."""
        t = np.clip((v - self.apex_v) / (self.dome_v[RIGHT] + self.recess - self.apex_v), 0.0, 1.3)
        rise = np.sin(np.pi / 2 * np.minimum(1.0, t / 0.80)) ** 0.62
        taper = 1.0 - 0.10 * np.clip(t - 0.8, 0.0, 1.0)
        return np.asarray((0.47 + 0.53 * rise) * taper * self.half_width)

    def medial(self, v: Points) -> Points:
        """Distance of the inner lung edge from the midline at height `v`."""
        nodes = self.apex_v + np.array([0.0, 0.03, 0.09, 0.18, 0.30, 0.45, 0.60])
        return np.interp(v, nodes, [0.098, 0.076, 0.062, 0.054, 0.056, 0.066, 0.070])

    def dome(self, side: int, x: Points) -> Points:
        """Height of the diaphragm at distance `x` from the midline."""
        f = x / self.half_width
        rise = np.where(f < 0.45, 0.22 * (0.45 - f) ** 2, self.recess * np.clip((f - 0.45) / 0.55, 0, None) ** 2.8)
        return np.asarray(self.dome_v[side] + rise)

    def lung(self, side: int) -> Points:
        """Outline of one lung, from the apex down the wall and back along the diaphragm and the mediastinum."""
        bottom = self.dome_v[side] + 0.92 * self.recess
        wall_v = self.apex_v + (bottom - self.apex_v) * np.linspace(0, 1, 48) ** 1.7
        wall = np.stack([self.lateral(wall_v), wall_v], axis=1)
        floor_x = np.linspace(wall[-1, 0] - 0.006, 0.07, 30)
        floor = np.stack([floor_x, np.minimum(self.dome(side, floor_x), bottom)], axis=1)
        inner_v = np.linspace(floor[-1, 1] - 0.01, self.apex_v + 0.008, 30)
        inner = np.stack([self.medial(inner_v), inner_v], axis=1)
        crown = np.array([[0.32, -0.012], [0.37, -0.015], [0.43, -0.011]]) * [self.half_width, 1.0] + [0.0, self.apex_v]
        outline = smooth_loop(np.vstack([wall, floor, inner, crown]), rounds=1)
        return placed(outline, side)

    def heart(self) -> Points:
        """Outline of the heart; its apex points to the patient's left."""
        base = 0.385
        bottom = max(self.dome_v[RIGHT], self.dome_v[LEFT]) + 0.035
        span = bottom - base
        right, left = 0.30 * self.heart_width, 0.70 * self.heart_width
        corners = np.array(
            [
                [-0.045, base - 0.01], [-0.72 * right, base + 0.16 * span], [-1.06 * right, base + 0.42 * span],
                [-1.10 * right, base + 0.74 * span], [-0.80 * right, bottom], [0.25 * left, bottom + 0.018],
                [0.80 * left, bottom + 0.012], [1.06 * left, bottom - 0.035], [1.02 * left, base + 0.70 * span],
                [0.80 * left, base + 0.42 * span], [0.52 * left, base + 0.16 * span], [0.060, base - 0.01],
            ]
        )  # fmt: skip
        return placed(smooth_loop(corners), du=self.heart_shift)

    def knob_outline(self) -> Points:
        """Outline of the aortic arch seen end-on, left of the trachea."""
        radius = 0.036 * self.knob
        centre = (0.022 + 0.020 * self.knob, self.apex_v + 0.170)
        corners = np.array([[-1.0, -0.6], [0.0, -1.0], [1.0, -0.7], [1.15, 0.2], [0.8, 1.1], [0.1, 1.6], [-1.0, 1.6]])
        return placed(smooth_loop(corners * radius + np.array(centre)), du=0.5 * self.heart_shift)

    def at(self, side: int, depth: float, breadth: float) -> tuple[float, float]:
        """The point of a lung at `depth` (0 apex .. 1 base) and `breadth` (0 mediastinum .. 1 chest wall)."""
        column = np.array([0.45 * self.half_width])
        v = self.apex_v + depth * (float(self.dome(side, column)[0]) - self.apex_v)
        inner, outer = float(self.medial(np.array([v]))[0]), float(self.lateral(np.array([v]))[0])
        if side == LEFT:
            inner += max(0.0, depth - 0.45) * 0.45 * self.heart_width  # beside the heart rather than behind it
        return MIDLINE + side * (inner + breadth * (outer - inner)), v


def chest_of(
    patient: PatientAnatomy, exposure: Exposure, *, heart_ratio: float, knob: float, lift: Mapping[int, float]
) -> Chest:
    """The chest on this image.

    Args:
        patient: The body.
        exposure: The conditions of the image.
        heart_ratio: Cardiothoracic ratio to show; enlarged hearts differ from the patient's own.
        knob: Size of the aortic knob to show.
        lift: How far each side's diaphragm is pulled up by lost lung volume, image sides.
    """
    bed = exposure.view == "AP"
    dome = patient.dome_v + exposure.inspiration + 0.02 * patient.emphysema
    domes = {RIGHT: dome - lift[RIGHT], LEFT: dome + patient.left_drop - lift[LEFT]}
    return Chest(
        half_width=patient.half_width,
        apex_v=patient.apex_v,
        dome_v=domes,
        recess=0.098 - 0.035 * patient.emphysema,
        heart_width=2 * patient.half_width * heart_ratio * (1.06 if bed else 1.0),
        heart_shift=0.018 * exposure.yaw,
        knob=knob,
    )


def placed(points: Points, side: int = LEFT, *, du: float = 0.0) -> Points:
    """Points given by their distance from the midline (and height), on one side of the body, moved by `du`."""
    return np.asarray(points * np.array([side, 1.0]) + np.array([MIDLINE + du, 0.0]))
