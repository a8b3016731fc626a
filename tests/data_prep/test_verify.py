"""The leak auditor as a user runs it, on data sets that the real steps have built."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from data_prep import build_yolo, nih, split, verify
from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parents[2]
SCHEME = ROOT / "configs" / "schemes" / "united7.yaml"


def build(root, out, *options):
    """Tables, a split and two views of a NIH folder, named after their kind."""
    nih.main(["--root", str(root), "--out", str(out / "tables"), *options])
    split.main(["--tables", str(out / "tables"), "--out", str(out / "split")])
    for kind in ("multi", "binary"):
        view(out, out / kind, "--kind", kind)


def view(out, folder, *extra):
    places = ["--tables", out / "tables", "--split", out / "split", "--scheme", SCHEME, "--out", folder]
    build_yolo.main([str(argument) for argument in (*places, *extra)])


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    write_dataset(SampleConfig(patients=40, max_visits=2, vinbigdata_images=0, size_px=128), folder / "raw")
    build(folder / "raw" / "nih", folder)
    return folder


@pytest.fixture
def built(master, monkeypatch, tmp_path):
    """The data sets, to be spoilt: copies, found under the same relative paths as the manifests name."""
    for name in ("split", "multi", "binary"):
        shutil.copytree(master / name, tmp_path / name)
    for name in ("multi", "binary"):
        path = tmp_path / name / "manifest.json"
        path.write_text(path.read_text().replace(str(master), "."))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(path):
    """Every error of the JSON file: subject and check to places."""
    content = json.loads(path.read_text())
    return {
        (report["subject"], finding["check"]): finding["places"]
        for report in content["reports"]
        for finding in report["findings"]
        if finding["result"] == "error"
    }


def test_views_of_one_split_are_clean(built, capsys):
    assert verify.main(["multi", "binary", "--split", "split", "--out", "findings.json"]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("wrote findings.json\nno errors")
    assert "patient in several splits" in printed
    assert not json.loads((built / "findings.json").read_text())["failed"]
    assert findings(built / "findings.json") == {}


def test_every_kind_of_leak_is_found_and_named(built, capsys):
    tests = sorted((built / "multi" / "images" / "test").iterdir())
    trains = sorted((built / "multi" / "images" / "train").iterdir())
    with Image.open(tests[0]) as image:
        smaller = image.resize((90, 90))
    target = built / "binary" / "images" / "train" / trains[0].name
    target.unlink()  # it is a hard link of the film in the other view
    smaller.save(target)
    index = built / "binary" / "index.csv"
    rows = index.read_text().splitlines()
    number = next(row for row, text in enumerate(rows) if f"/{trains[1].name}" in text)
    cells = rows[number].split(",")
    rows[number] = ",".join([cells[0], "777", *cells[2:]])
    index.write_text("\n".join(rows) + "\n")
    patient = next(row.split(",")[1] for row in rows if f"/{tests[0].name}" in row)
    multi = built / "multi" / "index.csv"
    multi_rows = multi.read_text().splitlines()
    place = next(row for row, text in enumerate(multi_rows) if f"/{trains[2].name}" in text)
    cells = multi_rows[place].split(",")
    multi_rows[place] = ",".join([cells[0], patient, *cells[2:]])
    multi.write_text("\n".join(multi_rows) + "\n")
    (built / "binary" / "unknown.csv").write_text("file,class_name,reason\nimages/val/gone.png,Finding,not_located\n")

    assert verify.main(["multi", "binary", "--out", "findings.json"]) == 1
    changed = "index.csv was changed after data_prep.build_yolo wrote it"
    found = findings(built / "findings.json")
    near = found.pop(("leaks", "near duplicates in two splits"))
    assert [text.split(" (")[0] for text in near] == [
        f"binary/images/test/{tests[0].name} and binary/images/train/{trains[0].name}"
    ]
    assert found.pop(("leaks", "patient in several splits")) == [
        f"patient {patient} of nih: test of multi and binary, train of multi"
    ]
    assert found.pop(("multi", "file is not the one of manifest.json")) == [changed]
    assert found.pop(("multi", "index.csv disagrees with the split"))[0].startswith(f"index.csv line {place + 1}: ")
    assert found.pop(("binary", "file is not the one of manifest.json")) == [
        changed,
        "unknown.csv was added after data_prep.build_yolo",
    ]
    (told,) = found.pop(("binary", "index.csv disagrees with the split"))
    assert told.startswith(f"index.csv line {number + 1}: ")
    assert "as patient 777, in the split in train as " in told
    strangers = found.pop(("binary", "side file names an image that is not in index.csv"))
    assert strangers == ["unknown.csv: images/val/gone.png"]
    assert found == {}
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("errors in multi, binary, leaks")
    assert "patient in several splits: a model would be tested on people it has seen; make one split" in printed


def test_a_split_that_changed_after_the_data_set_was_built(built):
    path = built / "split" / "split.csv"
    text = path.read_text()
    path.write_text(text.replace(",train", ",test", 1))
    assert verify.main(["multi", "--out", "findings.json"]) == 1
    told = findings(built / "findings.json")
    assert [key for key in told if key[0] == "multi"] == [("multi", "split cannot be read")]


def test_data_sets_of_different_splits(master, tmp_path):
    split.main(
        ["--tables", str(master / "tables"), "--out", str(tmp_path / "other"), "--seed", "1"],
    )
    view(master, tmp_path / "set", "--split", tmp_path / "other")
    assert verify.main([str(master / "multi"), str(tmp_path / "set"), "--out", str(tmp_path / "findings.json")]) == 1
    told = findings(tmp_path / "findings.json")
    assert {name for _, name in told} >= {"patient in several splits", "same pixels in two splits"}
    assert {subject for subject, _ in told} == {"leaks"}


def test_boxed_films_of_the_official_list(master, tmp_path):
    listed = sorted(path.stem for path in (master / "multi" / "images").glob("*/*"))
    (tmp_path / "list.txt").write_text("".join(f"{name}.png\n" for name in listed))
    options = ["--official-test-list", str(tmp_path / "list.txt"), "--out", str(tmp_path / "findings.json")]
    assert verify.main([str(master / "multi"), *options]) == 1
    told = findings(tmp_path / "findings.json")
    places = told.pop(("leaks", "film of NIH's official test list in train or val"))
    assert len(places) == len(list((master / "multi" / "images").glob("[tv][ra]*/*")))
    assert told == {}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "error: give at least one data set folder first, for example datasets/yolo/multi"),
        (("--split", "split"), 2, "error: give at least one data set folder first, for example datasets/yolo/multi"),
        (("multi", "--spilt", "a"), 2, "error: --spilt: unknown option (did you mean --split?)"),
        (("empty",), 1, "error: empty/data.yaml: cannot be read"),
        (("multi", "multi"), 1, "error: multi: given twice; name every data set once"),
        (("multi", "--official-test-list", "gone.txt"), 1, "error: gone.txt: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(built, capsys, arguments, status, message):
    (built / "empty").mkdir()
    with pytest.raises(SystemExit) as end, exit_on_error():
        verify.main(arguments)
    printed = capsys.readouterr()
    assert end.value.code == status
    assert printed.err.startswith(message)
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.pack
def test_views_of_real_films_are_clean(pack, tmp_path):
    root = tmp_path / "nih"
    (root / "images").mkdir(parents=True)
    for name in ("BBox_List_2017.csv", "Data_Entry_2017_v2020.csv"):
        shutil.copy(pack / "nih" / name, root)
    for path in sorted((pack / "nih" / "images").rglob("*.jpg"))[::4]:
        (root / "images" / path.name).symlink_to(path)
    build(root, tmp_path, "--missing", "drop")
    view(tmp_path, tmp_path / "cardiomegaly", "--kind", "one_class", "--class-name", "Cardiomegaly")
    view(tmp_path, tmp_path / "mass", "--kind", "one_class", "--class-name", "Mass/Nodule")
    folders = [str(tmp_path / name) for name in ("multi", "binary", "cardiomegaly", "mass")]
    assert verify.main([*folders, "--out", str(tmp_path / "findings.json")]) == 0
    assert findings(tmp_path / "findings.json") == {}
