"""The ablation of augmentations: what is compared, which classes are lateral, and that nothing is trained twice."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from benchmarks.augmentations import MEASURES, ON, RESAMPLES, lateral_classes, main, summary, variants
from xray_chest_detection.config.detect import AugmentConfig
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.runs import open_run


def builders() -> ModuleType:
    """The data sets of the tests of `detect`."""
    path = Path(__file__).parents[1] / "detect" / "conftest.py"
    spec = importlib.util.spec_from_file_location("conftest_for_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_augmentation_is_compared() -> None:
    refused = {"hue", "saturation"}
    assert set(ON) == set(AugmentConfig.model_fields) - refused - {"close_mosaic"}


def test_a_variant_changes_one_key() -> None:
    base = AugmentConfig(mosaic=0.5, flip_horizontal=0.0)
    found = variants(base, ["mosaic", "flip_horizontal", "erasing"])
    assert list(found) == ["base", "without mosaic", "with flip_horizontal 0.5", "with erasing 0.4"]
    assert found["without mosaic"] == base.model_copy(update={"mosaic": 0.0})
    assert found["with erasing 0.4"].model_dump() == base.model_dump() | {"erasing": 0.4}


def test_lateral_classes_lie_on_one_side() -> None:
    """Of five boxes four on one side are enough, three are not; films may have other widths."""
    middles = {"left": [0.2, 0.2, 0.3, 0.1, 0.8], "right": [0.6] * 5, "both": [0.2, 0.2, 0.2, 0.8, 0.8], "none": []}
    widths = [100, 80, 60, 90, 70]
    rows = [(name, x, widths[row]) for name, values in middles.items() for row, x in enumerate(values)]
    boxes = np.array([(x * width - 5, 0, x * width + 5, 10) for _, x, width in rows])
    names = tuple(middles)
    images = np.arange(len(rows))
    truth = BoxTable(images, np.array([names.index(name) for name, _, _ in rows]), np.ones(len(rows)), boxes, len(rows))
    ids, sizes = tuple(map(str, images)), tuple((width, 100) for _, _, width in rows)
    split = LabelledSplit("train", names, ids, ids, (), sizes, truth, np.zeros((len(rows), 4), np.bool_))
    assert lateral_classes(split) == ["left", "right"]


def test_differences_are_to_the_base_of_the_same_seed() -> None:
    """A number and three resamples each; the interval is of the differences, not of the numbers."""
    found = {
        ("base", 0): {"mAP50": np.array([0.1, 0.0, 0.1, 0.2])},
        ("with noise 0.5", 0): {"mAP50": np.array([0.2, 0.1, 0.2, 0.3])},
        ("base", 1): {"mAP50": np.array([0.5, 0.4, 0.5, 0.6])},
    }
    assert summary(found) == [
        {"variant": "base", "mAP50": "0.300"},
        {"variant": "with noise 0.5", "mAP50": "0.200 (+0.100 [+0.100, +0.100])"},
    ]


@pytest.mark.slow  # a training of one epoch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trains_what_is_missing_once_and_prints_the_table(tmp_path, capsys, monkeypatch) -> None:
    make = builders()
    config = make.tiny_config(tmp_path, make.write_dataset(tmp_path / "data"), epochs=5, calibrate=True)
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    kept = tmp_path / "out" / "results"
    kept.mkdir(parents=True)
    columns = [*MEASURES.values(), "lateral AP50", "other AP50"]
    (kept / "base-1-epochs-seed-0.json").write_text(json.dumps(dict.fromkeys(columns, [0.9] * (1 + RESAMPLES))))
    arguments = [str(tmp_path / "out"), str(path), "--epochs", "1", "--only", "copy_paste"]
    main(arguments)
    first = capsys.readouterr().out
    assert "0.900" in next(line for line in first.splitlines() if line.startswith("base"))
    row = next(line for line in first.splitlines() if line.startswith("with copy_paste 0.8"))
    run = open_run(tmp_path / "out" / "runs" / "with-copy_paste-0.8-1-epochs-seed-0")
    assert run.config.augment.close_mosaic == AugmentConfig().close_mosaic / 5
    numbers = json.loads((kept / "with-copy_paste-0.8-1-epochs-seed-0.json").read_text())
    assert list(numbers) == columns
    assert all(f"{numbers[column][0]:.3f} (" in row for column in MEASURES.values())
    monkeypatch.setattr("benchmarks.augmentations.trained", None)
    monkeypatch.setattr("benchmarks.augmentations.evaluate", None)
    main(arguments)
    assert capsys.readouterr().out.splitlines()[-4:] == first.splitlines()[-4:]
