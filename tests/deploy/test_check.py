"""The rehearsal of a deployment ends with one line at the first thing that is wrong, and serves films for real."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from xray_chest_detection.cli.main import main
from xray_chest_detection.deploy.check import check, install, serve
from xray_chest_detection.deploy.python import Python, find_python
from xray_chest_detection.deploy.settings import read_settings
from xray_chest_detection.deploy.upload import copy_upload, find_upload
from xray_chest_detection.errors import DeployError

ROOT = Path(__file__).parents[2]
RUNNING = Python(sys.executable, f"3.{sys.version_info.minor}")


def test_the_running_python_stands_in_for_one_that_is_not_there() -> None:
    assert find_python("3.99") == RUNNING
    assert RUNNING.describe("3.99").endswith("; App Engine has 3.99, which was not found here")
    assert RUNNING.describe(RUNNING.version) == RUNNING.version


@pytest.mark.parametrize("name", ["no-such-python", "false"])
def test_an_interpreter_that_does_not_run(name: str) -> None:
    with pytest.raises(DeployError, match=rf"^{name}: no Python that runs; give the path of an interpreter$"):
        Python.at(name)


def test_a_file_that_is_too_large_ends_it_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text((ROOT / "app.yaml").read_text())
    (tmp_path / ".gcloudignore").write_text("")
    (tmp_path / "model.onnx").write_bytes(bytes(33 * 1024 * 1024))
    with pytest.raises(DeployError, match=r"^model\.onnx: 33\.0 MiB, a file may have 32 MiB; .* \(and 2 more\)$"):
        next(check(tmp_path, RUNNING))


def test_packages_that_cannot_be_installed(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("flask ==\n")
    with pytest.raises(
        DeployError, match=r"^installing requirements.txt failed: ERROR: No matching distribution found for"
    ):
        install(RUNNING, tmp_path / "venv", requirements)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["deploy-check", "--root", str(tmp_path)])
    shown = capsys.readouterr()
    assert (
        shown.err
        == f"error: {tmp_path}/app.yaml: cannot be read (No such file or directory); give the path of a YAML file\n"
    )
    assert shown.out == ""


@pytest.mark.slow  # serves films of up to 64 million pixels
def test_the_project_serves_films_within_the_memory_of_its_class(tmp_path: Path) -> None:
    settings = read_settings(ROOT)
    copy_upload(ROOT, find_upload(ROOT).files, tmp_path)
    steps = {step.name: step.found for step in serve(tmp_path, Path(sys.prefix), settings)}
    assert list(steps) == [
        *("start", "PNG", "JPEG", "DICOM", "largest PNG", "largest colour JPEG", "largest DICOM"),
        *("at once", "memory"),
    ]
    assert f"of 768 MB, {settings.instance_class}" in steps["memory"]


@pytest.mark.slow  # starts the page
def test_a_class_that_is_too_small_is_named(tmp_path: Path) -> None:
    small = replace(read_settings(ROOT), memory_bytes=100_000_000)
    copy_upload(ROOT, find_upload(ROOT).files, tmp_path)
    with pytest.raises(DeployError, match=r"^'gunicorn demo:app': killed, it took more than 100 MB; choose a larger"):
        list(serve(tmp_path, Path(sys.prefix), small))
