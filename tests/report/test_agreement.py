"""Pages, tables and figures about readers."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.data.readings_by_hand import box, by_hand, random_readings
from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.agreement import measure_agreement
from xray_chest_detection.data.disagreement import disagreement_table
from xray_chest_detection.data.human_ceiling import human_ceiling
from xray_chest_detection.data.reader_table import ReaderRow, reader_rows
from xray_chest_detection.data.reading_source import Film
from xray_chest_detection.errors import ImageError
from xray_chest_detection.report import contact_sheet, reader_figure
from xray_chest_detection.report.agreement import ReaderStudy, study_markdown, study_summary, write_study
from xray_chest_detection.report.agreement_figures import draw_classes, draw_pairs
from xray_chest_detection.report.contact_sheet import draw_disputed
from xray_chest_detection.report.reader_figure import draw_readers


def study_of(readings, *, resamples=20):
    ceiling = human_ceiling(readings, ConsensusConfig(rule="union"), resamples=resamples)
    agreement = measure_agreement(readings, resamples=resamples)
    return ReaderStudy("hand", agreement, *reader_rows(readings), ceiling, disagreement_table(readings))


@pytest.fixture(scope="module")
def readings():
    return random_readings(1, images=40)


@pytest.fixture(scope="module")
def study(readings):
    return study_of(readings)


def colours_of(path):
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert min(pixels.shape[:2]) > 200
    return {tuple(colour) for colour in pixels.reshape(-1, 3)[::7].tolist()}


def test_page_has_every_table_and_figure(study):
    page = study_markdown(study, ["pairs.png"])
    assert page.startswith(
        "# Agreement of readers: hand\n\n3 readers, 40 images that several of them read. In brackets"
    )
    assert page.count("\n| R1 R2 | 40 | ") == 1
    assert "![pairs.png](pairs.png)" in page
    first = study.disputed.iloc[0]
    assert f"| {first['image_id']} | {first['disagreement']:.3f} | {first['findings']} |" in page
    assert "R1, R2, R3" in page  # readers are not joined by the sign that parts the cells of a table


def test_page_warns_of_images_that_were_chosen_by_agreement():
    chosen = by_hand({"a": {"R1": [box("Mass", 0)], "R2": [box("ILD", 50)]}, "b": {"R1": [], "R2": []}})
    assert "Nowhere did some readers draw something and others nothing." in study_summary(study_of(chosen))
    usual = by_hand({"a": {"R1": [box("Mass", 0)], "R2": []}, "b": {"R1": [], "R2": []}})
    assert "Nowhere" not in study_summary(study_of(usual))


def test_summary_shows_each_class_once(study):
    lines = study_summary(study).splitlines()
    starts = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    readers = ["R1", "R2", "R3"]
    assert starts == [
        *("class", "---", "ILD", "Mass", "Pneumothorax", "all classes", "any finding"),
        *("reader", "---", *readers),
        *("reader", "---", *readers, "mean of readers", "mean of readers, weighted by images with a finding"),
    ]


def test_files_hold_the_numbers_and_their_intervals(study, tmp_path):
    write_study(tmp_path, study)
    content = json.loads((tmp_path / "agreement.json").read_text())
    assert (content["n_images"], content["n_patients"], content["n_readers"]) == (40, 40, 3)
    mass = next(row for row in study.agreement.classes if row.class_name == "Mass")
    written = next(row for row in content["classes"] if row["class_name"] == "Mass")
    estimate = mass.match_rate_40
    names = ("match_rate_40", "match_rate_40_low", "match_rate_40_high")
    assert [written[name] for name in names] == [estimate.value, estimate.low, estimate.high]
    table = pd.read_csv(tmp_path / "classes.csv").set_index("class_name")
    assert table.loc["Mass", "match_rate_40"] == pytest.approx(estimate.value)
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == len(content["pairs"]) == 3 * 5
    assert pd.read_csv(tmp_path / "readers.csv")["boxes"].tolist() == [row["boxes"] for row in content["readers"]]
    assert len(pd.read_csv(tmp_path / "readers_by_class.csv")) == len(content["readers_by_class"]) == 3 * 3
    assert len(pd.read_csv(tmp_path / "human_ceiling.csv")) == len(content["human_ceiling"]) == (3 + 2) * (3 + 1)
    assert content["human_ceiling_rule"]["rule"] == "union"
    assert len(pd.read_csv(tmp_path / "disputed.csv")) == 40


def test_undefined_numbers_are_null_and_empty(tmp_path):
    study = study_of(by_hand({"a": {"R1": [], "R2": []}}), resamples=0)
    write_study(tmp_path, study)
    assert json.loads((tmp_path / "agreement.json").read_text())["pairs"][0]["kappa"] is None
    assert pd.read_csv(tmp_path / "pairs.csv")["kappa"].isna().all()
    assert "| all classes | 0 | 0.0% | - |" in study_markdown(study)


def test_figures_are_drawn(study, tmp_path):
    drawn = [
        draw_pairs(study.agreement, tmp_path / "p.png"),
        draw_classes(study.agreement, tmp_path / "c.png"),
        draw_readers(study.readers, tmp_path / "r.png"),
    ]
    for path in drawn:
        assert len(colours_of(path)) > 20


def test_pairs_are_not_drawn_from_a_handful_of_boxes(tmp_path):
    agreement = measure_agreement(by_hand({"a": {"R1": [box("Mass", 0)], "R2": []}}), resamples=0)
    with pytest.raises(ValueError, match="no pair of readers has enough images and boxes"):
        draw_pairs(agreement, tmp_path / "p.png")
    with pytest.raises(ValueError, match="no reader has drawn 10 boxes"):
        draw_readers([ReaderRow("R1", 9, 9, 9, 0.5, 0.5, 0.9, 0.1)], tmp_path / "r.png")


def test_readers_at_one_point_keep_their_names_apart(tmp_path, monkeypatch):
    alike = [ReaderRow(f"R{number}", 50, 40, 60, 0.8, 0.3, 0.9, 0.1) for number in range(1, 5)]
    figures = []
    monkeypatch.setattr(reader_figure, "save_figure", lambda figure, path: figures.append(figure))
    draw_readers(alike, tmp_path / "r.png")
    names = [text for text in figures[0].axes[0].texts if text.get_text().startswith("R")]
    extents = [name.get_window_extent() for name in names]
    assert len(extents) == 4
    assert not any(one.overlaps(other) for one, other in itertools.combinations(extents, 2))


@pytest.fixture
def films(tmp_path):
    """Two disputed films at half their reference size; the third reader of the first was silent."""
    readings = by_hand(
        {
            "first": {"R1": [box("Mass", 20), box("ILD", 60)], "R2": [box("Mass", 70)], "R3": []},
            "second": {"R1": [box("Mass", 20)], "R2": []},
        }
    )
    for name in readings.images:
        Image.new("L", (50, 40), 60).save(tmp_path / f"{name}.png")
    return readings, {name: Film(tmp_path / f"{name}.png", 100.0, 80.0) for name in readings.images}


def test_the_sheet_has_a_colour_for_each_reader(films, tmp_path):
    readings, paths = films
    seen = []
    sheet = draw_disputed(
        readings,
        disagreement_table(readings),
        paths,
        tmp_path / "sheet.png",
        progress=lambda items, total: (seen.append(item) or item for item in items),
    )
    assert seen == [0, 1]
    assert {(230, 159, 0), (86, 180, 233), (240, 228, 66)} <= colours_of(sheet)  # the third only names the silent one


def test_boxes_are_drawn_in_the_pixels_of_the_file(films, tmp_path, monkeypatch):
    readings, paths = films
    drawn = []

    real = contact_sheet.Rectangle
    monkeypatch.setattr(
        contact_sheet, "Rectangle", lambda *place, **style: drawn.append(place) or real(*place, **style)
    )
    draw_disputed(readings, disagreement_table(readings).head(1), paths, tmp_path / "sheet.png")
    assert ((35.0, 0.0), 5.0, 5.0) in drawn


@pytest.mark.parametrize("shape", [(50, 40), (40, 50)], ids=["wide", "high"])
def test_names_of_boxes_at_the_border_stay_on_the_film(shape, tmp_path, monkeypatch):
    name, edge = "Pulmonary fibrosis", 2 * shape[0] - 12
    readings = by_hand({"a": {f"R{number}": [box(name, 2), box(name, edge)] for number in range(4)}}, classes=(name,))
    Image.new("L", shape, 60).save(tmp_path / "a.png")
    figures = []
    monkeypatch.setattr(contact_sheet, "save_figure", lambda figure, path: figures.append(figure) or path)
    films = {"a": Film(tmp_path / "a.png", 2.0 * shape[0], 2.0 * shape[1])}
    draw_disputed(readings, disagreement_table(readings), films, tmp_path / "sheet.png")
    figure = figures[0]
    figure.canvas.draw()
    film = figure.axes[0].get_window_extent()
    texts = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text() == name]
    assert len(texts) == 8
    assert all(film.x0 - 1 <= text.x0 and text.x1 <= film.x1 + 1 for text in texts)


def test_a_missing_film_is_one_line(films, tmp_path):
    readings, paths = films
    paths["first"].path.unlink()
    with pytest.raises(ImageError, match=r"first\.png: cannot be read"):
        draw_disputed(readings, disagreement_table(readings), paths, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
