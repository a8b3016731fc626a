"""The synthetic set as NIH ChestX-ray14 stands on disk: PNG files, a table of labels and a table of boxes.

Source: Wang et al., ChestX-ray8, 2017; headers as in BBox_List_2017.csv and Data_Entry_2017_v2020.csv.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from xray_chest_detection.core.files import atomic_path, write_text
from xray_chest_detection.data.synthetic.anatomy import PatientAnatomy, sample_patient
from xray_chest_detection.data.synthetic.cases import NIH_CLASSES, next_visit, sample_findings
from xray_chest_detection.data.synthetic.findings import Finding
from xray_chest_detection.data.synthetic.radiograph import SyntheticImage, render_radiograph

REFERENCE_PX = 1024
IMAGE_FOLDER = Path("images_001") / "images"
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)

_LABEL = {"Infiltrate": "Infiltration"}  # the label table's spelling


@dataclass(frozen=True)
class Visit:
    """One planned image of one patient; boxes are withheld where `boxed` is false, as mostly in the real set."""

    patient_id: int
    follow_up: int
    patient: PatientAnatomy
    findings: tuple[Finding, ...]
    boxed: bool
    seed: tuple[int, ...]

    @property
    def name(self) -> str:
        """File name, `<8-digit patient>_<3-digit follow-up>.png`."""
        return f"{self.patient_id:08d}_{self.follow_up:03d}.png"


def plan_visits(
    seed: int, *, n_patients: int, max_visits: int, healthy_share: float, unboxed_share: float
) -> list[Visit]:
    """Draw patients and their visits.

    A share of the patients never has a finding; of the others, some visits are free of findings too.
    """
    visits: list[Visit] = []
    for patient_id in range(1, n_patients + 1):
        rng = np.random.default_rng([seed, 10, patient_id])
        patient = sample_patient(rng)
        healthy = bool(rng.random() < healthy_share)
        findings: tuple[Finding, ...] = ()
        for follow_up in range(int(rng.integers(1, max_visits + 1))):
            if not healthy:
                findings = next_visit(rng, findings, NIH_CLASSES) if findings else sample_findings(rng, NIH_CLASSES)
            boxed = bool(rng.random() >= unboxed_share)
            visits.append(Visit(patient_id, follow_up, patient, findings, boxed, (seed, 11, patient_id, follow_up)))
    return visits


def render_visit(visit: Visit, size_px: int) -> SyntheticImage:
    """Render the image of one visit."""
    rng = np.random.default_rng(visit.seed)
    return render_radiograph(visit.patient, rng, size_px=size_px, findings=visit.findings)


def write_png(path: Path, image: SyntheticImage) -> None:
    """Write a picture as 8-bit grey PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        Image.fromarray(image.pixels).save(temporary)


def box_rows(visit: Visit, image: SyntheticImage) -> list[str]:
    """Lines of the box table, in pixels of the 1024x1024 original whatever the size on disk."""
    if not visit.boxed:
        return []
    scale = REFERENCE_PX / image.intensity.shape[0]
    return [
        f"{visit.name},{label},{x1 * scale:.12g},{y1 * scale:.12g},{(x2 - x1) * scale:.12g},{(y2 - y1) * scale:.12g},,,"
        for label, x1, y1, x2, y2 in image.boxes
    ]


def entry_row(visit: Visit, image: SyntheticImage) -> str:
    """The image's line of the label table."""
    labels = sorted({_LABEL.get(name, name) for name, *_ in image.boxes})
    age = visit.patient.age_years + visit.follow_up // 2
    return (
        f"{visit.name},{'|'.join(labels) or 'No Finding'},{visit.follow_up},{visit.patient_id},{age},"
        f"{visit.patient.sex},{image.view},2048,2048,0.171,0.171"
    )


def write_tables(folder: Path, boxes: list[str], entries: list[str]) -> None:
    """Write both tables."""
    write_text(folder / "BBox_List_2017.csv", "\n".join([BOX_HEADER, *boxes]) + "\n")
    write_text(folder / "Data_Entry_2017.csv", "\n".join([ENTRY_HEADER, *entries]) + "\n")
