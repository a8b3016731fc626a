import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.core.model_card import read_card, write_card
from xray_chest_detection.errors import ConfigError
from xray_chest_detection.web.app import create_app, serve
from xray_chest_detection.web.gallery import humanise
from xray_chest_detection.web.pages import counts_table
from xray_chest_detection.web.uploads import clean_name

PROJECT = Path(__file__).parents[2]
CHECKPOINTS = PROJECT / "checkpoints"
PAGES = ["/", "/models", "/about", "/nothing-here"]
HEAVY = [
    "torch",
    "ultralytics",
    "pandas",
    "cv2",
    "matplotlib",
    "sklearn",
    "mlflow",
    "comet_ml",
    "timm",
    "albumentations",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_that_it_is_no_medical_device(client: FlaskClient, path: str) -> None:
    assert "Research demo, not a medical device" in client.get(path).text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_obeys_its_own_content_policy(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.findall(r"<script(?![^>]*\bsrc=)", response.text), "inline script"
    assert not re.findall(r"\s(?:style|on[a-z]+)=", response.text), "inline style or handler"
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", response.text), "another host"
    assert "Set-Cookie" not in response.headers


def test_the_page_offers_every_sample_by_a_readable_name(client: FlaskClient) -> None:
    page = client.get("/").text
    assert re.findall(r'data-sample="([^"]+)" data-name="([^"]+)"', page) == [
        ("synthetic-effusion-01", "Synthetic effusion 1"),
        ("chest-cr", "Chest CR"),
    ]


@pytest.mark.parametrize("key", ["synthetic-effusion-01", "chest-cr"])
def test_a_sample_has_a_thumbnail_and_a_film(client: FlaskClient, key: str) -> None:
    assert client.get(f"/samples/{key}/thumb").content_type == "image/jpeg"
    assert client.get(f"/samples/{key}/film").content_type == "image/png"


def test_thumbnails_are_decoded_once(client: FlaskClient, root: Path) -> None:
    first = client.get("/samples/chest-cr/thumb").data
    (root / "images_for_inference" / "fetched" / "chest_CR.dcm").unlink()
    assert client.get("/samples/chest-cr/thumb").data == first
    assert client.get("/samples/chest-cr/film").status_code == 404


@pytest.mark.parametrize("path", ["/samples/nothing/thumb", "/samples/..%2Fcheckpoints/film", "/static/../app.py"])
def test_other_files_cannot_be_asked_for(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_cards_are_shown_whole(client: FlaskClient) -> None:
    page = client.get("/models").text
    for wanted in ("Cardiomegaly", "Shown from score 0.20; NMS IoU 0.50", "sha256", "AGPL-3.0-only", "fixed answer"):
        assert wanted in page


def test_thresholds_are_shown_with_the_boxes_behind_them(root: Path) -> None:
    path = root / "checkpoints" / "multi.card.yaml"
    old = create_app(DemoConfig(threads=1), root=root).test_client().get("/models").text
    assert "Chosen from" not in old
    assert "Threshold by class" not in old
    chosen = {"per_class": {"Effusion": 0.35}, "n_boxes": {"Cardiomegaly": 11, "Effusion": 29}}
    card = read_card(path)
    point = card.thresholds.model_copy(update={**chosen, "score": 0.44, "out_of_fold_score": 0.41})
    write_card(path, card.model_copy(update={"thresholds": point}))
    page = create_app(DemoConfig(threads=1), root=root).test_client().get("/models").text
    assert "Effusion 0.35; others 0.20" in page
    assert "40 boxes: Cardiomegaly 11, Effusion 29. The objective is 0.44 on them and 0.41 on patients" in page


def test_counts_are_a_table_of_splits() -> None:
    card = read_card(CHECKPOINTS / "cardiomegaly.card.yaml")
    columns, rows = counts_table(card)
    train, val, test = (card.training_data.counts[name] for name in ("train", "val", "test"))
    assert columns == ["train", "val", "test"]
    assert rows[0] == ("Patients", [train["patients"], val["patients"], test["patients"]])
    assert [label for label, _ in rows] == ["Patients", "Films", "Films without a box", "Boxes", "Cardiomegaly"]
    bare = card.training_data.model_copy(update={"counts": {"images": 3}})
    assert counts_table(card.model_copy(update={"training_data": bare})) == ([], [])


@pytest.mark.parametrize(
    ("stem", "name"),
    [("synthetic_mass-nodule_02", "Synthetic mass nodule 2"), ("RG1", "RG1"), ("___", "___"), ("00000011_001", "11 1")],
)
def test_names_of_samples_are_words(stem: str, name: str) -> None:
    assert humanise(stem) == name


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, "upload"),
        ("", "upload"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\chest\n.png", "chest.png"),
        ("x" * 500, "x" * 80),
    ],
)
def test_names_of_uploads_are_made_harmless(sent: str | None, shown: str) -> None:
    assert clean_name(sent) == shown


def test_the_shipped_configuration_is_valid() -> None:
    assert read_config(DemoConfig, PROJECT / "configs" / "demo.yaml") == DemoConfig()


def test_the_demo_imports_nothing_heavy() -> None:
    code = f"import sys, demo; demo.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_wrong_configuration_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    config = tmp_path / "demo.yaml"
    config.write_text("prot: 8080")
    done = subprocess.run(
        [sys.executable, "demo.py", str(config)], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {config}: unknown key 'prot' (did you mean 'port'?)\n"


def test_gunicorn_reads_its_settings_and_writes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--print-config", "demo:app"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PORT": "8123", "HOME": str(tmp_path)},
    )
    settings = dict(line.split("=", 1) for line in done.stdout.replace(" ", "").splitlines() if "=" in line)
    assert done.returncode == 0
    assert (settings["workers"], settings["threads"]) == ("1", "4")
    assert "8123" in settings["bind"]
    assert settings.get("control_socket_disable", "True") == "True"
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_one_line_with_the_cure(app: Flask) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"^127\.0\.0\.1:{port}: cannot serve here \(Address already in use\); give another"
        ):
            serve(app, DemoConfig(port=port), say=said.append)
    assert said == []
