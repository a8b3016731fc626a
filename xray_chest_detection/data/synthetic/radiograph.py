"""From attenuation to a picture: the beam, scatter, noise, blur and the film curve.

Layers of `body`, `skeleton`, `vessels`, `devices` and `findings` are added up as attenuation, because that is what the
beam does; everything that follows acts on their sum, so bones and findings fade behind the heart as in real pictures.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xray_chest_detection.data.synthetic.anatomy import LEFT, RIGHT, Exposure, PatientAnatomy, sample_exposure
from xray_chest_detection.data.synthetic.body import abdomen, airway, breasts, heart_and_vessels, lung_air, torso
from xray_chest_detection.data.synthetic.canvas import Field, Frame
from xray_chest_detection.data.synthetic.chest import Chest, chest_of
from xray_chest_detection.data.synthetic.devices import burn_in, devices
from xray_chest_detection.data.synthetic.findings import Finding, Site, change_of
from xray_chest_detection.data.synthetic.skeleton import skeleton
from xray_chest_detection.data.synthetic.vessels import vessels

Box = tuple[str, float, float, float, float]


@dataclass(frozen=True)
class SyntheticImage:
    """A rendered radiograph and what is true about it.

    Attributes:
        intensity: `(H, W)` float32, 0 black .. 1 white, dense tissue is bright.
        boxes: Class name and x1, y1, x2, y2 in pixels, origin top left, max exclusive; one per finding.
        view: `PA` or `AP`.
    """

    intensity: Field
    boxes: list[Box] = field(default_factory=list)
    view: str = "PA"

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The picture `(H, W)` in 8 bits."""
        return np.rint(self.intensity * 255).astype(np.uint8)


def render_radiograph(
    patient: PatientAnatomy,
    rng: np.random.Generator,
    *,
    size_px: int,
    findings: tuple[Finding, ...] = (),
    exposure: Exposure | None = None,
) -> SyntheticImage:
    """Render one frontal chest radiograph.

    The random numbers of exposure, body and noise do not depend on the findings: with a generator in the same state,
    two pictures with and without a finding differ by the finding alone.

    Args:
        patient: The body; gives the same chest every time.
        rng: Source of exposure, noise and other chances of this one picture.
        size_px: Side of the square picture.
        findings: What the patient has; empty is a normal chest.
        exposure: Conditions of the picture; drawn from `rng` where absent.
    """
    exposure_rng, body_rng, film_rng = rng.spawn(3)
    exposure = exposure or sample_exposure(exposure_rng)
    frame = exposure.frame(size_px)
    chest = _chest_with(patient, exposure, findings)
    attenuation, boxes = _attenuation(frame, chest, patient, exposure, findings, body_rng)
    picture = burn_in(_develop(attenuation, frame, exposure, film_rng), exposure, film_rng)
    return SyntheticImage(np.clip(picture, 0.0, 1.0), boxes, exposure.view)


def _chest_with(patient: PatientAnatomy, exposure: Exposure, findings: tuple[Finding, ...]) -> Chest:
    """The outlines, changed by those findings that change outlines."""
    heart_ratio, knob = patient.heart_ratio, patient.knob
    lift = {RIGHT: 0.0, LEFT: 0.0}
    for finding in findings:
        if finding.class_name == "Cardiomegaly":
            heart_ratio = max(heart_ratio, finding.size)
        elif finding.class_name == "Aortic enlargement":
            knob = max(knob, finding.size)
        elif finding.class_name == "Atelectasis":
            lift[finding.side] = max(lift[finding.side], 0.035 * finding.contrast)
    return chest_of(patient, exposure, heart_ratio=heart_ratio, knob=knob, lift=lift)


def _attenuation(
    frame: Frame,
    chest: Chest,
    patient: PatientAnatomy,
    exposure: Exposure,
    findings: tuple[Finding, ...],
    rng: np.random.Generator,
) -> tuple[Field, list[Box]]:
    gas_rng, device_rng, texture_rng = rng.spawn(3)
    lungs, air = lung_air(frame, chest)
    heart, centre = heart_and_vessels(frame, chest, patient)
    site = Site(frame, chest, lungs, heart)
    changes = [(finding, change_of(finding, site)) for finding in findings]
    hidden, added = frame.zeros(), frame.zeros()
    for _, change in changes:
        hidden, added = np.maximum(hidden, change.vessels_hidden), added + change.density

    body = torso(frame, patient) + breasts(frame, patient)
    air_density = 0.48 + 0.05 * patient.emphysema + 0.11 * patient.fat
    inside = lungs * (1 - 0.45 * heart)
    tissue = vessels(frame, chest, patient, width_factor=exposure.vascularity)
    tissue += 0.012 * frame.noise(texture_rng, grain=0.05, octaves=3)
    total = 0.94 * body - air_density * air * (1 - 0.62 * heart) - 0.15 * airway(frame, chest)
    total += tissue * inside * (1 - hidden) + added
    total += np.maximum(abdomen(frame, chest, gas=exposure.gastric_bubble, rng=gas_rng), centre)
    total += skeleton(frame, chest, patient, exposure) * (body > 0.02) + devices(frame, chest, exposure, device_rng)
    total *= 1 + np.float32(0.08 * exposure.yaw) * (frame.grid[0] - np.float32(0.5))
    boxes = [(finding.class_name, *change.box) for finding, change in changes if change.box is not None]
    return np.maximum(total, 0), boxes


def _develop(attenuation: Field, frame: Frame, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Film or detector: scatter, noise that grows where few photons arrive, blur and a curve that saturates."""
    veil = frame.blur(attenuation, 0.07)
    share = np.float32(exposure.scatter)
    signal = attenuation * (1 - share) + veil * share
    grain = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = signal + exposure.noise * grain * np.exp(0.9 * signal)
    signal = frame.blur(signal, exposure.blur_px_1024 / 1024)
    exposed = np.maximum(signal, 0) * np.float32(exposure.gain * 1.12)
    curve = exposed / (1 + exposed**4) ** np.float32(0.25)
    return np.asarray(0.015 + 0.975 * curve ** np.float32(exposure.gamma), dtype=np.float32)
