"""`xray agreement`: from synthetic readings to a folder with numbers and pictures."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.data.readings_by_hand import SIDE_PX
from xray_chest_detection.cli import main as program
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.data.vinbigdata_table import FINDINGS, image_opinions, read_train_csv

HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
TABLES = {"classes.csv", "disputed.csv", "human_ceiling.csv", "pairs.csv", "readers.csv", "readers_by_class.csv"}
FILES = TABLES | {"agreement.json", "classes.png", "manifest.json", "pairs.png", "readers.png", "report.md"}


def line(image, reader, finding=None, x=0.0):
    if finding is None:
        return f"{image},No finding,14,{reader},,,,"
    return f"{image},{finding},{FINDINGS.index(finding)},{reader},{x},0,{x + SIDE_PX},{SIDE_PX}"


@pytest.fixture
def table(tmp_path):
    """40 images read by R1 and R2, who differ on every fifth."""
    rows = []
    for number in range(40):
        rows.append(line(f"film{number:02d}", "R1", "Cardiomegaly" if number % 2 else None))
        rows.append(line(f"film{number:02d}", "R2", "Cardiomegaly" if number % 2 and number % 5 else None, x=1))
    path = tmp_path / "train.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


@pytest.fixture
def tables(table, tmp_path):
    """The same as a folder of tables, with films of half their size."""
    read = read_train_csv(table)
    images = image_opinions(read)
    images = images.assign(patient_id=images["image_id"], source="vinbigdata", width=128.0, height=64.0, view=None)
    images["path"] = [str(tmp_path / "films" / f"{name}.png") for name in images["image_id"]]
    (tmp_path / "films").mkdir()
    for path in images["path"]:
        Image.new("L", (64, 32), 90).save(path)
    write_tables(tmp_path / "tables", images, read.boxes)
    return tmp_path / "tables"


def run(*arguments):
    """Exit status of `xray agreement`."""
    try:
        return program.main(["agreement", *map(str, arguments), "--resamples", "50"])
    except SystemExit as error:
        return error.code


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_table_without_images_gives_everything_but_the_sheet(table, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert run(table, "--out", out) == 0
    assert names(out) == FILES
    content = json.loads((out / "agreement.json").read_text())
    row = next(row for row in content["pairs"] if row["class_name"] == "Cardiomegaly")
    assert (row["images"], row["boxes_first"], row["boxes_second"]) == (40, 20, 16)
    assert row["match_rate_40"] == pytest.approx(2 * 16 / 36)
    ceiling = next(
        row for row in content["human_ceiling"] if (row["reader"], row["class_name"]) == ("R2", "Cardiomegaly")
    )
    assert (ceiling["n_boxes"], ceiling["n_drawn"], ceiling["sensitivity"]) == (20, 16, 16 / 20)
    printed = capsys.readouterr()
    assert "| Cardiomegaly | 36 | 45.0% | 0.889 (" in printed.out
    assert printed.err == (
        "no contact sheet: the table names no image files; prepare it with data_prep.vinbigdata and give the folder of "
        "tables\n"
    )
    assert read_manifest(out).inputs.keys() == {"train.csv"}


def test_a_folder_of_tables_gives_a_contact_sheet_of_the_disputed(tables, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(tables, "--out", out, "--films", "2") == 0
    assert names(out) == FILES | {"most-disputed.png"}
    page = (out / "report.md").read_text()
    assert "| film05 | 1.000 | 1 | 1 | R1, R2 | R2 |" in page
    assert capsys.readouterr().err == ""


def test_the_sheet_can_be_left_out(tables, tmp_path, capsys):
    assert run(tables, "--out", tmp_path / "out", "--films", "0") == 0
    assert "most-disputed.png" not in names(tmp_path / "out")
    assert capsys.readouterr().err == ""


def test_a_lost_film_costs_the_sheet_only(tables, tmp_path, capsys):
    (tmp_path / "films" / "film05.png").unlink()
    assert run(tables, "--out", tmp_path / "out") == 1
    assert names(tmp_path / "out") == FILES
    assert "film05.png: cannot be read" in capsys.readouterr().err


def test_a_scheme_is_applied_first(table, tmp_path):
    scheme = Path(__file__).resolve().parents[2] / "configs/schemes/united7.yaml"
    assert run(table, "--out", tmp_path / "out", "--scheme", scheme) == 0
    content = json.loads((tmp_path / "out" / "agreement.json").read_text())
    classes = [row["class_name"] for row in content["classes"]]
    assert "Effusion" in classes
    assert "Pneumonia" not in classes  # VinBigData is not labelled for it


def test_the_same_numbers_every_time(table, tmp_path):
    for name in ("a", "b"):
        assert run(table, "--out", tmp_path / name) == 0
    for name in FILES - {"manifest.json"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_older_result_is_replaced_but_nothing_else(table, tmp_path, capsys):
    assert run(table, "--out", tmp_path / "out") == 0
    assert run(table, "--out", tmp_path / "out") == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert run(table, "--out", tmp_path / "mine") == 1
    assert "is not empty and has no agreement.json" in capsys.readouterr().err
    assert names(tmp_path / "mine") == {"thesis.txt"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nothing.csv", "--out", "o"], 1, "error: nothing.csv: no such file or folder"),
        (["{table}", "--out", "o", "--films", "-1"], 2, "error: --films: -1 is less than 0"),
        (["{table}", "--out", "o", "--scheme", "none.yaml"], 1, "error: none.yaml: cannot be read"),
        (["{table}"], 2, "--out"),
    ],
    ids=["no source", "negative", "no scheme", "no output"],
)
def test_wrong_use_is_one_line(table, tmp_path, monkeypatch, capsys, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    assert run(*(text.format(table=table) for text in arguments)) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_single_readers_end_in_one_line(tmp_path, capsys):
    path = tmp_path / "train.csv"
    path.write_text("\n".join([HEADER, line("a", "R1", "Cardiomegaly"), line("b", "R2")]) + "\n")
    assert run(path, "--out", tmp_path / "out") == 1
    assert "none of the 2 images was read by two readers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
