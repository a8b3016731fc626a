"""`xray augmentations`: one film under each augmentation, read from a configuration and its data set."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.cli.main import main
from xray_chest_detection.config.base import validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.detect.augment.preview import preview


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> DetectConfig:
    """On discs and bars; see the fixtures of the tests of `detect`."""
    path = Path(__file__).parents[1] / "detect" / "conftest.py"
    spec = importlib.util.spec_from_file_location("conftest_for_augmentations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("augmentations")
    augment = {"mosaic": 0.0, "erasing": 0.4, "copy_paste": 0.8, "brightness": 0.0}
    return module.tiny_config(folder, module.write_dataset(folder / "data"), augment=augment)


def test_each_step_is_shown_alone(config) -> None:
    shown = preview(config, film="film_001")
    assert [film.title for film in shown] == [
        *("as it is", "erasing 0.4", "copy_paste 0.8", "mosaic (off)", "mixup (off)", "flip_horizontal 0.5"),
        *("clahe (off)", "gamma (off)", "noise (off)", "translate 0.1", "rescale 0.5", "all of them", "all of them"),
    ]
    first, flipped = shown[0], next(film for film in shown if film.title.startswith("flip"))
    assert (flipped.pixels == first.pixels[:, ::-1]).all()
    assert flipped.xyxy[:, 0] == pytest.approx(64 - first.xyxy[:, 2], abs=1e-3)
    assert first.class_id.tolist() == [1]
    x_min, y_min, x_max, y_max = first.xyxy[0].round().astype(int)
    assert first.pixels[y_min + 1 : y_max - 1, x_min + 1 : x_max - 1].min() > 200
    assert all((film.pixels != first.pixels).any() for film in shown[1:] if "copy_paste" not in film.title)


def test_same_seed_same_films(config) -> None:
    first, again, other = (preview(config, seed=seed) for seed in (0, 0, 1))
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert any((a.pixels != b.pixels).any() for a, b in zip(first, other, strict=True))


def test_writes_the_figure_with_changes_of_the_command_line(config, tmp_path, capsys) -> None:
    path, out = tmp_path / "config.yaml", tmp_path / "figure.png"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    assert main(["augmentations", str(path), "--out", str(out), "--augment.rotate_deg", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    with Image.open(out) as image:
        assert image.size[0] > 1000
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"film": "nobody"}, "no training film 'nobody'; index.csv lists the films"),
        ({"data": "nowhere"}, "error: nowhere/data.yaml: no such file; make it with data_prep.build_yolo"),
        ({"augment.gamma": "2"}, "augment.gamma: input should be less than or equal to 1, got '2'"),
    ],
)
def test_wrong_input_is_one_line(changes: dict[str, str], message: str, config, tmp_path, capsys) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    options = [text for key, value in changes.items() for text in (f"--{key}", value)]
    with pytest.raises(SystemExit):
        main(["augmentations", str(path), "--out", str(tmp_path / "x.png"), *options])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (tmp_path / "x.png").exists()


def test_a_data_set_without_findings_is_refused(config, tmp_path) -> None:
    import shutil

    from xray_chest_detection.errors import DataError

    data = tmp_path / "data"
    shutil.copytree(config.data, data, ignore=shutil.ignore_patterns("*.cache"))
    for path in (data / "labels" / "train").iterdir():
        path.write_text("")
    empty = validate(DetectConfig, config.model_dump() | {"data": data}, place="test")
    with pytest.raises(DataError, match="no training film has a finding"):
        preview(empty)
