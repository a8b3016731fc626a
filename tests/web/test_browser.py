"""The page in a real Chromium. XRAY_CHROMIUM names the program where it is not found by itself."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Page = sync_api.Page
expect = sync_api.expect
expect.set_options(timeout=10_000)  # for a machine that is busy with other things

CHROMIUM = os.environ.get("XRAY_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE, SMALLEST = (1440, 900), (390, 844), (320, 640)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found; install one or set XRAY_CHROMIUM to its path"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Watch:
    """What the console and the network said."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


@pytest.fixture
def page(browser, address: str) -> Iterator[Page]:
    """The open page; afterwards no error may have been logged and no other host asked."""
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    watch = Watch(opened)
    opened.goto(address)
    opened.wait_for_selector("main[data-ready]")
    opened.watch = watch
    yield opened
    context.close()
    assert watch.complaints == []
    assert watch.hosts <= {urlsplit(address).netloc, ""}


def upload(page: Page, content: bytes, name: str = "chest.png", kind: str = "image/png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})


def wait_for(page: Page, state: str) -> None:
    page.wait_for_selector(f'main[data-state="{state}"]')


def forgive_refusals(page: Page) -> None:
    """Chromium itself logs every answer of 4xx and 5xx; nothing else may stand there."""
    assert all(text.startswith("Failed to load resource") for text in page.watch.complaints)
    page.watch.complaints.clear()


def scrolls_sideways(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def film_is_shown(page: Page, model: str = "multi") -> bool:
    return page.evaluate(
        f"""(() => {{ const film = document.querySelector('[data-model="{model}"] .film');
        return !film.hidden && film.complete && film.naturalWidth > 0; }})()"""
    )


def test_an_uploaded_png_shows_the_marks_of_four_models(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    expect(page.locator("#headline")).to_have_text("4 marks by 3 of 4 models")
    expect(page.locator("#facts")).to_have_text("chest.png · PNG · 120 × 100 px")
    assert page.locator('[data-model="multi"] .mark').all_inner_texts() == [
        "C\nCardiomegaly\n0.80",
        "E\nEffusion\n0.40",
    ]
    expect(page.locator('[data-model="multi"] .point')).to_contain_text("Shown from score 0.20; NMS IoU 0.50")
    expect(page.locator('[data-model="mass_nodule"] .count')).to_have_text("Marks nothing at this threshold.")
    assert page.locator('[data-model="multi"] .mark-box').count() == 2
    assert page.locator("#reading").get_by_text("Research demo, not a medical device").is_visible()
    assert film_is_shown(page)


def test_boxes_lie_where_the_server_said(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    stage = page.locator('[data-model="cardiomegaly"] .stage').bounding_box()
    line = page.locator('[data-model="cardiomegaly"] .line').bounding_box()
    scale = min(stage["width"] / 120, stage["height"] / 100)
    left = stage["x"] + (stage["width"] - 120 * scale) / 2
    answer = page.request.post(
        page.url + "api/v1/predict",
        multipart={"file": {"name": "a.png", "mimeType": "image/png", "buffer": png}, "models": "cardiomegaly"},
    ).json()
    x_min, _, x_max, _ = answer["models"]["cardiomegaly"][0]["box"]
    assert line["x"] == pytest.approx(left + x_min * scale, abs=2)
    assert line["x"] + line["width"] == pytest.approx(left + x_max * scale, abs=2)


def test_the_film_is_shown_before_the_answer_comes(page: Page, png: bytes) -> None:
    held = []
    page.route("**/api/v1/predict", lambda route: held.append(route))
    upload(page, png)
    wait_for(page, "reading")
    page.wait_for_function("!document.querySelector('.film').hidden")
    expect(page.locator("#headline")).to_have_text("Reading chest.png")
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


def test_a_sample_is_read_at_a_click(page: Page) -> None:
    page.get_by_role("button", name="Synthetic effusion 1").click()
    wait_for(page, "result")
    expect(page.locator("#headline")).to_have_text("4 marks by 3 of 4 models")
    assert page.locator('.sample[aria-pressed="true"]').count() == 1
    assert film_is_shown(page)


def test_a_dicom_file_is_shown_as_the_server_renders_it(page: Page, dicom: bytes) -> None:
    upload(page, dicom, name="film.dcm", kind="application/dicom")
    wait_for(page, "result")
    expect(page.locator("#facts")).to_contain_text("film.dcm · DICOM · 120 × 100 px · view PA")
    page.wait_for_function("!document.querySelector('.film').hidden")
    assert film_is_shown(page)
    assert "Doe" not in page.content()


def test_a_file_that_is_no_film_says_so_and_the_next_one_works(page: Page, png: bytes) -> None:
    upload(page, b"hello", name="note.txt", kind="text/plain")
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("This file could not be read as an image")
    expect(page.get_by_role("alert")).to_contain_text("note.txt: not an image that can be read; choose a PNG")
    assert page.locator("#file").count() == 1
    forgive_refusals(page)
    upload(page, png)
    wait_for(page, "result")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_lost_connection_keeps_the_film_and_offers_another_try(page: Page, png: bytes) -> None:
    page.route("**/api/v1/predict", lambda route: route.abort())
    upload(page, png)
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("The server did not answer")
    assert film_is_shown(page)
    forgive_refusals(page)
    page.unroute("**/api/v1/predict")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "result")
    assert film_is_shown(page)


def test_a_file_over_the_limit_is_not_sent(page: Page) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """() => { const data = new DataTransfer();
        data.items.add(new File([new ArrayBuffer(33 * 2 ** 20)], 'huge.png', {type: 'image/png'}));
        document.getElementById('file').files = data.files;
        document.getElementById('file').dispatchEvent(new Event('change')); }"""
    )
    wait_for(page, "error")
    expect(page.get_by_role("alert")).to_contain_text("huge.png has 33 MiB; this server takes less than 32 MiB.")
    assert not [url for url in asked if "predict" in url]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_film_can_be_dropped_and_pasted(page: Page, png: bytes, event: str) -> None:
    page.evaluate(
        """([event, bytes]) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'chest.png', {type: 'image/png'}));
        const options = {bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data};
        const Kind = event === 'drop' ? DragEvent : ClipboardEvent;
        document.body.dispatchEvent(new Kind(event, options));
        }""",
        [event, list(png)],
    )
    wait_for(page, "result")
    expect(page.locator("#facts")).to_contain_text("chest.png")


def test_the_keyboard_alone_reaches_the_chooser_and_the_marks(page: Page, png: bytes) -> None:
    # Asked for early: a chooser that opens before the browser has heard of the wish is not reported.
    page.on("filechooser", lambda chooser: chooser.set_files({"name": "a.png", "mimeType": "image/png", "buffer": png}))
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "file":
            break
    outline = page.evaluate("getComputedStyle(document.querySelector('label[for=file]')).outlineStyle")
    assert outline == "solid", "focus must be visible"
    page.keyboard.press("Enter")
    wait_for(page, "result")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('mark')"):
            break
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Cardiomegaly, score 0.80"
    assert page.locator('[data-model="multi"] .mark-box.lifted').count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".lifted").count() == 0


def test_keys_invert_the_film_and_hide_the_boxes(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    page.keyboard.press("i")
    assert "invert" in page.evaluate("getComputedStyle(document.querySelector('.film')).filter")
    page.keyboard.press("b")
    assert page.evaluate("getComputedStyle(document.querySelector('.overlay')).visibility") == "hidden"
    page.keyboard.press("b")
    assert page.evaluate("getComputedStyle(document.querySelector('.overlay')).visibility") == "visible"


def test_hovering_a_box_lifts_its_row(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    page.locator('[data-model="multi"] .mark-box[data-index="1"] .line').hover()
    expect(page.locator('[data-model="multi"] .marks .lifted')).to_contain_text("Effusion")


def test_the_result_is_announced(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    expect(page.locator("#announcer")).to_contain_text("4 marks by 3 of 4 models")


def test_picture_and_json_can_be_saved(page: Page, png: bytes) -> None:
    upload(page, png)
    wait_for(page, "result")
    for label, start in (("Picture", b"\x89PNG"), ("JSON", b"{")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        assert Path(download.value.path()).read_bytes().startswith(start)


def test_labels_of_a_crowd_do_not_cover_each_other(page: Page, png: bytes) -> None:
    def crowd(route: object) -> None:
        answer = route.fetch()
        body = answer.json()
        body["models"]["multi"] = [
            {"class": "Effusion", "score": 0.9 - step / 100, "box": [20 + step, 30, 60 + step, 70]}
            for step in range(50)
        ]
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/predict", crowd)
    upload(page, png)
    wait_for(page, "result")
    expect(page.locator('[data-model="multi"] .count')).to_have_text("50 marks, best first")
    labels = page.locator('[data-model="multi"] .mark-label:not(.crowded) .chip').all()
    rects = [label.bounding_box() for label in labels]
    assert 4 < len(rects) < 50
    for index, a in enumerate(rects):
        for b in rects[:index]:
            apart_x = a["x"] + a["width"] <= b["x"] + 0.1 or b["x"] + b["width"] <= a["x"] + 0.1
            apart_y = a["y"] + a["height"] <= b["y"] + 0.1 or b["y"] + b["height"] <= a["y"] + 0.1
            assert apart_x or apart_y
    page.locator('[data-model="multi"] .mark').last.hover()
    expect(page.locator('[data-model="multi"] .mark-label[data-index="49"]')).to_be_visible()


def test_no_mark_at_all_is_not_called_normal(page: Page, png: bytes) -> None:
    def empty(route: object) -> None:
        answer = route.fetch()
        body = answer.json()
        body["models"] = {name: [] for name in body["models"]}
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/predict", empty)
    upload(page, png)
    wait_for(page, "result")
    expect(page.locator("#headline")).to_have_text("No model marks anything at these thresholds")
    expect(page.locator("#caution")).to_contain_text("does not mean that the film is normal")


def test_the_light_theme_is_kept_for_the_next_page(page: Page, address: str) -> None:
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Light theme").click()
    page.goto(address + "/models")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("size", [WIDE, PHONE, SMALLEST], ids=str)
def test_nothing_scrolls_sideways(page: Page, address: str, png: bytes, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert not scrolls_sideways(page)
    upload(page, png, name="a_rather_long_name_without_any_space_" * 3 + ".png")
    wait_for(page, "result")
    assert not scrolls_sideways(page)
    for path in ("/models", "/about"):
        page.goto(address + path)
        assert not scrolls_sideways(page)


def test_the_page_without_models_opens_quietly(browser, serve: Callable[[Flask], str], tmp_path: Path) -> None:
    opened = browser.new_page()
    watch = Watch(opened)
    opened.goto(serve(create_app(DemoConfig(), root=tmp_path)), wait_until="networkidle")
    expect(opened.locator("#no-model")).to_contain_text("No model is loaded.")
    opened.close()
    assert watch.complaints == []
