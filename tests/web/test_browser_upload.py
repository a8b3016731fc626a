"""Choosing a film in a real Chromium: every kind of file, every way to choose it, and every state of the page."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from tests.web.browsing import (
    PHONE,
    Page,
    Watch,
    boxes,
    change_answer,
    expect,
    film_is_shown,
    in_chromium,
    read,
    rows,
    upload,
    wait_for,
)
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app

pytestmark = in_chromium

KINDS = {
    "PNG": ("chest.png", "image/png", {}),
    "JPEG": ("chest.jpg", "image/jpeg", {}),
    "TIFF": ("chest.tif", "image/tiff", {}),
    "WebP": ("chest.webp", "image/webp", {"lossless": True}),
}


def as_file(film: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_of_each_kind_is_shown_with_its_marks(page: Page, film: np.ndarray, kind: str) -> None:
    name, mime, options = KINDS[kind]
    read(page, as_file(film, kind, **options), name=name, kind=mime)
    expect(page.locator("#headline")).to_have_text("1 shared, 1 alone")
    expect(page.locator("#facts")).to_have_text(f"{name} · {kind.upper()} · 120 × 100 px")
    expect(page.locator('.panel[data-model="multi"] .film')).to_be_visible()
    assert film_is_shown(page)
    assert boxes(page, "multi").count() == 2


def test_a_16_bit_film_is_shown_as_the_models_see_it(page: Page, film: np.ndarray) -> None:
    read(page, as_file(film.astype(np.uint16) * 16, "PNG"), name="deep.png")
    expect(page.locator('.panel[data-model="multi"] .film')).to_have_attribute(
        "src", re.compile("^data:image/png;base64,")
    )
    assert film_is_shown(page)


def test_a_dicom_file_is_shown_as_the_server_renders_it(page: Page, dicom: bytes) -> None:
    read(page, dicom, name="film.dcm", kind="application/dicom")
    expect(page.locator("#facts")).to_contain_text("film.dcm · DICOM · 120 × 100 px · view PA")
    expect(page.locator('.panel[data-model="multi"] .film')).to_be_visible()
    assert film_is_shown(page)
    assert "Doe" not in page.content()


@pytest.mark.parametrize(
    ("name", "kind"), [("film.dcm", "application/dicom"), ("film", ""), ("film.txt", "text/plain")]
)
def test_the_content_decides_whether_a_film_is_shown(page: Page, png: bytes, name: str, kind: str) -> None:
    read(page, png, name=name, kind=kind)
    expect(page.locator("#facts")).to_contain_text(f"{name} · PNG")
    expect(page.locator('.panel[data-model="multi"] .film')).to_be_visible()
    assert film_is_shown(page)


def test_boxes_lie_where_the_server_said(page: Page, png: bytes) -> None:
    read(page, png)
    stage = page.locator('.panel[data-model="cardiomegaly"] .stage').bounding_box()
    line = page.locator('.panel[data-model="cardiomegaly"] .line').bounding_box()
    scale = min(stage["width"] / 120, stage["height"] / 100)
    left = stage["x"] + (stage["width"] - 120 * scale) / 2
    answer = page.request.post(
        page.url + "api/v1/predict",
        multipart={"file": {"name": "a.png", "mimeType": "image/png", "buffer": png}, "models": "cardiomegaly"},
    ).json()
    x_min, _, x_max, _ = answer["models"]["cardiomegaly"][0]["box"]
    assert line["x"] == pytest.approx(left + x_min * scale, abs=2)
    assert line["x"] + line["width"] == pytest.approx(left + x_max * scale, abs=2)
    film = page.locator('.panel[data-model="cardiomegaly"] .film').bounding_box()
    assert film["x"] == pytest.approx(left, abs=1)
    assert film["width"] == pytest.approx(120 * scale, abs=1)


def test_the_progress_state_comes_within_100_ms(page: Page, png: bytes) -> None:
    took = page.evaluate(
        """bytes => new Promise(resolve => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'chest.png', {type: 'image/png'}));
        const main = document.getElementById('main');
        new MutationObserver(() => main.dataset.state === 'reading' && resolve(performance.now() - start))
            .observe(main, {attributes: true});
        const input = document.getElementById('file');
        input.files = data.files;
        const start = performance.now();
        input.dispatchEvent(new Event('change')); })""",
        list(png),
    )
    assert took < 100
    wait_for(page, "result")


def test_the_film_is_on_the_screen_before_the_request_leaves(page: Page, png: bytes) -> None:
    page.evaluate(
        """() => { const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (...given) {
            const film = document.querySelector('.film');
            window.atSending = [!film.hidden, film.naturalWidth, getComputedStyle(film).opacity === "0.5"];
            return send.apply(this, given); }; }"""
    )
    page.emulate_media(reduced_motion="reduce")  # no transition that is still on its way to grey
    held = []
    page.route("**/api/v1/predict", lambda route: held.append(route))
    upload(page, png)
    wait_for(page, "reading")
    expect(page.locator("#headline")).to_have_text("Reading chest.png")
    expect(page.locator("#facts")).to_have_text("Sending the film")
    assert page.evaluate("window.atSending") == [True, 120, True], "shown, whole, greyed"
    assert page.locator("main").get_attribute("aria-busy") == "true"
    held[0].continue_()
    wait_for(page, "result")


def test_a_later_film_replaces_one_still_being_read(page: Page, png: bytes) -> None:
    held = []
    page.route("**/api/v1/predict", lambda route: held.append(route) if not held else route.continue_())
    upload(page, png, name="first.png")
    wait_for(page, "reading")
    upload(page, png, name="second.png")
    wait_for(page, "result")
    expect(page.locator("#facts")).to_contain_text("second.png")


@pytest.mark.parametrize("key", ["Enter", "Space", None])
def test_a_sample_is_read_at_a_click_or_a_key(page: Page, key: str | None) -> None:
    sample = page.get_by_role("button", name="Synthetic effusion 1")
    if key:
        sample.press(key)
    else:
        sample.click()
    wait_for(page, "result")
    expect(page.locator("#headline")).to_have_text("1 shared, 1 alone")
    assert page.locator('.sample[aria-pressed="true"]').count() == 1
    assert film_is_shown(page)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_film_can_be_dropped_and_pasted(page: Page, png: bytes, event: str) -> None:
    page.evaluate(
        """([event, bytes]) => { const data = new DataTransfer();
        for (const name of ['chest.png', 'other.png'])
            data.items.add(new File([new Uint8Array(bytes)], name, {type: 'image/png'}));
        const options = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
        const Kind = event === 'drop' ? DragEvent : ClipboardEvent;
        document.body.dispatchEvent(new Kind(event, options));
        }""",
        [event, list(png)],
    )
    wait_for(page, "result")
    expect(page.locator("#facts")).to_contain_text("chest.png · first of 2 files")


def test_a_file_that_is_no_film_says_so_and_the_next_one_works(page: Page, png: bytes) -> None:
    upload(page, b"hello", name="note.txt", kind="text/plain")
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("This file could not be read as an image")
    expect(page.get_by_role("alert")).to_contain_text("note.txt: not an image that can be read; choose a PNG")
    page.watch.forgive_refusals()
    read(page, png)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_lost_connection_keeps_the_film_and_offers_another_try(page: Page, png: bytes) -> None:
    page.route("**/api/v1/predict", lambda route: route.abort())
    upload(page, png)
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("The server did not answer")
    assert film_is_shown(page)
    page.watch.forgive_refusals()
    page.unroute("**/api/v1/predict")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "result")
    assert film_is_shown(page)


def test_a_busy_server_says_so_and_offers_another_try(page: Page, png: bytes) -> None:
    busy = {"title": "Too many requests", "status": 429, "detail": "wait 3 seconds", "cure": "Try again then."}
    kind = "application/problem+json"
    page.route("**/api/v1/predict", lambda route: route.fulfill(status=429, json=busy, content_type=kind))
    upload(page, png)
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("Too many requests")
    expect(page.get_by_role("alert")).to_contain_text("wait 3 seconds")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.watch.forgive_refusals()


def test_a_file_over_the_limit_is_not_sent(page: Page) -> None:
    page.evaluate(
        """() => { const data = new DataTransfer();
        data.items.add(new File([new ArrayBuffer(33 * 2 ** 20)], 'huge.png', {type: 'image/png'}));
        document.getElementById('file').files = data.files;
        document.getElementById('file').dispatchEvent(new Event('change')); }"""
    )
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("huge.png has 33 MiB; this server takes less than 32 MiB.")
    assert page.watch.predictions == 0


def test_an_empty_file_is_not_sent(page: Page) -> None:
    upload(page, b"")
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("This file is empty")
    assert page.watch.predictions == 0


def test_a_file_that_changed_is_not_a_lost_connection(page: Page, png: bytes, tmp_path: Path) -> None:
    film = tmp_path / "chest.png"
    film.write_bytes(png)
    page.set_input_files("#file", film)
    wait_for(page, "result")
    film.write_bytes(png + b"more")
    page.get_by_role("button", name="JSON").click()
    expect(page.get_by_role("alert")).to_contain_text("This file cannot be opened")


def test_no_mark_at_all_is_not_called_normal(page: Page, png: bytes) -> None:
    change_answer(page, lambda body: body.update(models={name: [] for name in body["models"]}))
    read(page, png)
    expect(page.locator("#headline")).to_have_text("No model marks anything at these thresholds")
    expect(page.locator("#caution")).to_contain_text("does not mean that the film is normal")
    assert rows(page) == []


def test_a_film_that_is_no_chest_is_warned_about_and_shown_all_the_same(page: Page, png: bytes) -> None:
    doubt = {"score": 0.03, "passed": False, "message": "It looks like a photograph."}
    change_answer(page, lambda body: body.update(chest=doubt))
    read(page, png)
    expect(page.locator("#chest")).to_contain_text("It looks like a photograph.")
    expect(page.locator("#announcer")).to_contain_text("It looks like a photograph. Found 2, 1 shared")
    assert len(rows(page)) == 2
    page.unroute("**/api/v1/predict")
    change_answer(page, lambda body: body.update(chest={**doubt, "passed": True, "message": None}))
    read(page, png, name="next.png")
    expect(page.locator("#chest")).to_be_hidden()


def test_a_model_that_failed_says_so_on_its_film(page: Page, png: bytes) -> None:
    def fail(body: dict) -> None:
        del body["models"]["multi"]
        body["errors"] = {"multi": reason}

    reason = "multi.onnx: out of memory; " + "send a smaller film or restart the demo " * 3
    change_answer(page, fail)
    read(page, png)
    said = page.locator('.panel[data-model="multi"] .count')
    expect(said).to_have_text(reason)
    assert said.evaluate("said => said.scrollWidth <= said.clientWidth"), "all of it can be read"
    assert [row[1:] for row in rows(page)] == [["0.70", "0.90", "·"]]
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    expect(said).to_be_visible()
    expect(page.locator('[data-tab="multi"]')).to_have_text("Multi –")


def test_the_page_without_models_opens_quietly(browser, serve, tmp_path: Path) -> None:
    opened = browser.new_page()
    watch = Watch(opened)
    app: Flask = create_app(DemoConfig(), root=tmp_path)
    opened.goto(serve(app), wait_until="networkidle")
    expect(opened.locator("#no-model")).to_contain_text("No model is loaded.")
    opened.close()
    assert watch.complaints == []
