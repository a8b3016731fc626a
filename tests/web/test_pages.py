import html
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
from xray_chest_detection.core.card_page.blocks import blocks_html
from xray_chest_detection.core.card_page.page import card_page
from xray_chest_detection.core.model_card import CurvePoint, Metric, OperatingCurve, read_card, write_card
from xray_chest_detection.errors import ConfigError
from xray_chest_detection.web.app import create_app, serve
from xray_chest_detection.web.cards import section_key
from xray_chest_detection.web.curve import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, curve_words, draw_curve
from xray_chest_detection.web.gallery import humanise
from xray_chest_detection.web.uploads import clean_name

PROJECT = Path(__file__).parents[2]
CHECKPOINTS = PROJECT / "checkpoints"
PAGES = ["/", "/models", "/models/multi", "/api", "/about", "/nothing-here"]
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


def with_card(root: Path, name: str, **changes: object) -> FlaskClient:
    """A demo in which the card of one model is changed."""
    path = root / "checkpoints" / f"{name}.card.yaml"
    write_card(path, read_card(path).model_copy(update=changes))
    return create_app(DemoConfig(threads=1), root=root).test_client()


def curve(*points: CurvePoint) -> OperatingCurve:
    return OperatingCurve(split="test", n_images=152, n_boxes=93, n_patients=100, iou=0.5, points=points)


POINTS = (
    CurvePoint(conf=0.1, sensitivity=0.6, sensitivity_low=0.5, sensitivity_high=0.7, false_positives_per_image=2.0),
    CurvePoint(conf=0.2, sensitivity=0.4, sensitivity_low=0.3, sensitivity_high=0.5, false_positives_per_image=0.5),
    CurvePoint(conf=0.9, sensitivity=0.0, sensitivity_low=0.0, sensitivity_high=0.1, false_positives_per_image=0.0),
)


def test_the_models_are_compared_in_one_table(root: Path) -> None:
    metrics = (
        Metric(name="mAP50", value=0.2123, low=0.1, high=0.34, n_images=152, n_boxes=93),
        Metric(name="recall at the operating point", value=0.24, low=0.12, high=0.38, n_images=152, n_boxes=93),
        Metric(name="false positives per image at the operating point", value=0.32, n_images=152, n_boxes=93),
    )
    page = with_card(root, "multi", metrics=metrics, measured_on="an earlier network").get("/models").text
    row = re.search(r'<tr id="multi">.*?</tr>', page, flags=re.DOTALL)[0]
    cells = re.findall(r'class="number" data-label="([^"]+)">([^<]+)<', row)
    assert cells == [
        ("mAP50", "0.21 (0.10–0.34)"),
        ("Finds", "24 % (12–38)"),
        ("False marks per film", "0.32"),
        ("Measured on", "93 boxes on 152 films"),
    ]
    assert "Multi was measured on an earlier network, not on these weights." in page
    bare = re.search(r'<tr id="binary">.*?</tr>', page, flags=re.DOTALL)[0]
    assert [value for _, value in re.findall(r'class="number" data-label="([^"]+)">([^<]+)<', bare)] == ["–"] * 4
    for name in ("binary", "cardiomegaly", "mass_nodule"):
        page = with_card(root, name, measured_on="an earlier network").get("/models").text
    assert "Each was measured on an earlier network, not on these weights." in page
    assert page.count("an earlier network") == 1


@pytest.mark.parametrize("name", ["multi", "binary", "cardiomegaly", "mass_nodule"])
def test_a_card_is_shown_whole_as_xray_card_writes_it(client: FlaskClient, root: Path, name: str) -> None:
    page = client.get(f"/models/{name}").text
    card = read_card(root / "checkpoints" / f"{name}.card.yaml")
    for section in card_page(card).sections:
        assert blocks_html(section.blocks) in page
        assert f'href="#{section_key(section.title)}"' in page
    assert card.sha256 in page


def test_the_operating_curve_is_drawn_with_its_tuned_point(root: Path) -> None:
    page = with_card(root, "multi", operating_curve=curve(*POINTS)).get("/models/multi").text
    assert "From score 0.20 it finds 40 % (30–50) of the boxes at 0.50 false marks per film: 93 boxes on 152" in page
    assert "tuned: 0.20" in page
    assert 'class="curve"' not in with_card(root, "multi").get("/models/binary").text


def test_a_curve_is_a_line_in_its_axes() -> None:
    card = read_card(CHECKPOINTS / "binary.card.yaml").model_copy(update={"operating_curve": curve(*POINTS)})
    drawn = draw_curve(card)
    assert [tick.label for tick in drawn.across] == ["½", "1", "2"]
    assert [tick.label for tick in drawn.up] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    middle = TOP + 0.6 * (HEIGHT - TOP - BOTTOM)
    assert (drawn.tuned.x, drawn.tuned.y) == (LEFT, pytest.approx(middle))
    assert drawn.line == f"M{LEFT} {drawn.tuned.y:g}L{WIDTH - RIGHT} {TOP + 0.4 * (HEIGHT - TOP - BOTTOM):g}"
    assert drawn.band.endswith("Z")


@pytest.mark.parametrize("points", [(), POINTS[2:]], ids=["no point", "no false mark"])
def test_a_curve_without_a_point_on_its_axes_is_not_drawn(points: tuple[CurvePoint, ...]) -> None:
    card = read_card(CHECKPOINTS / "binary.card.yaml").model_copy(update={"operating_curve": curve(*points)})
    assert draw_curve(card) is None


def test_thresholds_by_class_are_no_point_of_the_curve() -> None:
    card = read_card(CHECKPOINTS / "multi.card.yaml")
    by_class = card.thresholds.model_copy(update={"per_class": {"Effusion": 0.9}})
    card = card.model_copy(update={"operating_curve": curve(*POINTS), "thresholds": by_class})
    assert draw_curve(card).tuned is None
    assert "the tuned thresholds differ by class. 93 boxes on 152 films" in curve_words(card)


def test_a_model_that_is_not_served_has_no_page(client: FlaskClient, root: Path) -> None:
    response = client.get("/models/nothing")
    assert response.status_code == 404
    assert "(known: multi, binary, cardiomegaly, mass_nodule)" in response.text
    assert "links at the top" in response.text
    (root / "checkpoints" / "binary.onnx").write_bytes(b"damaged")
    damaged = create_app(DemoConfig(threads=1), root=root).test_client().get("/models/binary")
    assert damaged.status_code == 503
    assert "the model binary is not loaded: checkpoints/binary.onnx: sha256" in damaged.text


def test_the_api_page_shows_all_of_the_document(client: FlaskClient) -> None:
    page = html.unescape(client.get("/api").text)
    document = client.get("/openapi.json").get_json()
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in page
        assert all(operation["summary"] in page for operation in methods.values())
    for schema in document["components"]["schemas"].values():
        assert all(f"{name}</code>" in page for name in schema["properties"])


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
    assert settings["workers"] == "1"
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
