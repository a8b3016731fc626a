import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import build_yolo, split, unite, vinbigdata
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.audit import audit
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.data.tables import read_tables

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path):
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=8, size_px=128), tmp_path / "synthetic")
    return tmp_path / "synthetic" / "vinbigdata"


def test_tables_manifest_and_counts(root, tmp_path, capsys):
    arguments = [str(PROJECT / "configs/data/vinbigdata.yaml"), "--root", str(root), "--out", str(tmp_path / "out")]
    vinbigdata.main(arguments)
    images, annotations = read_tables(tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest.step == "data_prep.vinbigdata"
    assert set(manifest.inputs) == {"train.csv"}
    assert set(manifest.outputs) == {"images.csv", "annotations.csv"}
    assert manifest.counts["images"] == len(images) == 8
    assert manifest.counts["boxes"] == len(annotations)
    assert set(annotations["n_readers"]) == {3}
    printed = capsys.readouterr().out
    assert printed.endswith(f"wrote {tmp_path / 'out'}\n")
    assert "warning" not in printed
    vinbigdata.main(arguments)
    assert read_manifest(tmp_path / "out").outputs == manifest.outputs


def test_images_that_are_not_read_by_three_are_a_warning_with_their_lines(root, tmp_path, capsys):
    lines = (root / "train.csv").read_text().splitlines()
    name = lines[1].split(",")[0]
    others = [line for line in lines[2:] if not line.startswith(name)]
    (root / "train.csv").write_text("\n".join([*lines[:2], *others]) + "\n")
    vinbigdata.main(["--root", str(root), "--out", str(tmp_path / "out"), "--group-copies", "False"])
    rows = capsys.readouterr().out.split("warning: 1 images are not read by three\n")[1].splitlines()
    assert rows[0].split() == ["line", "image_id", "readers"]
    assert rows[1].split() == ["2", name, "1"]


def test_the_first_five_boxes_that_were_cut_are_a_warning_with_their_lines(root, tmp_path, capsys):
    lines = (root / "train.csv").read_text().splitlines()
    names = sorted({line.split(",")[0] for line in lines[1:]})
    (root / "train_meta.csv").write_text(
        "\n".join(["image_id,dim0,dim1", *(f"{name},128,128" for name in names)]) + "\n"
    )
    name = next(line for line in lines[1:] if "No finding" not in line).split(",")[0]
    reader = next(line for line in lines[1:] if line.startswith(name) and "No finding" not in line).split(",")[3]
    added = [f"{name},Other lesion,9,{reader},{start},20,130.25,40" for start in range(7)]
    (root / "train.csv").write_text("\n".join([*lines, *added]) + "\n")
    vinbigdata.main(["--root", str(root), "--out", str(tmp_path / "out"), "--group-copies", "False"])
    rows = capsys.readouterr().out.split("warning: 7 boxes are cut at the border of their image\n")[1].splitlines()
    assert rows[0].split() == ["line", "image_id", "class_name", "box", "image_px"]
    assert [row.split()[0] for row in rows[1:6]] == [str(len(lines) + number) for number in range(1, 6)]
    assert rows[1].split()[1:5] == [name, "Other", "lesion", "0,20,130.25,40"]
    assert rows[6] == f"wrote {tmp_path / 'out'}"
    assert read_manifest(tmp_path / "out").counts["boxes_cut_at_border"] == 7


def test_a_wrong_table_is_one_line_and_exit_status_1(root, tmp_path):
    with (root / "train.csv").open("a") as stream:
        stream.write("0,Mass,8,R1,1,2,3,4\n")
    command = [sys.executable, "-m", "data_prep.vinbigdata", "--root", str(root), "--out", str(tmp_path / "out")]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {root}/train.csv: line ")
    assert "'0,Mass,8,R1,1,2,3,4': unknown class (known: Aortic enlargement, " in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def squeezed(tmp_path):
    """The popular layout: squares in `train/`, their sizes beside `train.csv`; and the originals, 128 x 160."""
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=16, size_px=128), tmp_path / "synthetic")
    root = tmp_path / "synthetic" / "vinbigdata"
    lines, films = ["image_id,dim0,dim1"], {}
    for path in sorted((root / "train").iterdir()):
        film = Image.fromarray(np.pad(read_image(path).pixels, ((0, 32), (0, 0))))
        film.resize((96, 96)).save(path.with_suffix(".png"))
        path.unlink()
        films[path.stem] = film
        lines.append(f"{path.stem},{film.height},{film.width}")
    (root / "train_meta.csv").write_text("\n".join(lines) + "\n")
    return root, films


def test_squeezed_copies_go_through_all_steps_and_are_films_again(squeezed, tmp_path):
    root, films = squeezed
    scheme = ("--scheme", str(PROJECT / "configs" / "schemes" / "vinbigdata14.yaml"))
    tables, parts, out = (str(tmp_path / name) for name in ("united", "split", "set"))
    vinbigdata.main(["--root", str(root), "--out", str(tmp_path / "tables")])
    counts = read_manifest(tmp_path / "tables").counts
    assert (counts["copies_with_another_aspect"], counts["copies_taken_for_originals"]) == (16, 0)
    unite.main(["--sources", str(tmp_path / "tables"), *scheme, "--out", tables])
    split.main(["--tables", tables, "--out", parts])
    build_yolo.main(["--tables", tables, "--split", parts, *scheme, "--out", out])
    written = {path.stem: path for path in (tmp_path / "set" / "images").glob("*/*.png")}
    assert set(written) == set(films)
    for name, film in films.items():
        pixels = read_image(written[name]).pixels
        assert pixels.shape == (96, 77)
        assert np.abs(pixels - np.asarray(film.resize((77, 96)), float)).mean() < 3
    checks = {check.name for check in audit([tmp_path / "set"])[0].checks if check.result == "error"}
    assert checks <= {"class without a box in train"}  # there are few films


def test_the_sizes_beside_the_table_serve_copies_elsewhere(squeezed, tmp_path):
    root, _ = squeezed
    (root / "train").rename(tmp_path / "png")
    arguments = ["--root", str(root), "--copies", str(tmp_path / "png"), "--out", str(tmp_path / "tables")]
    vinbigdata.main([*arguments, "--group-copies", "False"])
    assert set(read_manifest(tmp_path / "tables").inputs) == {"train.csv", "train_meta.csv"}
    assert set(read_tables(tmp_path / "tables")[0]["height"]) == {160}
