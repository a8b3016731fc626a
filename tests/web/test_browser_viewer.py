"""One zoom, one pan and one window for all films, in a real Chromium."""

from typing import Any

import numpy as np
import pytest

from tests.web.browsing import Page, boxes, brightness, drawn, expect, in_chromium, read, set_slider

pytestmark = in_chromium

MODELS = ("multi", "binary", "cardiomegaly", "mass_nodule")


def middle(page: Page, panel: str) -> tuple[float, float]:
    box = page.locator(f'.panel[data-model="{panel}"] .stage').bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def films(page: Page) -> list[dict[str, float]]:
    """Each film relative to its panel."""
    drawn(page)
    return page.locator(".panel:not([hidden]) .stage").evaluate_all(
        """stages => stages.map(stage => { const a = stage.getBoundingClientRect();
        const b = stage.querySelector('.film').getBoundingClientRect();
        return {x: b.x - a.x, y: b.y - a.y, width: b.width}; })"""
    )


def same(places: list[dict[str, float]]) -> bool:
    return all(place == pytest.approx(places[0], abs=0.6) for place in places)


def test_the_wheel_zooms_all_films_about_the_pointer(page: Page, png: bytes) -> None:
    read(page, png)
    before = films(page)
    line = page.locator('.panel[data-model="multi"] .mark-box').first.locator(".line")
    box = line.bounding_box()
    page.mouse.move(*middle(page, "mass_nodule"))
    page.mouse.wheel(0, -400)
    expect(page.locator("#fit")).not_to_have_text("100 %")
    after = films(page)
    assert len(after) == 4
    assert same(after)
    factor = after[0]["width"] / before[0]["width"]
    assert factor > 2
    assert line.bounding_box()["width"] == pytest.approx(box["width"] * factor, rel=0.02)
    assert line.evaluate("line => getComputedStyle(line).strokeWidth") == "2px"
    page.get_by_role("button", name="Fit the film").click()
    expect(page.locator("#fit")).to_have_text("100 %")
    assert films(page) == before


def test_a_drag_moves_all_zoomed_films(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("button", name="Zoom in").click(click_count=3)
    expect(page.locator("#fit")).to_have_text("195 %")
    before = films(page)
    x, y = middle(page, "cardiomegaly")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 15, steps=4)
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()
    page.wait_for_timeout(100)
    after = films(page)
    assert same(after)
    assert after[0]["x"] - before[0]["x"] == pytest.approx(40, abs=6)  # less what belongs to a click
    assert after[0]["y"] - before[0]["y"] == pytest.approx(30, abs=6)


def test_two_fingers_zoom(page: Page, png: bytes) -> None:
    read(page, png)
    page.locator('.panel[data-model="multi"] .stage').evaluate(
        """stage => { const {x, y} = stage.getBoundingClientRect();
        const held = {pointerType: 'touch', button: 0, buttons: 1, bubbles: true};
        const touch = (type, pointerId, dx) => stage.dispatchEvent(new PointerEvent(type,
            {...held, pointerId, clientX: x + dx, clientY: y + 100}));
        touch('pointerdown', 11, 150); touch('pointerdown', 12, 200);
        touch('pointermove', 11, 125); touch('pointermove', 12, 225);
        touch('pointerup', 11, 125); touch('pointerup', 12, 225); }"""
    )
    expect(page.locator("#fit")).to_have_text("200 %")
    assert same(films(page))


def test_a_double_click_zooms_in_and_out(page: Page, png: bytes) -> None:
    read(page, png)
    page.mouse.dblclick(*middle(page, "mass_nodule"))
    expect(page.locator("#fit")).to_have_text("250 %")
    page.mouse.dblclick(*middle(page, "mass_nodule"))
    expect(page.locator("#fit")).to_have_text("100 %")


def test_one_large_film_and_one_model_alone(page: Page, png: bytes) -> None:
    read(page, png)
    small = page.locator('.panel[data-model="multi"] .stage').bounding_box()
    page.get_by_role("button", name="One film").click()
    expect(page.locator('.panel[data-model="all"]')).to_be_visible()
    large = page.locator('.panel[data-model="all"] .stage').bounding_box()
    assert large["width"] > 1.9 * small["width"]
    assert large["height"] > 1.9 * small["height"]
    page.keyboard.press("3")
    expect(page.locator('.panel[data-model="cardiomegaly"]')).to_be_visible()
    expect(page.locator(".panel:visible")).to_have_count(1)
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".panel:visible")).to_have_count(4)


def grey(page: Page) -> np.ndarray:
    """The film without the black beside it, as numbers that may be subtracted."""
    shown = brightness(page).astype(int)
    return shown[20:-20, shown.shape[1] // 3 : -shown.shape[1] // 3]


@pytest.fixture
def light(page: Page, png: bytes) -> Any:
    page.emulate_media(reduced_motion="reduce")
    read(page, png)
    return grey(page)


def test_inverting_turns_every_grey_over(page: Page, light: np.ndarray) -> None:
    page.get_by_role("button", name="Invert").click()
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    assert np.abs(255 - light - grey(page)).max() <= 3


def test_sliders_window_the_film(page: Page, light: np.ndarray) -> None:
    set_slider(page, "#width", 0.5)
    set_slider(page, "#level", 0.25)
    expect(page.locator("#light-reset")).to_be_enabled()
    assert np.abs(np.minimum(255, light * 2) - grey(page)).max() <= 4
    page.locator("#light-reset").click()
    expect(page.locator("#light-reset")).to_be_disabled()
    assert np.abs(light - grey(page)).max() <= 1


def test_a_drag_with_shift_windows_the_film(page: Page, png: bytes) -> None:
    read(page, png)
    x, y = middle(page, "multi")
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 100, y + 50, steps=5)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#light-reset")).to_be_enabled()
    assert float(page.locator("#width").input_value()) < 0.95
    assert float(page.locator("#level").input_value()) > 0.52
    expect(page.locator("#fit")).to_have_text("100 %")


def test_the_next_film_starts_whole_and_without_a_window(page: Page, png: bytes) -> None:
    read(page, png)
    set_slider(page, "#width", 0.5)
    page.get_by_role("button", name="Zoom in").click()
    read(page, png, name="next.png")
    expect(page.locator("#facts")).to_contain_text("next.png")
    expect(page.locator("#fit")).to_have_text("100 %")
    expect(page.locator("#width")).to_have_value("1")


def test_boxes_can_be_hidden(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("button", name="Boxes").click()
    expect(boxes(page, "multi").first).to_be_hidden()
    page.get_by_role("button", name="Boxes").click()
    expect(boxes(page, "multi").first).to_be_visible()
