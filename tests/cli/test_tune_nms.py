"""`xray tune-nms`: what it prints and writes, and what it refuses in one line."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from xray_chest_detection.cli.main import main

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def builders() -> ModuleType:
    """The builders of the tests of `detect`, which live in that folder's conftest."""
    path = Path(__file__).parents[1] / "detect" / "conftest.py"
    spec = importlib.util.spec_from_file_location("detect_builders_for_tuning", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path, builders: ModuleType) -> Path:
    from xray_chest_detection.detect.runs import create_run

    made = create_run(builders.tiny_config(tmp_path, builders.write_dataset(tmp_path / "data")))
    builders.write_random_weights(made.best)
    return made.folder


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return exit_info.value.code, message


def test_says_what_was_chosen_from_how_many_boxes_and_what_it_is_worth(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("5 validation images, 4 boxes; objective: mean of recall at the best F1 and mAP50\n")
    assert re.search(r"^Disc +0\.\d+  shared +2$", shown, re.MULTILINE)
    assert "on patients it was not chosen on" in shown
    assert "sensitivity40" not in shown
    assert (run / "figures" / "nms-grid.png").stat().st_size > 5000
    assert len((run / "nms_grid.csv").read_text().splitlines()) == 1 + 7 * 5 * 2


def test_other_objectives_and_grids(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--objective", "sensitivity", "--rate", "40", "--grid", "fine", "--device", "cpu"]
    assert main(["tune-nms", str(run), *wanted]) == 0
    shown = capsys.readouterr().out
    assert "sensitivity at no more than 40 false positives per image" in shown
    assert "sensitivity40" in shown
    assert len((run / "nms_grid.csv").read_text().splitlines()) == 1 + 40 * 9 * 2
    assert main(["tune-nms", str(run), "--objective", "f_beta", "--beta", "0.5", "--confs", "0.1", "0.15"]) == 0
    thresholds = yaml.safe_load((run / "thresholds.yaml").read_text())["thresholds"]
    assert thresholds["objective"].endswith("beta 0.5")
    assert thresholds["conf"] in (0.1, 0.15)
    assert len((run / "nms_grid.csv").read_text().splitlines()) == 1 + 2 * 5 * 2


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--confs", "0", "0.2"], 1, "error: score thresholds of the grid: expected numbers from 0.001 to 1, got 0\n"),
        (["--ious", "1.2"], 1, "error: overlaps of the grid: expected numbers from 0 to 1, got 1.2\n"),
        (["--beta", "0"], 2, "error: --beta: expected a number above 0, got 0\n"),
        (["--rate", "-1"], 2, "error: --rate: expected a number above 0, got -1\n"),
        (["--rate", "nan"], 2, "error: --rate: expected a number above 0, got nan\n"),
    ],
)
def test_values_out_of_range_are_refused(
    run: Path, options: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(["tune-nms", str(run), *options], capsys) == (code, message)
    assert not (run / "thresholds.yaml").exists()


def test_a_run_without_weights(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "weights" / "best.pt").unlink()
    code, message = refusal(["tune-nms", str(run)], capsys)
    assert code == 1
    assert f"best.pt: no weights yet; finish the training with `python train.py --resume {run}`" in message


def test_damaged_weights(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "weights" / "best.pt").write_bytes(b"not a checkpoint")
    code, message = refusal(["tune-nms", str(run)], capsys)
    assert code == 1
    assert "best.pt: not weights of ultralytics, or damaged" in message


def test_a_validation_split_without_images(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = tmp_path / "data" / "index.csv"
    index.write_text("".join(line for line in index.read_text().splitlines(keepends=True) if ",val," not in line))
    code, message = refusal(["tune-nms", str(run)], capsys)
    assert code == 1
    assert "index.csv: the split 'val' has no images; build the data set again" in message


def test_a_validation_split_without_boxes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for labels in (tmp_path / "data" / "labels" / "val").glob("*.txt"):
        labels.write_text("")
    code, message = refusal(["tune-nms", str(run)], capsys)
    assert code == 1
    assert "the split 'val' has no boxes, which the choice of thresholds needs" in message


def test_a_validation_split_whose_boxes_are_all_of_unknown_classes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",")[-1] for line in (tmp_path / "data" / "index.csv").read_text().splitlines()[1:]]
    unknown = [f"{file},{name},not_labelled\n" for file in rows for name in ("Disc", "Bar")]
    (tmp_path / "data" / "unknown.csv").write_text("file,class_name,reason\n" + "".join(unknown))
    code, message = refusal(["tune-nms", str(run)], capsys)
    assert code == 1
    assert "the split 'val' has no boxes" in message


def test_a_class_without_boxes_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for labels in (tmp_path / "data" / "labels" / "val").glob("*.txt"):
        lines = labels.read_text().splitlines(keepends=True)
        labels.write_text("".join(line for line in lines if not line.startswith("1 ")))
    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "note: no validation box of Bar: the threshold was chosen on the other classes" in shown
    assert re.search(r"^Bar .* 0$", shown, re.MULTILINE)
