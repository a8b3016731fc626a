"""Synthetic frontal chest radiographs with known findings, drawn by this project, in both public formats.

They let every stage run without a download and without anyone's data. They show what findings look like in principle;
numbers measured on them say that the program works, never how well a model reads real pictures.
"""

from xray_chest_detection.data.synthetic.anatomy import (
    Exposure,
    PatientAnatomy,
    sample_exposure,
    sample_patient,
)
from xray_chest_detection.data.synthetic.cases import NIH_CLASSES, sample_finding, sample_findings
from xray_chest_detection.data.synthetic.dataset import write_dataset
from xray_chest_detection.data.synthetic.findings import Finding
from xray_chest_detection.data.synthetic.radiograph import SyntheticImage, render_radiograph

__all__ = [
    "NIH_CLASSES",
    "Exposure",
    "Finding",
    "PatientAnatomy",
    "SyntheticImage",
    "render_radiograph",
    "sample_exposure",
    "sample_finding",
    "sample_findings",
    "sample_patient",
    "write_dataset",
]
