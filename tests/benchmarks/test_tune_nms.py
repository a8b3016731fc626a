"""The benchmark of threshold tuning compares with ultralytics and leaves the run alone."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def load(name: str) -> ModuleType:
    """A file of the tests of `detect`."""
    path = Path(__file__).parents[1] / "detect" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_for_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow  # a forward pass six times
def test_prints_ratio_and_difference_and_fails_when_the_numbers_disagree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import tune_nms
    from xray_chest_detection.detect.runs import create_run

    builders, tuning = load("conftest"), load("test_tune_nms")
    run = create_run(builders.tiny_config(tmp_path, builders.write_dataset(tmp_path / "data")))
    builders.write_random_weights(run.best)
    tuning.label_with_predictions(run)
    tuning.absolute_data(run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert tune_nms.main([str(run.folder), "--passes", "2"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^ratio: \d+\.\d by the clock, \d+\.\d by processor time$", shown, re.MULTILINE)
    assert re.search(r"^35 times model.val: .* s of processor\), scaled from 2$", shown, re.MULTILINE)
    difference = re.search(r"on the same inputs: (0\.\d+) \(allowed 0.005\)", shown)
    assert difference is not None
    assert float(difference[1]) < 0.001
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before
    monkeypatch.setattr(tune_nms, "ALLOWED", -1.0)
    assert tune_nms.main([str(run.folder), "--passes", "1"]) == 1
