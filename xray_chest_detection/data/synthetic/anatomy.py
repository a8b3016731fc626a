"""Who is X-rayed and how: the body of a patient and the conditions of one exposure."""

from dataclasses import dataclass

import numpy as np

from xray_chest_detection.data.synthetic.canvas import Frame

RIGHT, LEFT = -1, 1  # the patient's sides; his right lung is on the left of the image
MIDLINE = 0.5  # u of the middle of the body
FIELD_MM = 360.0  # side of the image at the patient: 1024 pixels of about 0.35 mm


@dataclass(frozen=True)
class PatientAnatomy:
    """What stays the same between two visits of a patient. Lengths in image sides.

    Attributes:
        age_years: Age at the first visit.
        sex: `M` or `F`, as in the public tables.
        half_width: Half of the inner width of the rib cage.
        apex_v: Height of the lung apices.
        dome_v: Height of the right diaphragm dome at full inspiration.
        left_drop: How much lower the left dome stands.
        heart_ratio: Cardiothoracic ratio, width of the heart over width of the rib cage; up to 0.5 is normal.
        knob: Size of the aortic knob relative to a young one.
        spine_bend: Side bend of the spine (scoliosis).
        fat: Soft tissue over the ribs, 0 lean .. 1 obese.
        breast: Size of the breast shadow, 0 none .. 1 large.
        bone: Calcium of the bones, about 1.
        emphysema: How over-inflated and dark the lungs are, 0..1.
        seed: Draws the vessel tree and everything else that is unlike in every body.
    """

    age_years: int
    sex: str
    half_width: float
    apex_v: float
    dome_v: float
    left_drop: float
    heart_ratio: float
    knob: float
    spine_bend: float
    fat: float
    breast: float
    bone: float
    emphysema: float
    seed: int


@dataclass(frozen=True)
class Exposure:
    """What changes from one image to the next.

    Attributes:
        view: `PA` (standing, X-rays from behind) or `AP` (in bed: larger heart, less air, shoulder blades over the
            lungs).
        inspiration: How much lower (positive) the diaphragm stands than in the patient's usual breath, image sides.
        rotation_rad: Turn in the image plane.
        yaw: Turn about the body's axis, -1..1.
        scale: Magnification.
        shift_uv: Displacement on the detector.
        gain: Overall brightness factor.
        gamma: Shape of the film curve.
        scatter: Share of scattered radiation.
        noise: Relative quantum noise.
        blur_px_1024: Blur of focus and motion in pixels of a 1024 px image.
        vascularity: Width of the lung vessels relative to normal.
        marker: Burnt-in side marker or text, empty for none.
        devices: Wires and tubes, any of `ecg`, `line`, `tube`.
        gastric_bubble: Whether gas is seen in the stomach.
        collimated: Whether the edges of the X-ray field are seen.
    """

    view: str
    inspiration: float
    rotation_rad: float
    yaw: float
    scale: float
    shift_uv: tuple[float, float]
    gain: float
    gamma: float
    scatter: float
    noise: float
    blur_px_1024: float
    vascularity: float
    marker: str
    devices: tuple[str, ...]
    gastric_bubble: bool
    collimated: bool

    def frame(self, size_px: int) -> Frame:
        """The frame that puts the patient on an image of this size."""
        return Frame(size_px, self.rotation_rad, self.scale, self.shift_uv)


def sample_patient(rng: np.random.Generator) -> PatientAnatomy:
    """Draw an adult."""
    female = bool(rng.random() < 0.45)
    age = int(np.clip(rng.normal(52, 17), 18, 92))
    old = (age - 18) / 74
    return PatientAnatomy(
        age_years=age,
        sex="F" if female else "M",
        half_width=float(rng.uniform(0.335, 0.375) + (0.0 if female else 0.012)),
        apex_v=float(rng.uniform(0.095, 0.14)),
        dome_v=float(rng.uniform(0.635, 0.70)),
        left_drop=float(rng.uniform(0.012, 0.035)),
        heart_ratio=float(np.clip(rng.normal(0.435 + 0.025 * old, 0.02), 0.39, 0.485)),
        knob=float(0.85 + 0.35 * old + rng.normal(0, 0.06)),
        spine_bend=float(rng.normal(0, 0.006)),
        fat=float(rng.beta(2.0, 3.0)),
        breast=float(rng.uniform(0.3, 1.0)) if female else 0.0,
        bone=float(1.1 - 0.35 * old + rng.normal(0, 0.08)),
        emphysema=float(rng.beta(1.2, 5.0)),
        seed=int(rng.integers(2**32)),
    )


def sample_exposure(rng: np.random.Generator, *, view: str | None = None) -> Exposure:
    """Draw the conditions of one image; two of five are taken in bed (AP), as in the public set."""
    if view is None:
        view = "AP" if rng.random() < 0.39 else "PA"
    bed = view == "AP"
    spread = 2.0 if bed else 1.0
    devices = tuple(
        name
        for name, share in (("ecg", 0.5), ("line", 0.35), ("tube", 0.2))
        if rng.random() < share * (1 if bed else 0.12)
    )
    marker = (
        str(rng.choice(["L", "R", "L", "AP", "PORTABLE"] if bed else ["L", "R", "L"])) if rng.random() < 0.7 else ""
    )
    return Exposure(
        view=view,
        inspiration=float(rng.normal(-0.045 if bed else 0.0, 0.014)),
        rotation_rad=float(rng.normal(0, np.deg2rad(1.2 * spread))),
        yaw=float(np.clip(rng.normal(0, 0.3 * spread), -1, 1)),
        scale=float(rng.normal(1.02 if bed else 0.99, 0.03)),
        shift_uv=(float(rng.normal(0, 0.010 * spread)), float(rng.normal(0.015, 0.012 * spread))),
        gain=float(rng.normal(1.0, 0.07)),
        gamma=float(rng.uniform(0.85, 1.15)),
        scatter=float(rng.uniform(0.06, 0.16) + (0.08 if bed else 0.0)),
        noise=float(rng.uniform(0.005, 0.013) * (1.3 if bed else 1.0)),
        blur_px_1024=float(rng.uniform(0.6, 1.6)),
        vascularity=float(rng.normal(1.0, 0.12) + (0.15 if bed else 0.0)),
        marker=marker,
        devices=devices,
        gastric_bubble=bool(rng.random() < 0.6),
        collimated=bool(rng.random() < 0.25),
    )
