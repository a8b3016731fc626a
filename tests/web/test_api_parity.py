import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.cli import main as program
from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def film() -> np.ndarray:
    """A drawn chest on which the shipped models mark something; the formats of `conftest.py` are made of it."""
    with Image.open(PROJECT / "images_for_inference" / "synthetic_several_findings.png") as picture:
        return np.asarray(picture.convert("L"))


@pytest.mark.parametrize(("kind", "name"), [("png", "film.png"), ("jpeg", "film.jpg"), ("dicom", "film.dcm")])
def test_the_page_and_xray_predict_find_the_same_to_the_last_digit(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, name: str
) -> None:
    content: bytes = request.getfixturevalue(kind)
    (tmp_path / name).write_bytes(content)
    out = tmp_path / "out.json"
    checkpoints = str(PROJECT / "checkpoints")
    program.main(["predict", "--source", str(tmp_path / name), "--out", str(out), "--checkpoints", checkpoints])
    (expected,) = json.loads(out.read_text())["images"]
    config = read_config(DemoConfig, PROJECT / "configs" / "demo.yaml")
    client = create_app(config, root=PROJECT).test_client()
    head = f'--limit\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = client.post(
        "/api/v1/predict",
        data=head + content + b"\r\n--limit--\r\n",  # werkzeug's test client would spool a large form to disk
        content_type="multipart/form-data; boundary=limit",
    ).get_json()
    assert {key: body[key] for key in expected} == expected
    assert sum(len(found) for found in body["models"].values()) >= 3
