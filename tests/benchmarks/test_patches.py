"""The benchmark of patches trains on a real data set of patches, and measures a run with and without tiles."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ROOT = Path(__file__).parents[2]
CLASSES = ["Effusion", "Mass/Nodule"]


def load(name: str) -> ModuleType:
    """The fixtures of another folder of tests, as a module."""
    spec = importlib.util.spec_from_file_location(f"{name}_for_patches", ROOT / "tests" / name / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_inputs(folder: Path) -> Path:
    """Tables and split of 14 films of noise with a box each, and a configuration of their patches."""
    from xray_chest_detection.data.splits import write_split
    from xray_chest_detection.data.tables import write_tables

    builders = load("data")
    images, annotations = builders.tables_of(
        {str(patient): [("Mass", "Effusion")[patient % 2]] for patient in range(14)}
    )
    for seed, name in enumerate(images["image_id"]):
        builders.write_film(folder / "raw" / f"{name}.png", seed, (96, 96))
    images["path"] = [str(folder / "raw" / f"{name}.png") for name in images["image_id"]]
    annotations[["x_min", "y_min", "x_max", "y_max"]] = [400.0, 400.0, 640.0, 640.0]
    write_tables(folder / "tables", images, annotations)
    parts = ["train"] * 8 + ["val"] * 3 + ["test"] * 3
    write_split(folder / "split", images[["image_id", "patient_id", "source"]].assign(split=parts))
    scheme = {"name": "two", "classes": CLASSES, "sources": {"nih": {"Mass": "Mass/Nodule", "Effusion": "Effusion"}}}
    (folder / "scheme.yaml").write_text(yaml.safe_dump(scheme))
    content = {
        "tables": str(folder / "tables"),
        "split": str(folder / "split"),
        "scheme": str(folder / "scheme.yaml"),
        "kind": "multi",
        "out": "replaced by the benchmark",
        "patches": {"side": 0.5, "overlap": 0.25, "min_visible": 0.9},
    }
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


@pytest.mark.slow  # trains twice
def test_trains_both_ways_goes_on_and_measures_with_and_without_tiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import patches
    from xray_chest_detection.data.side_files import read_unknown
    from xray_chest_detection.data.yolo import read_index
    from xray_chest_detection.detect.runs import open_run
    from xray_chest_detection.errors import ModelError

    data, recipe = write_inputs(tmp_path), load("detect").tiny_config(tmp_path, tmp_path, epochs=1)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    out = tmp_path / "out"
    arguments = ["--train", str(out), "--data", str(data), "--recipe", str(tmp_path / "recipe.yaml"), "--epochs", "1"]
    patches.main(arguments)
    shown = capsys.readouterr().out
    index = read_index(out / "patches")
    n_patches, n_whole = int((index["patch"] != "").sum()), 8
    assert n_patches == 2 * n_whole  # the one that shows the box, and an empty one for each
    assert len(read_unknown(out / "patches", CLASSES, reasons=["cut_off"])) > 0
    epochs = {name: open_run(out / "runs" / name).config.epochs for name in ("whole", "patches")}
    assert epochs == {"patches": 1, "whole": round((n_whole + n_patches) / n_whole)}
    rows = shown.splitlines()[-4:]
    assert [line.split()[:3] for line in rows] == [
        [run, part, "3"] for run in ("whole", "patches") for part in ("val", "test")
    ]
    assert len(list((out / "runs" / "patches" / "predictions").iterdir())) == 4

    weights = {name: open_run(out / "runs" / name).last.stat().st_mtime_ns for name in epochs}
    (out / "runs" / "patches" / "manifest.json").unlink()
    patches.main(arguments)
    assert capsys.readouterr().out.splitlines()[-4:] == rows
    assert {name: open_run(out / "runs" / name).last.stat().st_mtime_ns for name in epochs} == weights
    with pytest.raises(ModelError, match=r"whole: was trained with other settings; give another folder"):
        patches.main([*arguments[:-1], "2"])
