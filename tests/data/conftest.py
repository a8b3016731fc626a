"""Small stand-ins for the public data: tables of a few patients and 64-pixel films of noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

CLASSES = ("Atelectasis", "Cardiomegaly", "Effusion", "Mass")
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


def write_film(path: Path, seed: int, size_px: tuple[int, int] = (64, 64)) -> None:
    width, height = size_px
    coarse = np.random.default_rng(seed).integers(0, 255, (16, 16), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)


def entry_line(name: str, labels: str, patient: object, view: str = "PA") -> str:
    return f"{name},{labels},0,{patient},50,M,{view},2048,2048,0.171,0.171"


@pytest.fixture
def film() -> Callable[..., None]:
    """Writes a film of noise: (path, seed, size_px)."""
    return write_film


@pytest.fixture
def write_nih() -> Callable[..., Path]:
    """Writes the two NIH tables (and films) to a folder: (root, boxes, entries, films=True)."""

    def write(root: Path, boxes: list[str], entries: list[str], *, films: bool = True) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        (root / "BBox_List_2017.csv").write_text("\n".join([BOX_HEADER, *boxes]) + "\n")
        (root / "Data_Entry_2017.csv").write_text("\n".join([ENTRY_HEADER, *entries]) + "\n")
        for seed, line in enumerate(entries if films else []):
            write_film(root / "images" / line.split(",")[0], seed)
        return root

    return write


@pytest.fixture
def nih_root(tmp_path: Path, write_nih: Callable[..., Path]) -> Path:
    """40 patients: 20 with a boxed film and a finding-free one, 20 with two finding-free ones."""
    boxes, entries = [], []
    for patient in range(1, 41):
        first, second = f"{patient:08d}_000.png", f"{patient:08d}_001.png"
        if patient <= 20:
            label = CLASSES[patient % len(CLASSES)]
            boxes.append(f"{first},{label},{100 + patient}.5,200,300,150.25,,,")
            entries.append(entry_line(first, label, patient))
        else:
            entries.append(entry_line(first, "No Finding", patient))
        entries.append(entry_line(second, "No Finding", patient, view="AP"))
    return write_nih(tmp_path / "raw", boxes, entries)


@pytest.fixture
def make_tables() -> Callable[..., tuple[pd.DataFrame, pd.DataFrame]]:
    """Builds an image and an annotation table from `{patient: [class or None, ...]}`, one film each."""
    return tables_of


def tables_of(patients: dict[str, list[str | None]], **columns: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    images, boxes = [], []
    for patient, films in patients.items():
        for number, label in enumerate(films):
            name = f"{patient}_{number:03d}"
            images.append(
                (name, patient, "nih", f"/raw/{name}.png", 1024.0, 1024.0, "PA", label or "No Finding", not label)
            )
            if label:
                boxes.append((name, label, 100.0, 200.0, 300.0, 500.0, None, np.nan, np.nan))
    image_table = pd.DataFrame(
        images, columns=["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy"]
    ).assign(**columns)
    box_columns = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max", "reader", "n_readers", "agreement"]
    return image_table, pd.DataFrame(boxes, columns=box_columns).astype({"n_readers": float, "agreement": float})


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).resolve().parents[2]
