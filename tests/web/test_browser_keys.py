"""The page by keyboard alone and through a screen reader, in every size and theme, in a real Chromium."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.browsing import (
    PHONE,
    SMALLEST,
    TABLET,
    WIDE,
    Page,
    boxes,
    change_answer,
    expect,
    in_chromium,
    read,
    scrolls_sideways,
    set_threshold,
    wait_for,
)

pytestmark = in_chromium

GRAVE = ("serious", "critical")


def test_the_keyboard_alone_reaches_the_chooser_and_the_findings(page: Page, png: bytes) -> None:
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
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('finding')"):
            break
    expect(page.locator("#findings tr.lifted")).to_contain_text("Cardiomegaly")
    page.keyboard.press("Tab")
    expect(page.locator("#findings tr.lifted")).to_contain_text("Effusion")
    page.keyboard.press("Escape")
    expect(page.locator(".lifted")).to_have_count(0)


def test_single_keys_do_what_the_help_says(page: Page, png: bytes) -> None:
    read(page, png)
    page.keyboard.press("i")
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    expect(boxes(page, "multi").first).to_be_hidden()
    page.keyboard.press("b")
    page.keyboard.press("2")
    expect(page.locator(".panel:visible")).to_have_count(1)
    page.keyboard.press("]")
    expect(page.locator('#thresholds [data-model="binary"] .value')).to_have_text("0.21")
    expect(page.locator('#thresholds [data-model="multi"] .value')).to_have_text("0.20")
    page.keyboard.press("a")
    expect(page.locator(".panel:visible")).to_have_count(4)
    page.keyboard.press("[")
    expect(page.locator('#thresholds [data-model="multi"] .value')).to_have_text("0.19")
    page.keyboard.press("+")
    page.keyboard.press("+")
    expect(page.locator("#fit")).to_have_text("156 %")
    film = page.locator('.panel[data-model="multi"] .film')
    before = film.bounding_box()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(100)
    after = film.bounding_box()
    assert after["x"] > before["x"]
    assert after["y"] > before["y"]
    page.keyboard.press("-")
    expect(page.locator("#fit")).to_have_text("125 %")
    page.keyboard.press("0")
    expect(page.locator("#fit")).to_have_text("100 %")
    page.keyboard.press("v")
    expect(page.locator('.panel[data-model="all"]')).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator("#fuse")).to_have_attribute("aria-pressed", "true")


def test_help_opens_and_single_keys_can_be_switched_off(page: Page, png: bytes) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard and mouse")).to_be_visible()
    page.get_by_role("checkbox", name="Single keys do something").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    page.wait_for_selector("main[data-ready]")
    read(page, png)
    page.keyboard.press("i")
    page.wait_for_timeout(100)
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "false")


def test_a_slider_moves_by_its_own_keys(page: Page, png: bytes) -> None:
    read(page, png)
    slider = page.get_by_role("slider", name="Threshold of Multi")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "0.21")


def test_a_row_keeps_the_focus_while_thresholds_move(page: Page, png: bytes) -> None:
    read(page, png)
    page.locator("#findings button").nth(1).focus()
    set_threshold(page, "binary", 0.05)
    expect(page.locator("#headline")).to_have_text("2 shared, 0 alone")
    assert page.evaluate("document.activeElement.textContent") == "EEffusion"


def test_the_light_theme_is_kept_for_the_next_page(page: Page, address: str) -> None:
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Light theme").click()
    page.goto(address + "/models")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("size", [WIDE, TABLET, PHONE, SMALLEST], ids=str)
def test_nothing_scrolls_sideways(page: Page, address: str, png: bytes, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert not scrolls_sideways(page)
    read(page, png, name="a_rather_long_name_without_any_space_" * 3 + ".png")
    set_threshold(page, "multi", 0.9)
    assert not scrolls_sideways(page)
    for path in ("/models", "/models/multi", "/api", "/about"):
        page.goto(address + path)
        assert not scrolls_sideways(page)


def test_a_phone_shows_one_film_with_tabs_and_the_slider_in_reach(page: Page, png: bytes) -> None:
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    read(page, png)
    expect(page.locator(".panel:visible")).to_have_count(1)
    tabs = page.get_by_role("group", name="Model on the film")
    expect(tabs.get_by_role("button", name="Multi 2")).to_have_attribute("aria-pressed", "true")
    tabs.get_by_role("button", name="Binary 1").click()
    expect(page.locator('.panel[data-model="binary"]')).to_be_visible()
    sliders = page.locator("#thresholds input[type=range]:visible")
    expect(sliders).to_have_count(1)
    for top in (0, 60):
        page.evaluate("top => window.scrollTo(0, top)", top)
        assert page.locator("#thresholds").evaluate("it => it.getBoundingClientRect().bottom") == PHONE[1]
    tabs.get_by_role("button", name="All").click()
    expect(page.locator('.panel[data-model="all"]')).to_be_visible()


def test_a_screen_hardly_higher_than_the_slider_keeps_room_for_the_rest(page: Page, png: bytes) -> None:
    page.set_viewport_size({"width": 320, "height": 200})
    read(page, png)
    page.evaluate("window.scrollTo(0, 0)")
    assert page.locator("#thresholds").evaluate("it => it.getBoundingClientRect().top") > 200


def test_forced_colours_tell_what_is_pressed(page: Page, png: bytes) -> None:
    page.emulate_media(forced_colors="active")
    read(page, png)
    looks = "button => getComputedStyle(button).backgroundColor"
    assert page.locator("#four-up").evaluate(looks) != page.locator("#one-up").evaluate(looks)
    assert page.locator(".stage").first.evaluate(looks) == "rgb(0, 0, 0)"


def test_on_paper_the_words_are_dark_and_nothing_is_to_be_pressed(page: Page, png: bytes) -> None:
    read(page, png)
    page.emulate_media(media="print")
    assert page.locator("#headline").evaluate("it => getComputedStyle(it).color") == "rgb(0, 0, 0)"
    expect(page.locator("#findings")).to_be_visible()
    expect(page.locator(".tools, .chooser, .downloads, #curl")).to_have_count(4)
    assert page.locator(".tools, .chooser, .downloads, #curl").evaluate_all("all => all.every(it => !it.offsetParent)")


@pytest.fixture(scope="module")
def axe() -> Callable[[Page], list[str]]:
    """Finds what axe calls a serious or critical fault of a page."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    script = Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")

    def faults(page: Page) -> list[str]:
        page.evaluate(script)  # through the debugger, which the content policy does not bind
        found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
        return [
            f"{fault['id']}: {node['html']}" for fault in found if fault["impact"] in GRAVE for node in fault["nodes"]
        ]

    return faults


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_grave(
    page: Page, address: str, png: bytes, theme: str, axe: Callable[[Page], list[str]]
) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    for path in ("/", "/models", "/models/multi", "/api", "/about"):
        page.goto(address + path)
        assert axe(page) == [], path
    page.goto(address)
    page.wait_for_selector("main[data-ready]")
    doubt = {"score": 0.03, "passed": False, "message": "it looks like a photograph"}
    change_answer(page, lambda body: body.update(chest=doubt))
    read(page, png)
    set_threshold(page, "multi", 0.3)
    assert axe(page) == []
    page.keyboard.press("v")
    page.keyboard.press("?")
    assert axe(page) == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.keyboard.press("1")
    assert axe(page) == []
