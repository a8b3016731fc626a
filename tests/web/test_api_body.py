"""A film as the body of a request, with its options in the address; and the other forms of the answer."""

import contextlib
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.inference.chest_gate import NOT_A_CHEST, SIDE_PX, features
from xray_chest_detection.web.app import create_app
from xray_chest_detection.web.coco import to_coco

KNOWN = "models, conf, conf_multi, conf_binary, conf_cardiomegaly, conf_mass_nodule, format, preview"


def post(client: FlaskClient, body: bytes, query: str = "", kind: str | None = "image/png") -> TestResponse:
    return client.post(f"/api/v1/predict{query}", data=body, content_type=kind)


def detail_of(response: TestResponse, status: int) -> str:
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    return response.get_json()["detail"]


@pytest.mark.parametrize(
    "kind", ["image/png", "image/x-unheard-of", "application/dicom", "application/octet-stream", None]
)
def test_the_body_is_a_film_whatever_kind_of_image_it_is_called(
    client: FlaskClient, png: bytes, kind: str | None
) -> None:
    body = post(client, png, kind=kind).get_json()
    assert (body["file"], body["image"]["format"], body["width"]) == ("upload", "PNG", 120)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/json"])
def test_other_content_is_refused_with_two_ways_that_work(client: FlaskClient, png: bytes, kind: str) -> None:
    detail = detail_of(post(client, png, kind=kind), 415)
    assert f"got '{kind}'; with curl: -F file=@chest.png, or --data-binary" in detail


def test_an_empty_body_is_one_line(client: FlaskClient) -> None:
    assert detail_of(post(client, b""), 400) == "the body is empty; send one image, with curl: -F file=@chest.png"


@pytest.mark.parametrize(
    ("query", "counts"),
    [
        ("?models=multi,binary", {"multi": 2, "binary": 1}),
        ("?models=binary&models=multi", {"multi": 2, "binary": 1}),
        ("?conf=0.75", {"multi": 1, "binary": 0, "cardiomegaly": 1, "mass_nodule": 0}),
        ("?conf=0.75&conf_binary=.05", {"multi": 1, "binary": 2, "cardiomegaly": 1, "mass_nodule": 0}),
        ("?conf_mass_nodule=1e-2", {"multi": 2, "binary": 1, "cardiomegaly": 1, "mass_nodule": 1}),
        ("?conf_multi=0.5&models=binary", {"binary": 1}),
    ],
)
def test_a_threshold_of_one_model_counts_more_than_that_of_all(
    client: FlaskClient, png: bytes, query: str, counts: dict[str, int]
) -> None:
    body = post(client, png, query).get_json()
    assert {name: len(found) for name, found in body["models"].items()} == counts


def test_what_the_form_says_counts_more_than_the_address(client: FlaskClient, png: bytes) -> None:
    form = {"file": (io.BytesIO(png), "chest.png"), "conf": "0.5"}
    body = client.post("/api/v1/predict?conf=0.1&models=multi", data=form).get_json()
    assert {name: len(found) for name, found in body["models"].items()} == {"multi": 1}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?cnof=0.1", f"unknown option 'cnof' (did you mean 'conf'? known here: {KNOWN})"),
        ("?conf_multy=0.1", f"unknown option 'conf_multy' (did you mean 'conf_multi'? known here: {KNOWN})"),
        ("?zzz=1", f"unknown option 'zzz' (known here: {KNOWN})"),
        ("?sample=chest-cr", f"unknown option 'sample' (known here: {KNOWN})"),
        ("?%0Aconf%0A=1", f"unknown option 'conf' (did you mean 'conf'? known here: {KNOWN})"),
        ("?models=", "models: unknown model '' (known: multi, binary, cardiomegaly, mass_nodule; leave out for all)"),
        ("?models=multi,multi", "models: a model is named twice in 'multi,multi'; name each once"),
        ("?conf=", "conf: expected a number from 0 to 1, got ''; leave out for the tuned one"),
        ("?conf=1_0", "conf: expected a number from 0 to 1, got '1_0'; leave out for the tuned one"),
        ("?conf=0.1&conf=0.2", "conf: given 2 times; give it once"),
        ("?conf_binary=-0.1", "conf_binary: expected a number from 0 to 1, got '-0.1'; leave out for the tuned one"),
        ("?conf_multi=inf&models=binary", "conf_multi: expected a number from 0 to 1, got 'inf'; leave out for"),
        ("?format=", "format: expected one of json, png, coco, got ''"),
        ("?format=PNG", "format: expected one of json, png, coco, got 'PNG'"),
        ("?preview=yes", "preview: expected one of true, false, 1, 0, got 'yes'"),
    ],
)
def test_no_wrong_option_is_passed_over(client: FlaskClient, png: bytes, query: str, message: str) -> None:
    assert detail_of(post(client, png, query), 400).startswith(message)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"image": "file"}, "unknown option 'image' (known here: file, sample, models"),
        ({"file": "file", "fiel": "file"}, "unknown option 'fiel' (did you mean 'file'? known here: file, sample"),
        ({"file": "text"}, "file: expected a file, got text; with curl put an @ before its name: -F file=@chest.png"),
        ({"file": "file", "conf": "2"}, "conf: expected a number from 0 to 1, got '2'"),
        ({}, "send one image as the multipart field 'file'"),
    ],
)
def test_a_wrong_form_is_one_line(client: FlaskClient, png: bytes, form: dict[str, str], message: str) -> None:
    fields = {name: (io.BytesIO(png), "chest.png") if value == "file" else value for name, value in form.items()}
    response = client.post("/api/v1/predict", data=fields, content_type="multipart/form-data")
    assert detail_of(response, 400).startswith(message)


def test_a_very_long_threshold_is_refused_at_once(client: FlaskClient, png: bytes) -> None:
    fields = {"file": (io.BytesIO(png), "chest.png"), "conf": "1" * 400_000 + "x"}
    started = time.perf_counter()
    response = client.post("/api/v1/predict", data=fields, content_type="multipart/form-data")
    assert detail_of(response, 400).startswith("conf: expected a number from 0 to 1, got '111")
    assert time.perf_counter() - started < 5


def test_a_form_of_too_many_fields_is_not_called_a_large_file(client: FlaskClient) -> None:
    fields = {f"field_{number}": "1" for number in range(40)}
    response = client.post("/api/v1/predict", data=fields, content_type="multipart/form-data")
    assert "the form has more than 16 fields" in detail_of(response, 413)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/api/v1/models", "/api/v1/predict"])
def test_addresses_for_programs_refuse_with_a_problem_that_names_the_methods(client: FlaskClient, path: str) -> None:
    response = client.delete(path)
    assert detail_of(response, 405)
    assert {"POST"} <= set(response.headers["Allow"].split(", ")) or "GET" in response.headers["Allow"]


def test_coco_tools_read_the_answer(client: FlaskClient, png: bytes, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools, the reference for COCO, is not installed")
    path = tmp_path / "answer.json"
    path.write_bytes(post(client, png, "?format=coco").data)
    plain = post(client, png).get_json()
    with contextlib.redirect_stdout(io.StringIO()):
        read = coco.COCO(path)
    assert read.loadImgs(read.getImgIds()) == [{"id": 1, "file_name": "upload", "width": 120, "height": 100}]
    names = {category["id"]: category["name"] for category in read.loadCats(read.getCatIds())}
    assert names == {1: "Cardiomegaly", 2: "Effusion", 3: "Finding", 4: "Mass/Nodule"}
    marks = read.loadAnns(read.getAnnIds(imgIds=[1], iscrowd=False))
    wanted = [(name, mark) for name, found in plain["models"].items() for mark in found]
    assert len(marks) == 4
    for mark, (name, other) in zip(marks, wanted, strict=True):
        x, y, width, height = mark["bbox"]
        assert (mark["model"], names[mark["category_id"]], mark["score"]) == (name, other["class"], other["score"])
        assert [x, y, x + width, y + height] == pytest.approx(other["box"], abs=0.01)
        assert mark["area"] == pytest.approx(width * height, abs=0.01)
    assert len(read.getAnnIds(areaRng=[0, 1])) == 0
    assert read.dataset["info"]["description"] == NOT_A_DEVICE
    assert list(read.dataset["info"]["models"]) == ["multi", "binary", "cardiomegaly", "mass_nodule"]


def test_coco_without_a_mark_has_its_categories_all_the_same(client: FlaskClient, png: bytes) -> None:
    body = post(client, png, "?format=coco&models=mass_nodule").get_json()
    assert (body["annotations"], len(body["categories"])) == ([], 4)


def test_coco_of_no_model_is_empty() -> None:
    record = {"file": "a.png", "width": 2, "height": 3, "models": {}}
    body = to_coco(record, {}, notes=["This is a cat."])
    assert (body["annotations"], body["categories"]) == ([], [])
    assert body["info"]["description"].endswith("This is a cat.")


def write_gate(folder: Path, *, passes: bool) -> None:
    """A chest gate that answers every film the same."""
    inputs = features(np.zeros((1, SIDE_PX, SIDE_PX), np.float32)).shape[1]
    path = folder / "chest_gate.npz"
    np.savez(
        path,
        mean=np.zeros(inputs, np.float32),
        scale=np.ones(inputs, np.float32),
        basis=np.zeros((inputs, 1), np.float32),
        spread=np.ones(1, np.float32),
        weight=np.zeros(3, np.float32),
        bias=np.float32(4 if passes else -4),
    )
    card = {"threshold": 0.5, "sha256": sha256_of(path)}
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize(("passes", "message"), [(True, None), (False, NOT_A_CHEST)])
def test_the_answer_says_whether_it_looks_like_a_chest(
    root: Path, png: bytes, passes: bool, message: str | None
) -> None:
    write_gate(root / "checkpoints", passes=passes)
    client = create_app(DemoConfig(threads=1), root=root).test_client()
    body = post(client, png).get_json()
    assert body["chest"] == {"score": 0.982 if passes else 0.018, "passed": passes, "message": message}
    assert len(body["models"]["multi"]) == 2
    assert (NOT_A_CHEST in post(client, png, "?format=coco").get_json()["info"]["description"]) is not passes
    assert "chest_gate" not in client.get("/readyz").get_json()["errors"]


def test_a_gate_that_is_missing_or_damaged_stops_nothing(client: FlaskClient, root: Path, png: bytes) -> None:
    assert post(client, png).get_json()["chest"] is None
    assert "chest_gate.json: cannot be read" in client.get("/readyz").get_json()["errors"]["chest_gate"]
    write_gate(root / "checkpoints", passes=True)
    (root / "checkpoints" / "chest_gate.npz").write_bytes(b"damaged")
    damaged = create_app(DemoConfig(threads=1), root=root).test_client()
    assert post(damaged, png).get_json()["chest"] is None
    ready = damaged.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["errors"]["chest_gate"].startswith("checkpoints/chest_gate.npz: sha256 ")
