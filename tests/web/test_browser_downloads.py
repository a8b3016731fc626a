"""What can be taken away from a result, in a real Chromium."""

import io
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.browsing import Page, expect, in_chromium, read, set_threshold, wait_for

pytestmark = in_chromium


EFFUSION_COLOUR = (0x00, 0x9E, 0x73)


def download(page: Page, label: str) -> tuple[str, bytes]:
    with page.expect_download() as begun:
        page.get_by_role("button", name=label, exact=True).click()
    return begun.value.suggested_filename, Path(begun.value.path()).read_bytes()


def test_json_and_coco_hold_what_the_page_shows(asked: list[dict[str, str]], page: Page, png: bytes) -> None:
    read(page, png)
    set_threshold(page, "multi", 0.5)
    set_threshold(page, "binary", 0.05)
    page.get_by_role("checkbox", name="Mass_Nodule").uncheck()
    name, content = download(page, "JSON")
    answer = json.loads(content)
    assert name == "xray-marks.json"
    assert {model: len(found) for model, found in answer["models"].items()} == {
        "multi": 1,
        "binary": 2,
        "cardiomegaly": 1,
    }
    name, content = download(page, "COCO")
    assert name == "xray-marks.coco.json"
    assert len(json.loads(content)["annotations"]) == 4
    settings = {"models": "multi,binary,cardiomegaly", "conf_multi": "0.5", "conf_binary": "0.05"}
    assert asked[1:] == [{"format": "json", **settings}, {"format": "coco", **settings}]


def test_the_picture_is_drawn_by_the_server_at_these_thresholds(page: Page, png: bytes) -> None:
    read(page, png)
    name, tuned = download(page, "Picture")
    assert name == "xray-marks.png"
    set_threshold(page, "multi", 0.95)
    _, bare = download(page, "Picture")
    assert [EFFUSION_COLOUR in colours(content) for content in (tuned, bare)] == [True, False]


def colours(picture: bytes) -> set[tuple[int, ...]]:
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    return {tuple(map(int, colour)) for colour in np.unique(pixels.reshape(-1, 3), axis=0)}


def test_a_picture_that_cannot_be_made_leaves_the_result(page: Page, png: bytes) -> None:
    read(page, png)
    page.route("**/api/v1/predict", lambda route: route.abort())
    page.get_by_role("button", name="Picture").click()
    expect(page.get_by_role("alert")).to_contain_text("The server did not answer")
    expect(page.locator("#headline")).to_have_text("1 shared, 1 alone")
    expect(page.get_by_role("button", name="Picture")).to_be_enabled()
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    page.watch.forgive_refusals()
    page.unroute("**/api/v1/predict")
    download(page, "Picture")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_the_command_line_asks_for_what_the_page_shows(page: Page, png: bytes, tmp_path: Path) -> None:
    if subprocess.run(["curl", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("curl is not installed")
    (tmp_path / "my chest.png").write_bytes(png)
    read(page, png, name="my chest.png")
    set_threshold(page, "multi", 0.5)
    expect(page.locator("#curl")).to_contain_text("conf_multi=0.5")
    line = page.locator("#curl").inner_text()
    done = subprocess.run([*shlex.split(line), "--silent"], cwd=tmp_path, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)["models"]
    assert {model: len(marks) for model, marks in found.items()} == {
        "multi": 1,
        "binary": 1,
        "cardiomegaly": 1,
        "mass_nodule": 0,
    }


def test_the_command_line_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Synthetic effusion 1").click()
    wait_for(page, "result")
    page.get_by_role("button", name="Copy the command line").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -F sample=synthetic-effusion-01 {page.url}api/v1/predict"


def test_the_picture_of_a_sample_needs_no_upload(asked: list[dict[str, str]], page: Page) -> None:
    page.get_by_role("button", name="Chest CR").click()
    wait_for(page, "result")
    _, content = download(page, "Picture")
    assert Image.open(io.BytesIO(content)).format == "PNG"
    assert asked[-1] == {"sample": "chest-cr", "format": "png"}
