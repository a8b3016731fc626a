"""The synthetic set as VinBigData stands on disk: DICOM files and a table with three readers per image.

Source: VinBigData Chest X-ray Abnormalities Detection, 2020 (VinDr-CXR): columns of train.csv; DICOM PS3.3 C.7.6.3 and
C.11.2 for the pixel tags.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from xray_chest_detection.core.files import atomic_path, write_text
from xray_chest_detection.data.synthetic.anatomy import FIELD_MM, PatientAnatomy, sample_patient
from xray_chest_detection.data.synthetic.cases import NIH_CLASSES, sample_findings
from xray_chest_detection.data.synthetic.findings import Finding
from xray_chest_detection.data.synthetic.radiograph import SyntheticImage, render_radiograph
from xray_chest_detection.data.synthetic.readers import CLASS_IDS, FROM_NIH, Truth, choose_readers, read_image

TRAIN_HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
TRUTH_HEADER = "image_id,class_name,x_min,y_min,x_max,y_max"


@dataclass(frozen=True)
class Study:
    """One planned image.

    Attributes:
        image_id: 32 hexadecimal digits.
        patient: The body.
        findings: What the patient has.
        inverted: Whether the file is MONOCHROME1, where small values are bright.
        bits: Bits stored of 16 allocated.
        windowed: Whether the file carries window tags and uses only a part of its range.
        seed: Seed of the rendering.
    """

    image_id: str
    patient: PatientAnatomy
    findings: tuple[Finding, ...]
    inverted: bool
    bits: int
    windowed: bool
    seed: tuple[int, ...]


def plan_studies(seed: int, *, n_images: int, healthy_share: float) -> list[Study]:
    """Draw the images, each of another person."""
    studies: list[Study] = []
    for index in range(n_images):
        rng = np.random.default_rng([seed, 20, index])
        patient = sample_patient(rng)
        healthy = bool(rng.random() < healthy_share)
        findings = () if healthy else sample_findings(rng, (*NIH_CLASSES, "Aortic enlargement"))
        studies.append(
            Study(
                image_id=hashlib.sha256(f"synthetic {seed} {index}".encode()).hexdigest()[:32],
                patient=patient,
                findings=findings,
                inverted=index % 4 == 1,
                bits=int(rng.choice([12, 14])),
                windowed=bool(rng.random() < 0.5),
                seed=(seed, 21, index),
            )
        )
    return studies


def render_study(study: Study, size_px: int) -> SyntheticImage:
    """Render the image of one study."""
    return render_radiograph(study.patient, np.random.default_rng(study.seed), size_px=size_px, findings=study.findings)


def dicom_of(study: Study, image: SyntheticImage) -> Dataset:
    """The image as a DICOM data set without anything that identifies a person."""
    size_px = image.intensity.shape[0]
    top = 2**study.bits - 1
    low, high = (round(0.08 * top), round(0.82 * top)) if study.windowed else (0, top)
    stored = np.rint(low + image.intensity * (high - low)).astype(np.uint16)
    if study.inverted:
        stored, low, high = (top - stored).astype(np.uint16), top - high, top - low
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=[study.image_id])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[study.image_id, "study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[study.image_id, "series"])
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", image.view
    ds.PatientName, ds.PatientID, ds.PatientSex = "", "", study.patient.sex
    ds.PatientIdentityRemoved = "YES"
    ds.Rows = ds.Columns = size_px
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if study.inverted else "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, study.bits, study.bits - 1, 0
    ds.PixelSpacing = [f"{FIELD_MM / size_px:.6f}"] * 2
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    if study.windowed:  # PS3.3 C.11.2.1.2.1: the linear function maps low .. high onto the whole output range
        ds.WindowCenter, ds.WindowWidth = f"{(low + high + 1) / 2:g}", str(high - low + 1)
    ds.PixelData = stored.astype("<u2").tobytes()
    return ds


def write_dicom(path: Path, study: Study, image: SyntheticImage) -> None:
    """Write the DICOM file, whole or not at all."""
    with atomic_path(path) as temporary:
        dicom_of(study, image).save_as(temporary, enforce_file_format=True)


def reading_rows(study: Study, image: SyntheticImage) -> tuple[list[str], list[str]]:
    """Lines of train.csv by three readers, and of truth.csv."""
    rng = np.random.default_rng((*study.seed, 1))
    contrast = {finding.class_name: finding.contrast for finding in study.findings}
    truths = [Truth(FROM_NIH[box[0]], box[1:], contrast[box[0]]) for box in image.boxes]
    rows: list[str] = []
    for reader in choose_readers(rng, sick=bool(truths)):
        drawn = read_image(reader, truths, size_px=image.intensity.shape[0], rng=rng)
        rows.extend(
            f"{study.image_id},{name},{CLASS_IDS[name]},{reader.name},{','.join(f'{edge:g}' for edge in box)}"
            for name, box in drawn
        )
        if not drawn:
            rows.append(f"{study.image_id},No finding,14,{reader.name},,,,")
    true_rows = [f"{study.image_id},{t.class_name},{','.join(f'{edge:g}' for edge in t.xyxy)}" for t in truths]
    return rows, true_rows


def write_tables(folder: Path, readings: list[str], truths: list[str]) -> None:
    """Write train.csv and truth.csv."""
    write_text(folder / "train.csv", "\n".join([TRAIN_HEADER, *readings]) + "\n")
    write_text(folder / "truth.csv", "\n".join([TRUTH_HEADER, *truths]) + "\n")
