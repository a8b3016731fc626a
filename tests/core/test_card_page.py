"""A model card as a page: nothing is invented, nothing is lost, and the HTML stands alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from xray_chest_detection.core.card_page.blocks import Bullets, Page, Section, Table, Text, to_html, to_markdown
from xray_chest_detection.core.card_page.claim import ITEMS, SECTIONS, claim_answers
from xray_chest_detection.core.card_page.page import card_page
from xray_chest_detection.core.model_card import (
    CurvePoint,
    Metric,
    ModelCard,
    OperatingCurve,
    Thresholds,
    TrainingData,
    read_card,
)
from xray_chest_detection.core.tiling import Tiles

ROOT = Path(__file__).parents[2]
NAMES = ("multi", "binary", "cardiomegaly", "mass_nodule")


def make_card(**changes) -> ModelCard:
    """A card with nothing but what a card must have."""
    data = TrainingData(name="films", source="somebody", licence="free", counts={})
    values = {"name": "m", "title": "Heart & <lung>", "file": "m.onnx", "sha256": "ab" * 32, "architecture": "YOLOv8n"}
    values |= {"image_size_px": 64, "classes": ("Heart", "Lung"), "training_data": data}
    return ModelCard(**(values | {"thresholds": Thresholds(conf=0.2, iou=0.5)} | changes))


def section(card: ModelCard, title: str) -> str:
    """One section of the Markdown page."""
    text = to_markdown(card_page(card))
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


class Tags(HTMLParser):
    """Checks that tags are closed in order and collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser.seen


@pytest.mark.parametrize("name", NAMES)
def test_pages_of_the_shipped_models_hold_every_number_and_limit_of_their_cards(name: str) -> None:
    card = read_card(ROOT / "checkpoints" / f"{name}.card.yaml")
    markdown = to_markdown(card_page(card))
    for metric in card.metrics:
        assert re.search(rf"^\| {re.escape(metric.name)} \| {metric.value:.3f} \(", markdown, re.MULTILINE)
    for sentence in (*card.limits, card.notice, card.sha256, card.training_data.split_sha256):
        assert sentence in markdown


@pytest.mark.parametrize("name", NAMES)
def test_the_html_file_needs_nothing_beside_it(name: str) -> None:
    html = to_html(card_page(read_card(ROOT / "checkpoints" / f"{name}.card.yaml")))
    tags = tags_of(html)
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not any({"src", "href", "style"} & attributes.keys() for _, attributes in tags)
    assert "url(" not in html
    assert "@import" not in html


def test_text_of_a_card_cannot_become_markup() -> None:
    html = to_html(card_page(make_card(limits=("<script>alert(1)</script>",))))
    assert "<script" not in html
    assert "Model card: Heart &amp; &lt;lung&gt;" in html


def test_blocks_become_markdown_and_html() -> None:
    table = Table(("class", "boxes"), (("a|b", "3"),))
    page = Page("T", "N", (Section("S", (Text("one"), Bullets(("two",)), table)),))
    assert to_markdown(page) == (
        "# T\n\n> **N**\n\n## S\n\none\n\n- two\n\n| class | boxes |\n| --- | ---: |\n| a\\|b | 3 |\n"
    )
    html = to_html(page)
    assert '<tr><th scope="row">a|b</th><td class="number">3</td></tr>' in html
    tags_of(html)


def test_what_a_card_does_not_know_is_said_to_be_unknown() -> None:
    card = make_card()
    assert section(card, "Results").strip() == "Not measured."
    assert section(card, "Calibration").startswith("\nNot measured.")
    assert section(card, "Limits").strip() == "Not reported."
    assert section(card, "Training").strip() == "Not reported."
    assert "| readers | Not reported. |" in section(card, "Data")
    assert "| Heart | 0.2 | Not reported. |" in section(card, "Operating point")
    assert "Not exported" in section(card, "Export")


def test_calibration_is_shown_where_it_was_measured() -> None:
    card = make_card(metrics=(Metric(name="ECE Heart", value=0.081, low=0.05, high=0.12, n_images=9, n_boxes=4),))
    assert "| ECE Heart | 0.081 (0.050-0.120) | 9 | 4 |" in section(card, "Calibration")
    assert section(card, "Results").strip() == "Not measured."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"per_class": {"Lung": 0.4}, "n_boxes": {"Heart": 7, "Lung": 9}},
            ["| Heart | 0.2 | 7 |", "| Lung | 0.4 | 9 |"],
        ),
        ({"chosen_on": "val"}, ["| Heart | 0.2 | 5 |", "| Lung | 0.2 | 6 |"]),
        ({"agnostic": True, "objective": "F1"}, ["among boxes of all classes", "chosen on val by F1."]),
        ({"score": 0.5}, ["There it is 0.500, which flatters."]),
        ({"score": 0.5, "out_of_fold_score": 0.4}, ["which flatters; 0.400 on patients left out of the choice"]),
    ],
    ids=["boxes behind each threshold", "boxes of val", "mode", "score", "honest score"],
)
def test_operating_point_with_the_boxes_behind_it(changes, expected) -> None:
    counts = {"val": {"Heart": 5, "Lung": 6, "boxes": 11}}
    data = TrainingData(name="films", source="s", licence="free", counts=counts)
    text = section(
        make_card(thresholds=Thresholds(**({"conf": 0.2, "iou": 0.5} | changes)), training_data=data), "Operating point"
    )
    for part in expected:
        assert part in text


def test_score_maps_had_seen_the_patients_left_out_of_the_choice() -> None:
    point = Thresholds(conf=0.2, iou=0.5, score=0.5, out_of_fold_score=0.4)
    sentence = "The score maps had seen these patients"
    assert sentence in section(make_card(thresholds=point, score_maps={"Heart": (0.5, -1.0)}), "Operating point")
    assert sentence not in section(make_card(thresholds=point), "Operating point")


def test_operating_curve_is_shown_at_scores_one_can_read() -> None:
    points = tuple(
        CurvePoint(
            conf=round(place / 100, 2),
            sensitivity=1 - place / 100,
            sensitivity_low=0.1,
            sensitivity_high=0.9,
            false_positives_per_image=2.5,
            precision=None if place > 80 else 0.25,
        )
        for place in range(1, 100)
    )
    curve = OperatingCurve(split="test", n_images=152, n_boxes=93, n_patients=100, iou=0.4, points=points)
    text = section(make_card(operating_curve=curve), "Operating curve")
    assert "share of the 93 findings that are found (IoU 0.4)" in text
    assert "on 152 films of 100 patients (split test)" in text
    assert "| 0.3 | 0.700 (0.100-0.900) | 2.500 | 0.250 |" in text
    assert "| 0.9 | 0.100 (0.100-0.900) | 2.500 | undefined |" in text
    assert "| 0.31 |" not in text
    assert "Not measured." in section(make_card(), "Operating curve")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "| looks at | the whole film |"),
        ({"flip": True}, "| looks at | the whole film, and the same mirrored; boxes of both are fused |"),
        ({"tiles": Tiles(side=0.4)}, "| the whole film, and overlapping tiles of 0.4 of its longer side |"),
    ],
)
def test_what_the_model_looks_at_is_said(changes, expected) -> None:
    assert expected in section(make_card(**changes), "Model")


def test_mapped_scores_are_said() -> None:
    assert "| Heart | 0.700 | -1.000 | 0.269 |" in section(make_card(score_maps={"Heart": (0.7, -1.0)}), "Calibration")


def test_numbers_of_a_twin_are_not_said_of_these_weights() -> None:
    twin = "a twin trained by the same recipe without the test patients"
    card = make_card(metrics=(Metric(name="mAP50", value=0.3),), measured_on=twin)
    text = section(card, "Results")
    assert f"Measured on {twin}, on the split test; not on these weights." in text
    assert "neither training nor" not in text
    assert claim_answers(card)[31].status == "in part"
    assert twin in claim_answers(card)[31].text


def test_one_class_models_count_all_boxes() -> None:
    data = TrainingData(name="films", source="s", licence="free", counts={"val": {"boxes": 11}})
    assert "| Finding | 0.2 | 11 |" in section(make_card(classes=("Finding",), training_data=data), "Operating point")


def test_counts_that_are_not_of_a_split_are_left_out() -> None:
    counts = {"equal_boxes_merged": 3, "train": {"images": 2, "boxes": 1}}
    data = TrainingData(name="films", source="s", licence="free", counts=counts)
    text = section(make_card(training_data=data), "Data")
    assert "| count | train |" in text
    assert "| boxes | 1 |" in text
    assert "equal_boxes_merged" not in text


def test_cards_with_the_old_and_the_new_name_of_an_export_say_the_same() -> None:
    for name in ("map50_onnx", "map50_exported"):
        card = make_card(recipe={"export": {"format": "fp16", "parity_on_val": {name: 0.25}}})
        assert "| mAP50 of this file | 0.25 |" in section(card, "Export")


def test_all_44_items_of_claim_are_there_and_open_ones_say_so() -> None:
    answers = claim_answers(make_card())
    assert [answer.number for answer in answers] == list(range(1, 45))
    assert len(ITEMS) == len(set(ITEMS)) == 44
    assert {answer.section for answer in answers} == {name for _, name in SECTIONS}
    status = {answer.number: answer.status for answer in answers}
    unknown = {4, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 28, 29, 30, 32, 33, 35, 36, 37, 38, 39, 40, 44}
    assert {number for number, found in status.items() if found == "not reported"} == unknown
    assert section(make_card(), "CLAIM 2024 check list").count("| not reported | ") == len(unknown)


@pytest.mark.parametrize(
    ("changes", "number", "status", "text"),
    [
        ({"versions": {"torch": "2.15"}}, 23, "reported", "torch 2.15."),
        ({"recipe": {"weights": "yolov8n.pt"}}, 24, "reported", "yolov8n.pt."),
        ({"recipe": {"checkpoint": "last"}}, 26, "reported", "Weights of the last epoch. "),
        ({"recipe": {"mask_unknown": True}}, 12, "in part", "never labelled"),
        (
            {"metrics": (Metric(name="mAP50", value=0.2, low=0.1, high=0.3),)},
            37,
            "reported",
            "mAP50 0.200 (0.100-0.300)",
        ),
        ({"metrics": (Metric(name="mAP50", value=0.2),)}, 37, "in part", "without intervals"),
        ({"metrics": (Metric(name="mAP50", value=0.2),)}, 29, "not reported", ""),
        ({"metrics": (Metric(name="sensitivity at 1 x", value=0.4),)}, 38, "reported", "sensitivity at 1 x 0.400."),
        ({"metrics": (Metric(name="mAP50", value=0.2, n_images=7, n_boxes=3),)}, 32, "reported", "7 images, 3 boxes"),
        ({"limits": ("Close to useless for x.",)}, 39, "in part", "Limits names the classes"),
    ],
)
def test_claim_is_filled_from_what_the_card_knows(changes, number, status, text) -> None:
    answer = claim_answers(make_card(**changes))[number - 1]
    assert answer.status == status
    assert text in answer.text


@pytest.mark.parametrize("readers", ["NIH: one reader for each image.", "three radiologists"])
def test_readers_answer_how_the_reference_standard_was_made(readers: str) -> None:
    data = TrainingData(name="films", source="s", licence="free", counts={}, readers=readers)
    answers = claim_answers(make_card(training_data=data))
    assert (answers[13].status, answers[13].text) == ("reported", readers)
    assert answers[17].status == "not reported"
    assert ("Cannot be measured" in answers[17].text) == ("one reader" in readers)


def test_drawings_have_no_patients() -> None:
    data = TrainingData(name="synthetic radiographs", source="drawn", licence="CC0-1.0", counts={})
    answers = claim_answers(make_card(training_data=data))
    assert {answers[number - 1].status for number in (5, 11, 13, 36)} == {"not applicable"}
