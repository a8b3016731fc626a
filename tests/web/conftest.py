"""A demo with four tiny models that answer the same for every film, and films of every kind."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from werkzeug.serving import make_server

from xray_chest_detection import web
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.core.model_card import CurvePoint, OperatingCurve, read_card, write_card
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


@contextlib.contextmanager
def serving(app: Flask) -> Iterator[str]:
    """An app over HTTP, and its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], str]]:
    """Serves demos over HTTP until the test ends, and gives their addresses."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))


@pytest.fixture
def address(app: Flask, serve: Callable[[Flask], str]) -> str:
    """The demo with four models, served over HTTP."""
    return serve(app)


@pytest.fixture
def curve(root: Path) -> OperatingCurve:
    """Written onto the card of the binary model; ask for it before the page. Each threshold has its own numbers."""
    points = [
        CurvePoint(
            conf=step / 100,
            sensitivity=1 - step / 100,
            sensitivity_low=0.9 * (1 - step / 100),
            sensitivity_high=1 - step / 200,
            false_positives_per_image=(100 - step) / 50,
            false_positives_per_image_low=0.0,
            false_positives_per_image_high=4.0,
            precision=0.5,
        )
        for step in range(1, 100)
    ]
    made = OperatingCurve(split="test", n_images=152, n_boxes=93, n_patients=100, iou=0.4, points=tuple(points))
    path = root / "checkpoints" / "binary.card.yaml"
    write_card(path, read_card(path).model_copy(update={"operating_curve": made}))
    return made


@pytest.fixture
def asked(app: Flask) -> list[dict[str, str]]:
    """The fields of every request for marks; ask for it before the page."""
    fields: list[dict[str, str]] = []

    @app.before_request
    def write_down() -> None:
        if request.endpoint == "api.predict":
            fields.append(request.form.to_dict())

    return fields


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium, closed before the next module of tests."""
    from tests.web import browsing

    with browsing.sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The open page; afterwards no error may have been logged and no other host asked."""
    from tests.web import browsing

    width, height = browsing.WIDE
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(browsing.TIMEOUT_MS)
    opened.watch = browsing.Watch(opened)
    opened.goto(address)
    opened.wait_for_selector("main[data-ready]")
    yield opened
    context.close()
    assert opened.watch.complaints == []
    assert opened.watch.hosts <= {urlsplit(address).netloc, ""}


@pytest.fixture(scope="module")
def static_address() -> Iterator[str]:
    """The modules of the page over HTTP, without any model."""
    folder = Path(web.__file__).parent / "static"
    app = Flask("modules", static_folder=str(folder))
    app.add_url_rule("/", view_func=lambda: "modules")
    with serving(app) as address:
        yield address
