"""A demo with four tiny models that answer the same for every film, and films of every kind."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from werkzeug.serving import make_server

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app

CLASSES = {
    "multi": ("Cardiomegaly", "Effusion"),
    "binary": ("Finding",),
    "cardiomegaly": ("Cardiomegaly",),
    "mass_nodule": ("Mass/Nodule",),
}
PEOPLE = "Doe^Jane"


def head(name: str) -> np.ndarray:
    """Two boxes by the multiclass model, one by the next two, none by the last; `(4 + classes, 2)`."""
    boxes = np.array([[32, 40, 24, 20], [16, 20, 10, 12]], np.float32).T
    scores = {
        "multi": [[0.8, 0.0], [0.0, 0.4]],
        "binary": [[0.7, 0.1]],
        "cardiomegaly": [[0.9, 0.0]],
        "mass_nodule": [[0.02, 0.0]],
    }[name]
    return np.concatenate([boxes, np.array(scores, np.float32)])


@pytest.fixture
def film() -> np.ndarray:
    """A grey ramp with a bright middle, 120 wide and 100 high."""
    pixels = np.tile(np.linspace(20, 90, 120), (100, 1)).astype(np.uint8)
    pixels[30:80, 50:70] = 220
    return pixels


@pytest.fixture
def png(film: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def jpeg(film: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def dicom(film: np.ndarray) -> bytes:
    """A 12-bit MONOCHROME1 film of a named person."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.Modality, dataset.ViewPosition = PEOPLE, "DX", "PA"
    dataset.Rows, dataset.Columns = film.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME1"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = (4095 - film.astype(np.uint16) * 16).tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def root(tmp_path: Path, make_model: Callable[..., Path], png: bytes, dicom: bytes) -> Path:
    """A project folder with four models and two samples."""
    for name, classes in CLASSES.items():
        make_model(tmp_path / "checkpoints", name, head=head(name), classes=classes, conf=0.2)
    fetched = tmp_path / "images_for_inference" / "fetched"
    fetched.mkdir(parents=True)
    (fetched.parent / "synthetic_effusion_01.png").write_bytes(png)
    (fetched.parent / "SOURCES.md").write_text("not an image")
    (fetched / "chest_CR.dcm").write_bytes(dicom)
    return tmp_path


@pytest.fixture
def app(root: Path) -> Flask:
    return create_app(DemoConfig(threads=1), root=root)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], str]]:
    """Serves demos over HTTP until the test ends, and gives their addresses."""
    with contextlib.ExitStack() as stack:

        def start(app: Flask) -> str:
            server = make_server("127.0.0.1", 0, app, threaded=True)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def address(app: Flask, serve: Callable[[Flask], str]) -> str:
    """The demo with four models, served over HTTP."""
    return serve(app)
