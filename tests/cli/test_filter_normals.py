"""`xray filter-normals` on a run with random weights; on a cross-validation: tests/detect/test_cross_validate.py."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from xray_chest_detection.cli.main import main
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.model_card import Thresholds

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A run with random weights on the data set of tests/detect, whose builders live in that folder's conftest."""
    from xray_chest_detection.detect.runs import create_run

    spec = importlib.util.spec_from_file_location("builders", Path(__file__).parents[1] / "detect" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    builders = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builders)
    made = create_run(builders.tiny_config(tmp_path, builders.write_dataset(tmp_path / "data")))
    builders.write_random_weights(made.best)
    return made


def give_thresholds(run: Any) -> None:
    from xray_chest_detection.detect.thresholds import TunedThresholds, write_tuned

    digest = sha256_of(run.weights)
    point = Thresholds(conf=0.2, iou=0.5)
    write_tuned(run, TunedThresholds(thresholds=point, score=0, weights_sha256=digest, n_images=5, n_boxes=4))


def fails(*arguments: object) -> None:
    with pytest.raises(SystemExit):
        main(["filter-normals", *map(str, arguments)])


def test_chosen_on_val_and_measured_on_test(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    give_thresholds(run)
    assert main(["filter-normals", str(run.folder), "--resamples", "10", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "Chosen on 5 images with 4 boxes by mAP40" in shown
    assert "The best filter on the 6 test images." in shown
    assert "normal_filter.yaml, normal_filter-test.json, normal_filter-test.md" in shown
    assert yaml.safe_load((run.folder / "normal_filter.yaml").read_text())["weights_sha256"] == sha256_of(run.weights)


def test_what_is_missing_is_said(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(run.folder)
    assert "thresholds.yaml: no thresholds chosen yet; run `xray tune-nms" in capsys.readouterr().err
    give_thresholds(run)
    (tmp_path / "scores.csv").write_text("image_id,score\nfilm_016,1\n")
    fails(run.folder, "--scores", tmp_path / "scores.csv")
    assert "scores.csv: no score of image 'film_017' (4 such images)" in capsys.readouterr().err
    fails(run.folder, "--resamples", "-1")
    assert "--resamples: -1 is less than 0" in capsys.readouterr().err
    (tmp_path / "cv" / "folds").mkdir(parents=True)
    fails(tmp_path / "cv")
    assert "out_of_fold.npz: no out-of-fold predictions yet" in capsys.readouterr().err
