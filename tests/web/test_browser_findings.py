"""Thresholds, agreement, switches and the links between boxes and rows, in a real Chromium."""

from typing import Any

import pytest

from tests.web.browsing import (
    Page,
    boxes,
    change_answer,
    expect,
    in_chromium,
    read,
    rows,
    set_threshold,
)
from xray_chest_detection.core.model_card import OperatingCurve

pytestmark = in_chromium

HEART = ["Cardiomegaly", "0.80", "0.70", "0.90", "·"]
EFFUSION = ["Effusion", "0.40", "·", "·", "·"]


def test_findings_that_models_share_are_one_row(page: Page, png: bytes) -> None:
    read(page, png)
    expect(page.locator("#headline")).to_have_text("1 shared, 1 alone")
    assert rows(page) == [HEART, EFFUSION]
    assert page.locator("#findings .group").all_inner_texts() == [
        "Shared by two or more models",
        "Marked by one model alone",
    ]
    expect(page.locator("#announcer")).to_have_text(
        "Found 2, 1 shared. A score orders a model's own marks; it is no probability."
    )


def test_a_slider_adds_and_removes_boxes_without_asking_the_server_again(
    asked: list[dict[str, str]], page: Page, png: bytes
) -> None:
    read(page, png)
    assert [boxes(page, name).count() for name in ("multi", "binary")] == [2, 1]
    set_threshold(page, "binary", 0.05)
    expect(boxes(page, "binary")).to_have_count(2)
    expect(page.locator("#headline")).to_have_text("2 shared, 0 alone")
    assert rows(page)[1] == ["Effusion", "0.40", "0.10", "·", "·"]
    set_threshold(page, "multi", 0.85)
    expect(boxes(page, "multi")).to_have_count(0)
    expect(page.locator('.panel[data-model="multi"] .count')).to_have_text("marks nothing")
    expect(page.locator("#announcer")).to_contain_text("Found 2, 1 shared")
    assert asked == [{"preview": "1", "conf": "0.02"}]


def test_a_slider_is_followed_within_one_frame(page: Page, png: bytes) -> None:
    read(page, png)
    drawn = page.evaluate(
        """() => new Promise(resolve => {
        const slider = document.querySelector('#thresholds [data-model="binary"] input[type=range]');
        slider.value = 0.05;
        slider.dispatchEvent(new Event('input'));
        requestAnimationFrame(() => resolve(document.querySelectorAll('[data-model="binary"] .mark-box').length)); })"""
    )
    assert drawn == 2


def test_the_tuned_threshold_is_marked_and_one_click_returns_to_it(page: Page, png: bytes) -> None:
    read(page, png)
    row = page.locator('#thresholds [data-model="binary"]')
    back = row.get_by_role("button")
    expect(back).to_be_disabled()
    expect(back).to_have_text("tuned")
    slider, tick = (row.locator(name) for name in ("input[type=range]", ".tick"))
    track, mark = slider.bounding_box(), tick.bounding_box()
    share = (0.2 - 0.02) / (0.99 - 0.02)
    assert mark["x"] + 1 == pytest.approx(track["x"] + 8 + share * (track["width"] - 16), abs=1)
    set_threshold(page, "binary", 0.05)
    expect(slider).to_have_attribute("aria-valuetext", "0.05")
    expect(back).to_have_text("back to 0.20")
    back.click()
    expect(slider).to_have_value("0.2")
    expect(slider).to_have_attribute("aria-valuetext", "0.20, tuned")
    expect(boxes(page, "binary")).to_have_count(1)


def test_a_moved_slider_holds_for_all_classes_and_the_tuned_one_for_each(page: Page, png: bytes) -> None:
    def per_class(route: Any) -> None:
        body = route.fetch().json()
        next(card for card in body["models"] if card["name"] == "multi")["thresholds"]["per_class"] = {"Effusion": 0.5}
        route.fulfill(json=body)

    page.route("**/api/v1/models", per_class)
    page.reload()
    page.wait_for_selector("main[data-ready]")
    read(page, png)
    expect(boxes(page, "multi")).to_have_count(1)
    set_threshold(page, "multi", 0.21)
    expect(boxes(page, "multi")).to_have_count(2)
    page.locator('#thresholds [data-model="multi"]').get_by_role("button").click()
    expect(boxes(page, "multi")).to_have_count(1)


def test_a_threshold_says_what_the_card_knows(curve: OperatingCurve, page: Page, png: bytes) -> None:
    read(page, png)
    known = page.locator('#thresholds [data-model="binary"] .known')
    expect(known).to_have_text(
        "at .20: finds 80 % [72–90] at 1.6 false marks/film (its test split, n = 152 films, 93 boxes)"
    )
    set_threshold(page, "binary", 0.5)
    expect(known).to_contain_text("at .50: finds 50 % [45–75] at 1.0 false marks/film")
    old = page.locator('#thresholds [data-model="multi"] .known')
    expect(old).to_have_text("Tuned: shown from score 0.20; NMS IoU 0.50.")


def test_a_model_that_is_switched_off_is_out_of_everything(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("checkbox", name="Multi").uncheck()
    expect(page.locator('.panel[data-model="multi"]')).to_be_hidden()
    expect(page.locator("#headline")).to_have_text("1 shared, 0 alone")
    assert rows(page) == [["Cardiomegaly", "0.70", "0.90", "·"]]
    for name in ("Binary", "Cardiomegaly", "Mass_Nodule"):
        page.get_by_role("checkbox", name=name).uncheck()
    expect(page.locator("#headline")).to_have_text("All models are switched off")
    expect(page.get_by_role("button", name="JSON")).to_be_disabled()
    page.get_by_role("checkbox", name="Multi").check()
    expect(boxes(page, "multi")).to_have_count(2)


def test_with_all_models_off_nothing_is_said_of_marks(page: Page, png: bytes) -> None:
    read(page, png)
    for switch in page.locator("#thresholds input[type=checkbox]").all():
        switch.uncheck()
    expect(page.locator("#headline")).to_have_text("All models are switched off")
    expect(page.locator("#announcer")).to_contain_text("All models are switched off")
    expect(page.locator("#curl")).to_have_text("")
    expect(page.locator("#copy")).to_be_disabled()


def test_a_class_can_be_switched_off(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("button", name="Cardiomegaly", exact=True).and_(page.locator(".class-switch")).click()
    expect(page.locator("#headline")).to_have_text("0 shared, 2 alone")
    assert [row[0] for row in rows(page)] == ["Finding", "Effusion"]
    expect(boxes(page, "cardiomegaly")).to_have_count(0)
    expect(page.locator("#classes-note")).to_be_visible()


def test_a_box_lifts_its_row_and_the_same_finding_on_every_film(page: Page, png: bytes) -> None:
    read(page, png)
    boxes(page, "multi").first.hover()
    expect(page.locator("#findings tr.lifted")).to_contain_text("Cardiomegaly")
    for name in ("multi", "binary", "cardiomegaly"):
        expect(page.locator(f'.panel[data-model="{name}"] .mark-box.lifted')).to_have_count(1)
    others = page.locator('.panel[data-model="multi"] .mark-box:not(.lifted)')
    expect(others).to_have_css("opacity", "0.12")
    page.locator("#headline").hover()
    expect(page.locator(".lifted")).to_have_count(0)


def test_a_row_lifts_its_boxes_by_hover_and_by_focus(page: Page, png: bytes) -> None:
    read(page, png)
    row = page.locator("#findings tr[data-id]").nth(1)
    row.hover()
    expect(page.locator(".mark-box.lifted")).to_have_count(1)
    page.locator("#headline").hover()
    expect(page.locator(".mark-box.lifted")).to_have_count(0)
    page.locator("#findings button").first.focus()
    expect(page.locator(".mark-box.lifted")).to_have_count(3)


def test_a_click_on_a_box_goes_to_its_row(page: Page, png: bytes) -> None:
    read(page, png)
    boxes(page, "cardiomegaly").first.click()
    expect(page.locator("#findings button").first).to_be_focused()


def test_fused_findings_are_drawn_once(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("button", name="Fuse").click()
    expect(boxes(page, "all")).to_have_count(2)
    assert page.locator('.panel[data-model="all"] .mark-label').all_text_contents() == [
        "EEffusion 0.40",
        "CCardiomegaly × 3",
    ]
    expect(page.locator('.panel[data-model="multi"]')).to_be_hidden()
    page.get_by_role("button", name="Fuse").click()
    expect(page.locator('.panel[data-model="multi"]')).to_be_visible()


def test_on_one_film_the_models_are_told_apart_by_their_lines(page: Page, png: bytes) -> None:
    read(page, png)
    page.get_by_role("button", name="One film").click()
    lines = page.locator('.panel[data-model="all"] .line')
    expect(lines).to_have_count(4)
    styles = set(lines.evaluate_all("all => all.map(line => getComputedStyle(line).strokeDasharray)"))
    assert len(styles) == 3
    set_threshold(page, "cardiomegaly", 0.99)
    expect(lines).to_have_count(3)


def test_a_crowd_is_capped_and_its_labels_do_not_cover_each_other(page: Page, png: bytes) -> None:
    def crowd(body: dict) -> None:
        body["models"]["multi"] = [
            {"class": "Effusion", "score": 0.9 - step / 1000, "box": [20 + step / 4, 30, 60 + step / 4, 70]}
            for step in range(150)
        ]

    change_answer(page, crowd)
    read(page, png)
    expect(page.locator('.panel[data-model="multi"] .count')).to_have_text("best 100 of 150 marks")
    expect(boxes(page, "multi")).to_have_count(100)
    expect(page.locator("#findings tr[data-id]")).to_have_count(40)
    expect(page.locator("#more-rows")).to_contain_text("more of lower score")
    chips = page.locator('.panel[data-model="multi"] .mark-label:not(.crowded) .chip')
    rects = chips.evaluate_all("all => all.map(chip => chip.getBoundingClientRect().toJSON())")
    assert 4 < len(rects) < 100
    for index, a in enumerate(rects):
        for b in rects[:index]:
            apart_x = a["right"] <= b["left"] + 0.1 or b["right"] <= a["left"] + 0.1
            apart_y = a["bottom"] <= b["top"] + 0.1 or b["bottom"] <= a["top"] + 0.1
            assert apart_x or apart_y


def test_a_long_name_pushes_no_score_out_of_sight(page: Page, png: bytes) -> None:
    name = "Enlargement of the cardiomediastinal silhouette with pericardial effusion"

    def rename(body: dict) -> None:
        body["models"]["multi"] = [{"class": name, "score": 0.8, "box": [20, 30, 60, 70]}]
        body["models"]["mass_nodule"] = [{"class": "Mass/Nodule", "score": 0.7, "box": [70, 70, 80, 80]}]

    change_answer(page, rename)
    read(page, png)
    edges = "all => all.map(one => one.getBoundingClientRect().right)"
    side = page.locator(".side").bounding_box()
    assert max(page.locator("#findings td").evaluate_all(edges)) <= side["x"] + side["width"]
    label = page.locator('.panel[data-model="multi"] .mark-label text').last
    expect(label).to_have_text("0.80")
    heart = page.get_by_role("rowheader", name="Cardiomegaly")
    expect(heart).to_be_visible()
    assert heart.bounding_box()["height"] < 40, "a usual name stands in one line"


def test_no_box_stays_dimmed_when_focus_and_threshold_change_together(page: Page, png: bytes) -> None:
    read(page, png)
    page.locator("#headline").hover()
    page.locator("#findings button").first.focus()
    expect(page.locator(".overlay.lifting:visible")).to_have_count(4)
    page.evaluate(
        """() => { document.activeElement.blur();
        const slider = document.querySelector('#thresholds [data-model="binary"] input[type=range]');
        slider.value = 0.05;
        slider.dispatchEvent(new Event('input')); }"""
    )
    expect(boxes(page, "binary")).to_have_count(2)
    expect(page.locator(".overlay.lifting:visible")).to_have_count(0)
