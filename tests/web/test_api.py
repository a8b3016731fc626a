import io
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import decode_image
from xray_chest_detection.core.model_card import NOT_A_DEVICE, read_card, write_card
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.predict import predict_radiograph
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.inference.session import DetectorSession
from xray_chest_detection.web.app import create_app

NAMES = ["multi", "binary", "cardiomegaly", "mass_nodule"]


def send(client: FlaskClient, content: bytes | None = None, name: str = "chest.png", **fields: str) -> TestResponse:
    """Post a form. It is encoded here because werkzeug's test client spools large ones to disk."""
    parts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    if content is not None:
        parts.append(f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content)
    body = b"".join(b"--limit\r\n" + part + b"\r\n" for part in parts) + b"--limit--\r\n"
    return client.post("/api/v1/predict", data=body, content_type="multipart/form-data; boundary=limit")


def detail_of(response: TestResponse) -> str:
    """The line of a problem, after checking that it is one."""
    assert response.content_type == "application/problem+json"
    body = response.get_json()
    assert body["status"] == response.status_code
    assert body["title"]
    assert "\n" not in body["detail"]
    return body["detail"]


def test_an_upload_gets_what_the_predictor_says(client: FlaskClient, root: Path, png: bytes) -> None:
    response = send(client, png)
    body = response.get_json()
    expected = predict_radiograph(
        Registry.load(root / "checkpoints", threads=1), decode_image(png, name="chest.png"), models=NAMES
    )
    assert response.status_code == 200
    assert {key: body[key] for key in expected} == expected
    assert list(body["models"]) == NAMES
    assert [mark["class"] for mark in body["models"]["multi"]] == ["Cardiomegaly", "Effusion"]
    assert body["models"]["mass_nodule"] == []
    assert (body["errors"], body["notice"]) == ({}, NOT_A_DEVICE)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, {"multi": 2, "binary": 1, "cardiomegaly": 1, "mass_nodule": 0}),
        ({"models": "mass_nodule, multi"}, {"multi": 2, "mass_nodule": 0}),
        ({"models": "mass_nodule", "conf": "0.01"}, {"mass_nodule": 1}),
        ({"models": "multi", "conf": "0.5"}, {"multi": 1}),
        ({"models": "multi", "conf": "1"}, {"multi": 0}),
    ],
)
def test_models_and_conf_choose_what_is_returned(
    client: FlaskClient, png: bytes, fields: dict[str, str], counts: dict[str, int]
) -> None:
    body = send(client, png, **fields).get_json()
    assert {name: len(found) for name, found in body["models"].items()} == counts


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": "multy"}, "models: unknown model 'multy' (known: multi, binary, cardiomegaly, mass_nodule; "),
        ({"conf": "two"}, "conf: expected a number from 0 to 1, got 'two'"),
        ({"conf": "nan"}, "conf: expected a number from 0 to 1, got 'nan'"),
        ({"conf": "1.01"}, "conf: expected a number from 0 to 1, got '1.01'"),
        ({"format": "gif"}, "format: expected one of json, png, coco, got 'gif'"),
        ({"sample": "chest-cr"}, "send one image as the multipart field 'file'"),
    ],
)
def test_a_wrong_wish_is_one_line(client: FlaskClient, png: bytes, fields: dict[str, str], message: str) -> None:
    response = send(client, png, **fields)
    assert response.status_code == 400
    assert message in detail_of(response)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (None, 400, "send one image as the multipart field 'file'"),
        (b"", 400, "note.txt: the file is empty (0 bytes); choose a PNG, JPEG or DICOM file"),
        (b"hello", 422, "note.txt: not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), 422, "note.txt: "),
        (bytes(128) + b"DICM" + bytes(64), 422, "note.txt: "),
    ],
)
def test_a_file_that_is_no_film_is_one_line(
    client: FlaskClient, content: bytes | None, status: int, message: str
) -> None:
    response = send(client, content, name="folder/note.txt")
    assert response.status_code == status
    assert detail_of(response).startswith(message)


def test_a_truncated_film_is_refused_and_the_next_one_is_served(client: FlaskClient, png: bytes) -> None:
    assert send(client, png[: len(png) // 2]).status_code == 422
    assert send(client, png).status_code == 200


def test_a_request_over_the_limit_is_refused(root: Path, png: bytes) -> None:
    client = create_app(DemoConfig(max_upload_mib=1), root=root).test_client()
    response = send(client, png + bytes(MIB))
    assert response.status_code == 413
    assert "larger than 1 MiB" in detail_of(response)


def test_a_film_with_too_many_pixels_is_refused_before_decoding(root: Path, png: bytes) -> None:
    client = create_app(DemoConfig(max_pixels=100 * 119), root=root).test_client()
    response = send(client, png)
    assert response.status_code == 422
    assert "120 x 100 pixels" in detail_of(response)


def test_a_dicom_film_comes_back_as_a_picture_without_the_person(client: FlaskClient, dicom: bytes) -> None:
    response = send(client, dicom, name="film", preview="1")
    body = response.get_json()
    assert body["image"] == {
        "format": "DICOM",
        "view": "PA",
        "laterality": None,
        "notes": body["image"]["notes"],
    }
    assert body["preview"].startswith("data:image/png;base64,")
    assert "Doe" not in response.text


@pytest.mark.parametrize(
    ("mode", "kind", "rendered"),
    [("L", "PNG", False), ("RGB", "JPEG", False), ("I;16", "PNG", True), ("RGBA", "PNG", True), ("CMYK", "JPEG", True)],
)
def test_the_server_renders_films_that_browsers_show_differently(
    client: FlaskClient, film: np.ndarray, mode: str, kind: str, rendered: bool
) -> None:
    stream = io.BytesIO()
    image = Image.fromarray(film.astype(np.uint16) * 100) if mode == "I;16" else Image.fromarray(film).convert(mode)
    image.save(stream, kind)
    body = send(client, stream.getvalue(), preview="1").get_json()
    assert ("preview" in body) == rendered
    assert "preview" not in send(client, stream.getvalue()).get_json()


def test_the_server_renders_a_film_that_moves_or_is_stored_turned(client: FlaskClient, film: np.ndarray) -> None:
    moving, turned, photo = io.BytesIO(), io.BytesIO(), io.BytesIO()
    image, exif = Image.fromarray(film), Image.Exif()
    exif[0x0112] = 6
    image.save(moving, "PNG", save_all=True, append_images=[Image.fromarray(film[::-1])])
    image.save(turned, "PNG", exif=exif)
    image.save(photo, "JPEG", exif=exif)
    sent = [send(client, stream.getvalue(), preview="1").get_json() for stream in (moving, turned, photo)]
    assert ["preview" in body for body in sent] == [True, True, False], "every browser turns a JPEG"


def test_a_sample_gets_the_answer_its_file_gets(client: FlaskClient, dicom: bytes) -> None:
    sample = send(client, sample="chest-cr").get_json()
    assert sample["file"] == "chest_CR.dcm"
    assert sample["models"] == send(client, dicom).get_json()["models"]


@pytest.mark.parametrize("key", ["nothing", "../checkpoints/multi.onnx", "synthetic_effusion_01.png"])
def test_only_listed_samples_are_read(client: FlaskClient, key: str) -> None:
    response = send(client, sample=key)
    assert response.status_code == 404
    assert "(known: synthetic-effusion-01, chest-cr)" in detail_of(response)


def test_the_picture_is_a_png_of_all_panels(client: FlaskClient, png: bytes) -> None:
    response = send(client, png, format="png")
    assert response.content_type == "image/png"
    assert Image.open(io.BytesIO(response.data)).width > 2 * 120


def test_models_are_listed_with_their_cards_and_marks(client: FlaskClient) -> None:
    body = client.get("/api/v1/models").get_json()
    assert [model["name"] for model in body["models"]] == NAMES
    multi = body["models"][0]
    assert multi["operating_point"] == "shown from score 0.20; NMS IoU 0.50"
    assert multi["classes"][0] == {"name": "Cardiomegaly", "letter": "C", "colour": "#e69f00"}
    assert len(multi["sha256"]) == 64


def test_without_models_the_page_opens_and_says_what_to_do(tmp_path: Path, png: bytes) -> None:
    client = create_app(DemoConfig(), root=tmp_path).test_client()
    page = client.get("/")
    assert page.status_code == 200
    assert "No model is loaded." in page.text
    assert "xray export" in page.text
    assert str(tmp_path) not in page.text
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["models"]) == (503, [])
    assert list(ready.get_json()["errors"]) == [*NAMES, "chest_gate"]
    response = send(client, png)
    assert response.status_code == 503
    assert "none of the models asked for is loaded" in detail_of(response)


def test_a_corrupt_and_a_missing_model_leave_the_others_working(root: Path, png: bytes) -> None:
    (root / "checkpoints" / "binary.onnx").write_bytes(b"damaged")
    (root / "checkpoints" / "mass_nodule.card.yaml").unlink()
    client = create_app(DemoConfig(), root=root).test_client()
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["models"]) == (200, ["multi", "cardiomegaly"])
    assert "sha256" in ready.get_json()["errors"]["binary"]
    assert "no mass_nodule.onnx with its card in checkpoints/" in ready.get_json()["errors"]["mass_nodule"]
    body = send(client, png).get_json()
    assert list(body["models"]) == ["multi", "cardiomegaly"]
    assert list(body["errors"]) == ["binary", "mass_nodule"]
    page = client.get("/").text
    intro = page[page.index('class="intro"') : page.index('id="announcer"')]
    assert "2 models" in intro
    assert "Binary is not loaded: " in intro
    assert "Mass nodule is not loaded: " in intro
    assert send(client, png, models="binary").status_code == 503


def renew(card: Path, **changes: object) -> None:
    """Change a card, and let it name the model file as it is now."""
    old = read_card(card)
    write_card(card, old.model_copy(update={"sha256": sha256_of(card.parent / old.file), **changes}))


def cut(model: Path, card: Path) -> None:
    model.write_bytes(model.read_bytes()[:-40])


def cut_and_renewed(model: Path, card: Path) -> None:
    cut(model, card)
    renew(card)


def flipped(model: Path, card: Path) -> None:
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 0xFF
    model.write_bytes(content)


def swapped(model: Path, card: Path) -> None:
    model.write_bytes((model.parent / "multi.onnx").read_bytes())


def swapped_and_renewed(model: Path, card: Path) -> None:
    swapped(model, card)
    renew(card)


def wrong_size(model: Path, card: Path) -> None:
    renew(card, image_size_px=128)


def no_yaml(model: Path, card: Path) -> None:
    card.write_text("name: [binary")


def no_model(model: Path, card: Path) -> None:
    model.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "sha256"),
        (cut_and_renewed, "binary.onnx: "),
        (flipped, "sha256"),
        (swapped, "sha256"),
        (swapped_and_renewed, "gives [1, 6, 2], but the 1 classes of its card need (1, 5, N)"),
        (wrong_size, "but its card says float (1, 3, 128, 128)"),
        (no_yaml, "binary.card.yaml: not a YAML file"),
        (no_model, "binary.onnx: no such model file"),
    ],
)
def test_a_model_that_cannot_be_used_is_reported_and_the_others_work(
    root: Path, png: bytes, damage: Callable[[Path, Path], None], reason: str
) -> None:
    folder = root / "checkpoints"
    damage(folder / "binary.onnx", folder / "binary.card.yaml")
    client = create_app(DemoConfig(threads=1), root=root).test_client()
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["models"]) == (200, ["multi", "cardiomegaly", "mass_nodule"])
    assert reason in ready.get_json()["errors"]["binary"]
    assert str(root) not in ready.text
    body = send(client, png).get_json()
    assert (list(body["models"]), list(body["errors"])) == (["multi", "cardiomegaly", "mass_nodule"], ["binary"])


def test_a_model_that_fails_on_a_film_costs_only_itself(
    client: FlaskClient, root: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = DetectorSession.detect_prepared

    def fails(self: DetectorSession, *args: object, **kwargs: object) -> object:
        if self.card.name == "binary":
            raise ModelError(f"{root}/checkpoints/binary.onnx: gave nonsense")
        return honest(self, *args, **kwargs)

    monkeypatch.setattr(DetectorSession, "detect_prepared", fails)
    body = send(client, png).get_json()
    assert list(body["models"]) == ["multi", "cardiomegaly", "mass_nodule"]
    assert body["errors"] == {"binary": "checkpoints/binary.onnx: gave nonsense"}
    alone = send(client, png, models="binary")
    assert alone.status_code == 503
    assert (
        detail_of(alone) == "none of the models asked for could be run (binary: checkpoints/binary.onnx: gave nonsense)"
    )
    assert send(client, png, format="png").content_type == "image/png"
    assert (body["width"], body["height"]) == (120, 100)


def test_models_are_loaded_once_however_many_ask_first(root: Path) -> None:
    calls = []

    def load(folder: Path, **options: object) -> Registry:
        calls.append(folder)
        time.sleep(0.05)
        return Registry.load(folder, **options)

    app = create_app(DemoConfig(), root=root, load=load)
    threads = [threading.Thread(target=lambda: app.test_client().get("/readyz")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_uploads_never_reach_the_disk(client: FlaskClient, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    watching = True

    def watch(event: str, arguments: tuple) -> None:
        if watching and event == "open" and arguments[1] is not None and set(str(arguments[1])) & set("wax+"):
            written.append(arguments[0])

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was asked for")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    sys.addaudithook(watch)
    large = png + bytes(2 * MIB)  # more than werkzeug keeps in memory by default; trailing bytes do not matter to PNG
    assert send(client, large).status_code == 200
    assert send(client, bytes(2 * MIB)).status_code == 422
    watching = False
    assert written == []


def test_no_file_name_reaches_a_log(
    client: FlaskClient, png: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    assert send(client, png, name="jane-doe.png").status_code == 200
    assert send(client, b"hello", name="jane-doe.png").status_code == 422

    def breaks(*_: object, name: str, **__: object) -> None:
        raise RuntimeError(f"cannot handle {name}")

    monkeypatch.setattr("xray_chest_detection.web.uploads.decode_image", breaks)
    response = send(client, png, name="jane-doe.png")
    assert response.status_code == 500
    assert "jane" not in detail_of(response)
    assert "RuntimeError in POST /api/v1/predict" in caplog.text
    assert "jane" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/api/v1/predict", 405), ("get", "/api/v1/nothing", 404)]
)
def test_api_errors_are_problems(client: FlaskClient, method: str, path: str, status: int) -> None:
    response = getattr(client, method)(path)
    assert response.status_code == status
    assert detail_of(response)
    assert response.get_json()["cure"].startswith("The page /api lists"), "a program sees no links at the top of a page"


def test_api_answers_are_not_stored_and_set_no_cookie(app: Flask, png: bytes) -> None:
    response = send(app.test_client(), png)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers


def test_a_picture_keeps_the_line_of_each_model_when_another_is_missing(
    client: FlaskClient, root: Path, png: bytes
) -> None:
    whole = send(client, png, format="png", models="cardiomegaly").data
    (root / "checkpoints" / "binary.onnx").write_bytes(b"damaged")
    less = create_app(DemoConfig(threads=1), root=root).test_client()
    assert less.get("/readyz").get_json()["models"] == ["multi", "cardiomegaly", "mass_nodule"]
    assert send(less, png, format="png", models="cardiomegaly").data == whole
