"""What the tests in a real Chromium share. XRAY_CHROMIUM names the program where it is not found by itself."""

import os
import shutil
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Page = sync_api.Page
expect = sync_api.expect
TIMEOUT_MS = 30_000  # for a machine that is busy with other things
expect.set_options(timeout=TIMEOUT_MS)

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
WIDE, TABLET, PHONE, SMALLEST = (1440, 900), (1024, 768), (390, 844), (320, 640)

in_chromium = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found; install one or set XRAY_CHROMIUM to its path"),
]


class Watch:
    """What the console said, which hosts were asked and how often the models."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.predictions = 0
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._heard)

    def forgive_refusals(self) -> None:
        """Chromium itself logs every answer of 4xx and 5xx; nothing else may stand there."""
        assert all(text.startswith("Failed to load resource") for text in self.complaints)
        self.complaints.clear()

    def _heard(self, request: Any) -> None:
        self.hosts.add(urlsplit(request.url).netloc)
        self.predictions += request.url.endswith("/predict")


def upload(page: Page, content: bytes, name: str = "chest.png", kind: str = "image/png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})


def wait_for(page: Page, state: str) -> None:
    page.wait_for_selector(f'main[data-state="{state}"]')


def read(page: Page, content: bytes, **named: str) -> None:
    upload(page, content, **named)
    wait_for(page, "result")


def change_answer(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Every later answer of the server passes through `change`."""

    def handle(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        change(body)
        route.fulfill(response=answer, json=body)

    page.route("**/api/v1/predict", handle)


def set_slider(page: Page, selector: str, value: float) -> None:
    page.locator(selector).evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", value)


def set_threshold(page: Page, model: str, conf: float) -> None:
    set_slider(page, f'#thresholds [data-model="{model}"] input[type=range]', conf)


def boxes(page: Page, panel: str) -> Any:
    return page.locator(f'.panel[data-model="{panel}"] .mark-box')


def drawn(page: Page) -> None:
    """Wait until the page shows what it knows: it draws once a frame."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def rows(page: Page) -> list[list[str]]:
    """The findings table: the name of each finding and its scores, `·` for no mark."""
    drawn(page)
    found = page.locator("#findings tr[data-id]").all()
    return [[row.locator(".finding > span").last.inner_text(), *_scores(row)] for row in found]


def _scores(row: Any) -> list[str]:
    return [text.split("\n")[0] for text in row.locator("td").all_inner_texts()]


def film_is_shown(page: Page, panel: str = "multi") -> bool:
    film = page.locator(f'.panel[data-model="{panel}"] .film')
    return film.evaluate("film => !film.hidden && film.complete && film.naturalWidth > 0")


def brightness(page: Page, panel: str = "multi") -> np.ndarray:
    """The grey values of the film on the screen, `(rows, columns)`, boxes left out."""
    drawn(page)
    page.evaluate("document.querySelectorAll('.overlay').forEach(overlay => overlay.remove())")
    shot = page.locator(f'.panel[data-model="{panel}"] .stage').screenshot()
    return np.asarray(Image.open(BytesIO(shot)).convert("L"))


def scrolls_sideways(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
