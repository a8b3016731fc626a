"""What is in the picture besides the patient: wires, lines, tubes, burnt-in markers and the edge of the X-ray field."""

import cv2
import numpy as np

from xray_chest_detection.data.synthetic.anatomy import MIDLINE, Exposure
from xray_chest_detection.data.synthetic.canvas import Field, Frame, Points, band, ellipse, smooth_line
from xray_chest_detection.data.synthetic.chest import Chest


def devices(frame: Frame, chest: Chest, exposure: Exposure, rng: np.random.Generator) -> Field:
    """Attenuation of wires and tubes on or in the patient."""
    shapes: list[tuple[Points, float]] = []
    if "ecg" in exposure.devices:
        for u, v in ((0.25, 0.22), (0.74, 0.24), (0.76, 0.66)):
            pad = np.array([u, v]) + rng.normal(0, 0.03, 2)
            end = np.array([rng.uniform(0.3, 0.8), 1.1])
            wire = smooth_line(np.array([pad, (pad + end) / 2 + rng.normal(0, 0.06, 2), end]), 40)
            shapes += [(band(wire, 0.0028), 0.45), (ellipse((pad[0], pad[1]), (0.011, 0.011)), 0.6)]
            shapes.append((ellipse((pad[0], pad[1]), (0.005, 0.005)), 1.0))
    if "line" in exposure.devices:
        tip = MIDLINE - 0.045, chest.apex_v + 0.27
        path = np.array([[0.40, -0.05], [0.425, 0.06], [MIDLINE - 0.06, chest.apex_v + 0.09], tip])
        shapes.append((band(smooth_line(path, 40), 0.003), 0.6))
    if "tube" in exposure.devices:
        path = np.array([[0.505, -0.05], [0.502, 0.1], [0.508, 0.4], [0.515, 0.62], [0.56, 0.76], [0.60, 0.80]])
        shapes.append((band(smooth_line(path, 60), 0.0055), 0.5))
    return 0.38 * frame.blur(frame.paint(shapes), 0.0008)


def burn_in(picture: Field, exposure: Exposure, rng: np.random.Generator) -> Field:
    """The displayed picture 0..1 with the side marker and the edges of the X-ray field, fixed to the detector."""
    size_px = picture.shape[0]
    inset = rng.uniform(0.0, 0.05, 4)
    angle, corner_u, corner_v = rng.uniform(-0.2, 0.2), rng.uniform(0.05, 0.09), rng.uniform(0.06, 0.12)
    if exposure.collimated:
        left, top, right, bottom = (round(x * size_px) for x in inset * [1, 1, 1, 0.3])
        open_field = np.full_like(picture, 0.02)
        inside = np.s_[top : size_px - bottom, left : size_px - right]
        open_field[inside] = picture[inside]
        picture = cv2.GaussianBlur(open_field, (3, 3), 0.6)
    if not exposure.marker:
        return picture
    on_left_of_image = exposure.marker != "L"
    layer = np.zeros((size_px, size_px), dtype=np.uint8)
    text_scale = size_px / 512 * (0.75 if len(exposure.marker) == 1 else 0.36)
    x = corner_u if on_left_of_image else 1 - corner_u - 0.04
    place = (round(x * size_px), round(corner_v * size_px))
    thickness = max(1, round(size_px / 340))
    cv2.putText(layer, exposure.marker, place, cv2.FONT_HERSHEY_SIMPLEX, text_scale, 255, thickness, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D(place, float(np.rad2deg(angle)), 1.0)
    text = cv2.warpAffine(layer, turn, (size_px, size_px)).astype(np.float32) / 255
    return np.asarray(picture * (1 - 0.9 * text) + 0.9 * text, dtype=np.float32)
