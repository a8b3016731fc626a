"""Small stand-ins for the public data: tables of a few patients and 64-pixel films of noise."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import Manifest, hash_inputs, write_manifest

CLASSES = ("Atelectasis", "Cardiomegaly", "Effusion", "Mass")
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
PARTS = {"train": 4, "val": 2, "test": 2}


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


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Data set of two classes without manifest: every second film has a box of each; patients are p1, p2, ... p8."""
    return write_set(tmp_path / "set")


@pytest.fixture
def make_set() -> Callable[..., Path]:
    """Writes such a data set: (folder, prefix="", source="nih", first=1); `first` numbers the patients and films."""
    return write_set


@pytest.fixture
def trace_set() -> Callable[..., Path]:
    """Writes the manifest of a data set and the split `split/` beside it: (folder, *side_files)."""
    return trace


@pytest.fixture
def traced(dataset: Path) -> Path:
    """The data set with a manifest, and the split `split/` beside it that the manifest names."""
    return trace(dataset)


def write_set(folder: Path, *, prefix: str = "", source: str = "nih", first: int = 1) -> Path:
    """Write a data set whose films, patients and pixels follow from `prefix`, `source` and the number `first`."""
    lines = ["image_id,patient_id,source,split,file"]
    for part, count in PARTS.items():
        (folder / "labels" / part).mkdir(parents=True)
        for number in range(count):
            name, patient = f"{prefix}{part}{number}", first + len(lines) - 1
            write_film(folder / "images" / part / f"{name}.png", patient)
            text = "" if number % 2 else "0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2\n"
            (folder / "labels" / part / f"{name}.txt").write_text(text)
            lines.append(f"{name},p{patient},{source},{part},images/{part}/{name}.png")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text("names: {0: Mass, 1: Effusion}\n")
    return folder


def trace(folder: Path, *extra: str) -> Path:
    """Write the split of a data set beside it, and its manifest over `data.yaml`, `index.csv` and the extra files."""
    split = folder.parent / "split"
    split.mkdir(exist_ok=True)
    rows = [line.rsplit(",", 1)[0] for line in (folder / "index.csv").read_text().splitlines()]
    (split / "split.csv").write_text("\n".join(rows) + "\n")
    write_manifest(split, Manifest(step="data_prep.split", config={}, outputs=hash_inputs(split / "split.csv")))
    manifest = Manifest(
        step="data_prep.build_yolo",
        config={"split": str(split)},
        inputs=hash_inputs(split / "split.csv"),
        outputs={name: sha256_of(folder / name) for name in ("data.yaml", "index.csv", *extra)},
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def full_tables() -> Path:
    """The original tables, as the package torchxrayvision carries them; it is found, not imported."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package torchxrayvision, which carries the full tables, is not installed")
    return Path(spec.submodule_search_locations[0]) / "data"
