"""Cross-validation on forty patients with discs and bars: real folds, real data sets, a real training of one epoch."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from xray_chest_detection.cli.main import main
from xray_chest_detection.config.base import validate
from xray_chest_detection.config.cross_validate import CrossValidateConfig
from xray_chest_detection.config.data import SplitConfig, YoloConfig
from xray_chest_detection.core.manifest import read_manifest, write_manifest
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.splits import make_split, read_split, write_split
from xray_chest_detection.data.tables import read_tables, write_tables
from xray_chest_detection.data.yolo import read_index
from xray_chest_detection.errors import ConfigError, DataError, ModelError

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.cross_validate import collect, run_fold, unfinished
from xray_chest_detection.detect.fold_plan import Plan, prepare
from xray_chest_detection.detect.fold_results import summarise
from xray_chest_detection.detect.out_of_fold import read_out_of_fold
from xray_chest_detection.detect.runs import create_run
from xray_chest_detection.detect.tracking import NoTracker

PATIENTS, SIDE_PX = 40, 96


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Tables of forty patients with one film each, three of four with a disc or a bar, and a scheme for them."""
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(PATIENTS):
        name, label = f"film_{number:03d}", (None, "disc", "bar", "disc")[number % 4]
        pixels = rng.integers(20, 60, (SIDE_PX, SIDE_PX)).astype(np.uint8)
        x, y = (int(value) for value in rng.integers(5, 50, 2))
        width, height = (30, 30) if label == "disc" else (40, 16)
        if label:
            pixels[y : y + height, x : x + width] = 220
            boxes.append((name, label, x, y, x + width, y + height))
        path = tmp_path / "films" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        images.append((name, f"p{number}", "nih", str(path), SIDE_PX, SIDE_PX, "PA", label or "No Finding", not label))
    columns = ["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy"]
    edges = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max"]
    write_tables(tmp_path / "tables", pd.DataFrame(images, columns=columns), pd.DataFrame(boxes, columns=edges))
    names: dict[str, str | None] = {"disc": "Disc", "bar": "Bar", "No Finding": None}
    scheme = {"name": "shapes", "classes": ["Disc", "Bar"], "sources": {"nih": names}}
    (tmp_path / "scheme.yaml").write_text(yaml.safe_dump(scheme))
    return tmp_path / "tables"


@pytest.fixture
def data(tables: Path) -> Path:
    """A data set built from the tables, as data_prep.build_yolo builds it."""
    here = tables.parent
    write_split(here / "split", make_split(*read_tables(tables), SplitConfig(tables=tables)))
    view = YoloConfig(tables=tables, split=here / "split", scheme=here / "scheme.yaml", out=here / "data")
    build_dataset(view)
    return here / "data"


def cv_config(data: Path, **changes: Any) -> CrossValidateConfig:
    values: dict[str, Any] = {
        **{"name": "shapes", "data": data, "out": data.parent / "cv", "folds": 2, "val": 0.2, "resamples": 20},
        **{"weights": "yolov8n.yaml", "epochs": 1, "image_size_px": 64, "batch": 8, "workers": 0, "device": "cpu"},
        **{"augment": {"mosaic": 0.0}, "comet": {"mode": "off"}},
    }
    return validate(CrossValidateConfig, values | changes, place="test")


def build(plan: Any, fold: int) -> None:
    from xray_chest_detection.detect import cross_validate

    cross_validate._build(plan, fold, progress=None)


def test_every_fold_is_a_view_like_the_data_set(data: Path) -> None:
    plan = prepare(cv_config(data))
    tested = []
    for fold in range(2):
        build(plan, fold)
        index = read_index(plan.data(fold))
        assert set(index["split"]) == {"train", "val", "test"}
        assert index.groupby("patient_id")["split"].nunique().eq(1).all()
        tested += index.loc[index["split"] == "test", "image_id"].tolist()
        manifest = read_manifest(plan.data(fold))
        assert manifest.config["scheme"] == read_manifest(data).config["scheme"]
    assert sorted(tested) == sorted(read_index(data)["image_id"])


def test_folds_are_dealt_once(data: Path) -> None:
    plan = prepare(cv_config(data))
    dealt = (plan.folder / "folds" / "folds.csv").stat().st_mtime_ns
    again = prepare(cv_config(data, only=["1"], resamples=0, device=None))
    assert again.folds.equals(plan.folds)
    assert (plan.folder / "folds" / "folds.csv").stat().st_mtime_ns == dealt
    assert [plan.state(fold) for fold in range(2)] == ["new", "new"]
    assert unfinished(plan) == (0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 5}, r"cv: was started with epochs 1, and it is 5 now; give another --out, or remove the folder"),
        ({"augment": {"mosaic": 0.5}}, r"cv: was started with augment.mosaic 0.0, and it is 0.5 now"),
        ({"fold_seed": 3}, r"cv: was started with fold_seed 0, and it is 3 now"),
    ],
)
def test_another_recipe_in_the_same_folder(data: Path, change: dict[str, Any], message: str) -> None:
    prepare(cv_config(data))
    with pytest.raises(DataError, match=message):
        prepare(cv_config(data, **change))


def test_started_by_a_version_that_knew_fewer_keys(data: Path) -> None:
    place = prepare(cv_config(data)).folder / "folds"
    manifest = read_manifest(place)
    older = {key: value for key, value in manifest.config.items() if key not in ("mask_unknown", "fold_seed")}
    write_manifest(place, manifest.model_copy(update={"config": older}))
    prepare(cv_config(data))
    with pytest.raises(DataError, match="was started with mask_unknown True, and it is False now"):
        prepare(cv_config(data, mask_unknown=False))


def test_other_boxes_in_the_same_folder(data: Path, tables: Path) -> None:
    prepare(cv_config(data))
    images, annotations = read_tables(tables)
    write_tables(tables, images, annotations.iloc[1:])
    with pytest.raises(DataError, match=r"data: .*annotations.csv was changed since this data set was built; build it"):
        prepare(cv_config(data))
    manifest = read_manifest(data)
    build_dataset(validate(YoloConfig, manifest.config, place="test"))
    with pytest.raises(DataError, match=r"cv: was started with other data \(annotations.csv differs\)"):
        prepare(cv_config(data))


def test_folds_changed_by_hand(data: Path) -> None:
    plan = prepare(cv_config(data))
    path = plan.folder / "folds" / "folds.csv"
    path.write_text(path.read_text().replace(",0\n", ",1\n", 1))
    with pytest.raises(DataError, match=r"folds.csv: was changed after it was written; restore it, or"):
        prepare(cv_config(data))


def test_data_set_of_another_step(data: Path) -> None:
    write_manifest(data, read_manifest(data).model_copy(update={"step": "by hand"}))
    with pytest.raises(DataError, match=r"manifest.json: written by 'by hand', expected 'data_prep.build_yolo'"):
        prepare(cv_config(data))


def test_weights_that_have_seen_the_tested_patients(data: Path, make_config: Any) -> None:
    run = create_run(make_config(data.parent, data))
    run.best.parent.mkdir()
    run.best.touch()  # whose run it is says the configuration, not the file
    with pytest.raises(
        ConfigError, match=r"best.pt was trained on 'film_\d+', which is tested here \(\d\d such images"
    ):
        prepare(cv_config(data, weights=str(run.best)))
    with pytest.raises(ConfigError, match=r"weights: .* is a folder, but no cross-validation"):
        prepare(cv_config(data, weights=str(run.folder)))
    assert not (data.parent / "cv").exists()


def test_weights_of_other_folds(data: Path) -> None:
    first = prepare(cv_config(data))
    with pytest.raises(ConfigError, match=r"cv deals the patients into other folds, so its models have seen patients"):
        prepare(cv_config(data, weights=str(first.folder), out=data.parent / "second", fold_seed=1))
    second = prepare(cv_config(data, weights=str(first.folder), out=data.parent / "second"))
    build(second, 0)
    with pytest.raises(ModelError, match=r"weights: .*cv has no finished fold 0 to start from; finish it first"):
        second.training(0)


def test_run_of_another_recipe_among_the_folds(data: Path) -> None:
    plan = prepare(cv_config(data))
    build(plan, 0)
    create_run(plan.training(0).model_copy(update={"epochs": 7}))
    with pytest.raises(
        ModelError, match=r"shapes-fold0: was trained with epochs 7, and it is 1 in this cross-validation"
    ):
        plan.state(0)


def test_validation_patients_without_a_box(data: Path, tables: Path) -> None:
    plan = prepare(cv_config(data))
    bare = replace(plan, annotations=plan.annotations.iloc[:0])
    write_tables(tables, read_tables(tables)[0], plan.annotations.iloc[:0])
    with pytest.raises(DataError, match=r"fold0: no box among the validation patients to choose thresholds by; raise"):
        build(bare, 0)


def test_unfinished_folds_are_not_collected(data: Path) -> None:
    with pytest.raises(ModelError, match=r"cv: fold 0 is not trained yet; run `xray cross-validate` again"):
        collect(prepare(cv_config(data)))


@pytest.mark.slow  # two trainings of two epochs: nothing else shows that a cut run is picked up
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_killed_and_resumed_to_the_end(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = cv_config(data, epochs=2)
    command = ["cross-validate", str(data.parent / "config.yaml")]
    Path(command[1]).write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    assert main([*command, "--only", "0"]) == 0
    shown = capsys.readouterr().out
    assert "fold 0 of 2: starts\n" in shown
    assert "1 of 2 folds are trained; go on with --only 1\n" in shown
    plan = prepare(config)
    made = plan.open(0).weights.stat().st_mtime_ns

    with pytest.raises(KeyboardInterrupt):
        run_fold(plan, 1, tracker=Interrupt())
    assert [plan.state(fold) for fold in range(2)] == ["trained", "cut"]
    assert unfinished(plan) == (1,)

    capsys.readouterr()
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "fold 0 of 2: is trained already\n" in shown
    assert "fold 1 of 2: goes on after 1 of 2 epochs\n" in shown
    assert "| mAP50 |" in shown
    assert plan.open(0).weights.stat().st_mtime_ns == made
    check_results(plan, sorted(read_index(data)["image_id"]))

    assert main(["filter-normals", str(plan.folder), "--resamples", "20"]) == 0
    assert "All 40 images, each with the filter chosen on the other folds." in capsys.readouterr().out


def check_results(plan: Plan, images: list[str]) -> None:
    predictions = read_out_of_fold(plan.folder)
    assert list(predictions.split.image_id) == images
    assert len(predictions.split.truth) == len(plan.annotations)
    for fold in range(2):
        tested = read_split(plan.split(fold)).query("split == 'test'")["image_id"]
        assert sorted(predictions.of_fold(fold).split.image_id) == sorted(tested)
    kept = json.loads((plan.folder / "cross_validation.json").read_text())
    pooled = summarise("shapes", predictions, resamples=20).pooled
    assert kept["pooled_over_folds"] == [metric.model_dump(mode="json") for metric in pooled]
    manifest = read_manifest(plan.folder)
    assert {"splits/fold0/split.csv", "runs/shapes-fold1/weights/best.pt", "scheme.yaml"} <= set(manifest.inputs)
    assert set(manifest.outputs) == {"out_of_fold.npz", *(f"cross_validation.{kind}" for kind in ("json", "csv", "md"))}
    assert manifest.config["epochs"] == 2
    assert {"torch", "ultralytics", "iterative-stratification"} <= set(manifest.versions)


class Interrupt(NoTracker):
    """Ctrl-C when the first checkpoint is written."""

    def follow(self, trainer: Any) -> None:
        trainer.add_callback("on_model_save", self._stop)

    def _stop(self, trainer: Any) -> None:
        raise KeyboardInterrupt
