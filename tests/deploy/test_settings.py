"""What app.yaml says is read, and it agrees with the rest of the project."""

import re
from pathlib import Path

import pytest
import yaml

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.deploy.check import AT_ONCE, CONFIG_VARIABLE
from xray_chest_detection.deploy.settings import read_settings
from xray_chest_detection.deploy.upload import find_upload
from xray_chest_detection.errors import ConfigError, DeployError
from xray_chest_detection.web.app import SECURITY_HEADERS

ROOT = Path(__file__).parents[2]
GOOD = "runtime: python313\nentrypoint: gunicorn demo:app\n"


def test_the_project() -> None:
    settings = read_settings(ROOT)
    assert (settings.python, settings.entrypoint) == ("3.13", "gunicorn demo:app")
    assert settings.static == ("xray_chest_detection/web/static",)
    assert read_config(DemoConfig, ROOT / settings.environment[CONFIG_VARIABLE]).trusted_proxies == 1
    assert yaml.safe_load((ROOT / "app.yaml").read_text())["automatic_scaling"]["max_concurrent_requests"] == AT_ONCE


def test_without_a_class_it_is_the_smallest(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(GOOD)
    assert (read_settings(tmp_path).instance_class, read_settings(tmp_path).memory_bytes) == ("F1", 384_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "runtime: nodejs22\n",
            r"app\.yaml: runtime: 'nodejs22' is no Python of App Engine; write for example python313",
        ),
        ("runtime: python3\n", r"runtime: 'python3' is no Python of App Engine; write for example python313"),
        (GOOD + "instance_class: F3\n", r"instance_class: 'F3' is not known \(known: F1, F2, F4, F4_1G, "),
        ("runtime: python313\n", r"entrypoint: missing; write for example 'gunicorn demo:app'"),
    ],
)
def test_what_cannot_be_rehearsed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "app.yaml").write_text(text)
    with pytest.raises(DeployError, match=message):
        read_settings(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"app\.yaml: cannot be read"):
        read_settings(tmp_path)


def test_static_files_have_the_headers_of_the_program() -> None:
    handlers = yaml.safe_load((ROOT / "app.yaml").read_text())["handlers"]
    static = next(handler for handler in handlers if "static_dir" in handler)
    assert static["http_headers"] == SECURITY_HEADERS | {"Strict-Transport-Security": "max-age=31536000"}
    assert all(handler["secure"] == "always" for handler in handlers)


def test_the_container_holds_what_app_engine_gets() -> None:
    """Docker reads patterns in its own way, so the two lists are compared by what they name."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        word.rstrip("/") for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    }
    uploaded = find_upload(ROOT).files
    assert not [name for name in copied if not any(name in (str(file), *map(str, file.parents)) for file in uploaded)]
    others = {str(name) for name in uploaded if not any(top in (str(name), *map(str, name.parents)) for top in copied)}
    assert others == {"app.yaml"}
    kept, *left_out = (ROOT / ".dockerignore").read_text().split("\n*\n")[1].split("xray_chest_detection/", 1)
    assert {line.removeprefix("!") for line in kept.split()} == copied
    for room in ("detect", "classify", "data", "report", "deploy"):
        assert f"/xray_chest_detection/{room}/" in (ROOT / ".gcloudignore").read_text().split()
        assert f"xray_chest_detection/{room}" in ("xray_chest_detection/" + left_out[0]).split()
    assert 'CMD ["gunicorn", "demo:app"]' in dockerfile
    assert "\nUSER demo\n" in dockerfile
