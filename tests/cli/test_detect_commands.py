"""`xray tune-nms`, `evaluate`, `export` and `figures` on a run with random weights."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from xray_chest_detection.cli.main import main

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def helpers():
    """The builders of the tests of `detect`, which live in that folder's conftest."""
    name = "detect_test_builders"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "detect" / "conftest.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    from xray_chest_detection.detect.runs import create_run

    builders = helpers()
    made = create_run(builders.tiny_config(tmp_path, builders.write_dataset(tmp_path / "data")))
    builders.write_random_weights(made.best)
    return made.folder


@pytest.mark.slow
def test_from_weights_to_a_model_that_is_served(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "5 validation images" in shown
    assert "conf" in shown
    assert main(["evaluate", str(run), "--split", "test", "--resamples", "20"]) == 0
    assert "| mAP50 |" in capsys.readouterr().out
    out = tmp_path / "checkpoints"
    assert main(["export", str(run), "--out", str(out), "--name", "multi"]) == 0
    shown = capsys.readouterr().out
    assert "compared on 5 validation images" in shown
    assert "fp16) and its card" in shown
    assert main(["figures", str(run), "--checkpoints", str(out), "--films", "3"]) == 0
    drawn = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert {"boxes-train.png", "froc-test.png", "confusion-test.png", "panels-test.png"} <= drawn
    assert all((run / "figures" / name).stat().st_size > 5000 for name in drawn)
    films = run.parent.parent / "data" / "images" / "test"
    assert (
        main(
            [
                "predict",
                "--source",
                str(films),
                "--models",
                "multi",
                "--checkpoints",
                str(out),
                "--out",
                str(tmp_path / "p.json"),
            ]
        )
        == 0
    )


@pytest.mark.slow
def test_two_runs_are_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    other = run.with_name("other")
    shutil.copytree(run, other)
    capsys.readouterr()
    assert main(["compare", str(run), str(other), "--resamples", "20", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "# other against tiny on test" in shown
    assert "| mAP50 |" in shown
    assert (other / "comparison-tiny-other-test.json").is_file()
    other_data = helpers().write_dataset(run.parent / "set", classes=("Disc", "Bar", "Cross"))
    config = other / "config.yaml"
    config.write_text(re.sub("(?m)^data: .*$", f"data: {other_data}", config.read_text()))
    with pytest.raises(SystemExit) as exit_info:
        main(["compare", str(run), str(other)])
    assert exit_info.value.code == 1
    message = capsys.readouterr().err
    assert "the classes differ (Disc, Bar and Disc, Bar, Cross); compare runs on views of one split" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "RUN", "--ious", "1.5"], "--ious: '1.5' is not an overlap in (0, 1], as 0.5, or a range of them"),
        (["evaluate", "RUN", "--resamples", "-1"], "--resamples: -1 is less than 0"),
        (["evaluate", "RUN", "--comet"], "--comet: comet.mode is off in"),
        (["compare", "RUN", "RUN"], "is given twice; give two runs"),
        (["compare", "RUN", "RUN", "--resamples", "-1"], "--resamples: -1 is less than 0"),
    ],
)
def test_options_out_of_range(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([str(run) if argument == "RUN" else argument for argument in arguments])
    assert exit_info.value.code == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert captured.count("\n") == 1


def test_readers_that_are_not_there(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--ceiling", str(tmp_path / "nowhere")])
    assert "nowhere: no such file; make it with `xray agreement SOURCE --out" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["tune-nms", "evaluate", "export", "figures"])
def test_run_that_does_not_exist(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([command, str(tmp_path / "nothing")])
    assert exit_info.value.code == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: {tmp_path}/nothing: no such run folder; start one with `python train.py CONFIG`\n"


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_thresholds_come_first(command: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([command, str(run)])
    assert exit_info.value.code == 1
    assert f"no thresholds chosen yet; run `xray tune-nms {run}` first" in capsys.readouterr().err


def with_new_weights(run: Path, **options: object) -> None:
    """Other weights for a run, with thresholds that say they were chosen for them."""
    from xray_chest_detection.core.files import sha256_of

    assert main(["tune-nms", str(run), "--device", "cpu"]) == 0
    weights, thresholds = run / "weights" / "best.pt", run / "thresholds.yaml"
    before = sha256_of(weights)
    if options:
        helpers().write_random_weights(weights, **options)
    else:
        weights.write_bytes(weights.read_bytes()[:1000])
    thresholds.write_text(thresholds.read_text().replace(before, sha256_of(weights)))


@pytest.mark.parametrize("command", ["tune-nms", "evaluate", "export"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("Heart",)}, "best.pt: trained on 1 classes (Heart), the data set has 2 (Disc, Bar)"),
        ({"classes": ("Bar", "Disc")}, "best.pt: trained on 2 classes (Bar, Disc), the data set has 2 (Disc, Bar)"),
        ({}, "best.pt: not weights of ultralytics, or damaged ("),
    ],
)
def test_weights_that_do_not_fit_the_data_or_are_cut(
    command: str,
    options: dict[str, object],
    message: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_new_weights(run, **options)
    before = (run / "thresholds.yaml").read_bytes()
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_info:
        main([command, str(run), *(["--out", str(tmp_path / "out")] if command == "export" else [])])
    assert exit_info.value.code == 1
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert (run / "thresholds.yaml").read_bytes() == before
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("arguments", [["evaluate"], ["tune-nms", "RUN", "--objective", "best"]])
def test_wrong_usage_is_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
