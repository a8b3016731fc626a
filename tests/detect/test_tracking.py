"""Comet: when it is on, and what it is told."""

import importlib.util
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from xray_chest_detection.config.detect import CometConfig
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.evaluate import measure
from xray_chest_detection.detect.results import write_evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tracking import CometTracker, NoTracker, epoch_rows, make_tracker
from xray_chest_detection.errors import DependencyError
from xray_chest_detection.report.curves import draw_calibration


class Experiment:
    """Remembers what it was told."""

    def __init__(self, **options: object) -> None:
        self.options = options
        self.log: list[tuple[str, object]] = []

    def __getattr__(self, name: str):
        return lambda *arguments, **options: self.log.append((name, (arguments, options)))


@pytest.fixture
def comet() -> SimpleNamespace:
    made: list[tuple[str, Experiment]] = []

    def make(kind: str):
        def build(**options: object) -> Experiment:
            made.append((kind, Experiment(**options)))
            return made[-1][1]

        return build

    return SimpleNamespace(Experiment=make("online"), OfflineExperiment=make("offline"), made=made)


def test_off_is_off() -> None:
    assert isinstance(make_tracker(CometConfig(mode="off")), NoTracker)


def test_without_the_package_auto_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    tracker = make_tracker(CometConfig(mode="auto"))
    assert isinstance(tracker, NoTracker)
    assert tracker.note == (
        "not tracked: the package comet_ml is missing; install it with `pip install -e '.[train]'`, "
        "or set comet.mode to off"
    )


def test_without_the_package_offline_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DependencyError, match=r"comet.mode 'offline' needs the package comet_ml; install it"):
        make_tracker(CometConfig(mode="offline"))


@pytest.mark.parametrize(
    ("mode", "key", "kind"),
    [("auto", "abc", "online"), ("auto", "", "offline"), ("offline", "abc", "offline")],
)
def test_key_decides_where_a_run_goes(
    mode: str, key: str, kind: str, comet: SimpleNamespace, random_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMET_API_KEY", key)
    CometTracker(CometConfig.model_validate({"mode": mode}), comet).start(random_run)
    assert [made for made, _ in comet.made] == [kind]
    options = comet.made[0][1].options
    assert options["log_code"] is False
    assert options["log_env_details"] is False


def test_every_epoch_is_logged_once(comet: SimpleNamespace, random_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    callbacks = []
    trainer = SimpleNamespace(ddp=False, add_callback=lambda _, function: callbacks.append(function))
    tracker = CometTracker(CometConfig(), comet)
    tracker.start(random_run)
    tracker.follow(trainer)
    results = random_run.folder / "results.csv"
    results.write_text("epoch,train/box_loss\n1,0.5\n")
    callbacks[0](trainer)
    results.write_text("epoch,train/box_loss\n1,0.5\n2,0.25\n")
    callbacks[0](trainer)
    callbacks[0](trainer)
    tracker.finish()
    tracker.finish()
    logged = [call for name, call in comet.made[0][1].log if name == "log_metrics"]
    assert [(arguments[0], options) for arguments, options in logged] == [
        ({"train/box_loss": 0.5}, {"step": 1, "epoch": 1}),
        ({"train/box_loss": 0.25}, {"step": 2, "epoch": 2}),
    ]
    assert [name for name, _ in comet.made[0][1].log].count("end") == 1


def test_several_gpus_are_logged_after_training(comet: SimpleNamespace, random_run: Run) -> None:
    tracker = CometTracker(CometConfig(mode="offline"), comet)
    tracker.start(random_run)
    tracker.follow(SimpleNamespace(ddp=True, add_callback=lambda *_: pytest.fail("cannot travel to child processes")))
    (random_run.folder / "results.csv").write_text("epoch,loss\n1,0.5\n")
    tracker.finish()
    assert "log_metrics" in [name for name, _ in comet.made[0][1].log]


def test_rows_of_a_results_file(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert epoch_rows(path) == []
    path.write_text("  epoch,   loss, note\n  1,  0.5, x\n")
    assert epoch_rows(path) == [(1, {"loss": 0.5})]


def test_an_evaluation_reaches_the_archive_with_figures_tables_and_curves(
    random_run: Run, make_scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    comet_ml = pytest.importorskip("comet_ml", reason="comet_ml is not installed")
    monkeypatch.setenv("COMET_LOGGING_CONSOLE", "ERROR")
    split, candidates = make_scene(1, n_images=8)
    evaluation = measure("run", split, candidates, Thresholds(conf=0.3, iou=0.5), resamples=20)
    write_evaluation(random_run, evaluation, "# page\n")
    draw_calibration(evaluation, random_run.folder / "figures" / "calibration-val.png")
    tracker = CometTracker(CometConfig(mode="offline"), comet_ml)
    tracker.start(random_run)
    tracker.finish()
    (archive,) = (random_run.folder / "comet").glob("*.zip")
    with zipfile.ZipFile(archive) as opened:
        messages = [json.loads(line) for line in opened.read("messages.json").decode().splitlines()]
    values = {m["payload"]["metric"]["metricName"] for m in messages if m["type"] == "metric_msg"}
    assert {"val/mAP50", "val/mean AUROC", "val/ECE at IoU 0.4, a"} <= values
    uploads = [m["payload"]["additional_params"] for m in messages if m["type"] == "file_upload"]
    names = {upload.get("fileName") or upload.get("figName") or upload.get("name") for upload in uploads}
    assert {"evaluation-val.json", "evaluation-val.csv", "evaluation-val.md", "calibration-val.png"} <= names
    assert {"confusion-val.json", "val/FROC all classes"} <= names
