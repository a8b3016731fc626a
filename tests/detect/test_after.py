"""The steps after training."""

import pytest

from xray_chest_detection.detect.runs import Run

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.detect import after
from xray_chest_detection.detect.after import Report, finish_run
from xray_chest_detection.errors import DataError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def silent_report() -> Report:
    return Report(lambda *_: None, lambda *_: None, lambda _: "# page\n", lambda _: "the numbers")


def test_a_step_that_fails_does_not_stop_the_others(random_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DataError("the disk is full; free some space")

    monkeypatch.setattr(after, "evaluate", fail)
    outcome = finish_run(random_run, silent_report())
    lines = outcome.text.splitlines()
    assert lines[0] == f"trained {random_run.folder}"
    assert lines[1].startswith("thresholds from 5 validation images: score from")
    assert outcome.errors == ("evaluate: the disk is full; free some space",)
    assert lines[2].startswith("wrote ")
    assert random_run.config.after.checkpoints.joinpath("tiny.onnx").is_file()


def test_steps_that_are_off_are_left_out(tmp_path, dataset, make_config, make_weights) -> None:
    from xray_chest_detection.detect.runs import create_run

    off = {"tune_nms": False, "evaluate": False, "export": False}
    run = create_run(make_config(tmp_path, dataset, after=off))
    make_weights(run.best)
    assert finish_run(run, silent_report()) == (f"trained {run.folder}", ())
