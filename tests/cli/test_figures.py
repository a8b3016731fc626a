"""`xray figures` on tables of boxes; on a run it is tested with the other commands of a run."""

import subprocess
import sys

import pytest

from xray_chest_detection.cli.main import main

BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,0,0,512,256,,,\nb.png,Nodule,512,512,10,20,,,\n"


@pytest.fixture
def box_list(tmp_path):
    path = tmp_path / "BBox_List_2017.csv"
    path.write_text(BOXES)
    return path


def test_raw_tables_are_drawn_without_any_image(box_list, tmp_path, capsys):
    out = tmp_path / "figures"
    assert main(["figures", "--csv", str(box_list), "--out", str(out)]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert drawn == [str(out / f"boxes-{name}.png") for name in ("classes", "per-image", "shapes", "positions")] + [
        str(out / "boxes-correlogram-nih.png")
    ]
    assert {str(path) for path in out.iterdir()} == set(drawn)


def test_a_table_without_a_box_is_one_line_and_leaves_no_folder(tmp_path, capsys):
    path = tmp_path / "train.csv"
    path.write_text("image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\na,No finding,14,R1,,,,\n")
    with pytest.raises(SystemExit) as ended:
        main(["figures", "--csv", str(path), "--out", str(tmp_path / "figures")])
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"error: {path}: no row has a box, so there is nothing to draw; give the table of the full set\n"
    )
    assert list(tmp_path.iterdir()) == [path]


def test_tables_are_drawn_without_torch():
    code = (
        "import sys; from xray_chest_detection.cli import figures; from xray_chest_detection.data import box_sources; "
        "from xray_chest_detection.report import data_figures; "
        "sys.exit(bool({'torch', 'ultralytics'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "error: give a run folder, or tables of boxes with --tables or --csv, and not both"),
        (["run", "--csv", "x.csv"], 2, "error: give a run folder, or tables of boxes with --tables or --csv, and not"),
        (["--csv", "x.csv"], 2, "error: --out: give a folder for the figures of the tables"),
        (["--csv", "x.csv", "--out", "f"], 1, "error: x.csv: no such file; see datasets/README.md on what to download"),
        (
            ["--csv", "x.csv", "--out", "f", "--split", "test"],
            2,
            "error: --split: only a run has it; leave it out with",
        ),
        (["--csv", "x.csv", "--out", "f", "--films", "6"], 2, "error: --films: only a run has it; leave it out with"),
        (
            ["--tables", "x", "--out", "f", "--device", "cpu"],
            2,
            "error: --device: only a run has it; leave it out with",
        ),
        (["--tables", "x", "--out", "f", "--checkpoints", "c"], 2, "error: --checkpoints: only a run has it; leave it"),
        (["--tables", "x", "--out", "f"], 1, "error: x/images.csv: no such table; run the data_prep step that writes"),
    ],
)
def test_a_mistake_is_one_line(arguments, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["figures", *arguments])
    assert ended.value.code == status
    printed = capsys.readouterr()
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert printed.out == ""
