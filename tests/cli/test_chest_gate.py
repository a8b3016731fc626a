import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.cli import main as program
from xray_chest_detection.inference.chest_gate import NOT_A_CHEST

ROOT = Path(__file__).parents[2]


@pytest.fixture
def models(tmp_path: Path, make_model) -> Path:
    make_model(tmp_path / "models", "multi")
    for name in ("chest_gate.npz", "chest_gate.json"):
        (tmp_path / "models" / name).write_bytes((ROOT / "checkpoints" / name).read_bytes())
    return tmp_path / "models"


def predict(source: Path, models: Path, out: Path) -> dict[str, object]:
    arguments = ["--source", str(source), "--models", "multi", "--checkpoints", str(models), "--out", str(out)]
    assert program.main(["predict", *arguments]) == 0
    (image,) = json.loads(out.read_text())["images"]
    return image


def test_predict_notes_a_picture_that_is_no_chest_film_and_goes_on(models: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120)).astype(np.uint8)).save(path)
    image = predict(path, models, tmp_path / "out.json")
    assert image["chest"]["passed"] is False
    assert image["chest"]["message"] == NOT_A_CHEST
    assert "multi" in image["models"]
    assert capsys.readouterr().err == f"note: noise.png: {NOT_A_CHEST}\n"


def test_predict_says_nothing_about_a_film(models: Path, tmp_path: Path, capsys) -> None:
    image = predict(ROOT / "images_for_inference" / "synthetic_normal.png", models, tmp_path / "out.json")
    assert (image["chest"]["passed"], image["chest"]["message"]) == (True, None)
    assert capsys.readouterr() == ("", "")


def test_predict_works_without_a_gate_and_notes_a_damaged_one(models: Path, tmp_path: Path, capsys) -> None:
    sample = ROOT / "images_for_inference" / "synthetic_normal.png"
    (models / "chest_gate.npz").write_bytes(b"damaged")
    assert predict(sample, models, tmp_path / "out.json")["chest"] is None
    assert "chest_gate.npz: sha256" in capsys.readouterr().err
    (models / "chest_gate.npz").unlink()
    assert predict(sample, models, tmp_path / "out.json")["chest"] is None
    assert capsys.readouterr().err == ""


def test_train_and_measure_write_and_read_the_same_gate(tmp_path: Path, monkeypatch, capsys) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    for patient in range(30):  # two dark fields in a bright one are films enough for this
        wide, high = rng.uniform(0.25, 0.35), rng.uniform(0.5, 0.7)
        lungs = sum(((x - side) / wide) ** 2 + (y / high) ** 2 < 1 for side in (-0.45, 0.45))
        film = np.clip(200 - 150 * lungs + rng.normal(0, 5, x.shape), 0, 255).astype(np.uint8)
        (tmp_path / "films").mkdir(exist_ok=True)
        Image.fromarray(film).save(tmp_path / "films" / f"{patient:08d}_000.png")
    config = {
        "films": {"name": "films", "kind": "films", "folder": str(tmp_path / "films")},
        "chest": [],
        "other": [{"name": "noise", "kind": "noise", "drawn": "noise", "limit": 40}],
        "components": 10,
    }
    (tmp_path / "gate.yaml").write_text(json.dumps(config))
    place = ["--config", str(tmp_path / "gate.yaml"), "--out", str(tmp_path / "gate.npz")]
    assert program.main(["chest-gate", "train", *place, "--report", str(tmp_path / "gate.md")]) == 0
    assert "| noise | noise | 40 | " in (tmp_path / "gate.md").read_text()
    capsys.readouterr()
    assert program.main(["chest-gate", "measure", *place]) == 0
    head, films, noise = capsys.readouterr().out.splitlines()
    assert head.split() == ["source", "kind", "pictures", "flagged", "unreadable"]
    assert films.split()[0] == "films"
    assert noise.split()[2] == "40"


def test_fetch_leaves_what_is_there(tmp_path: Path, capsys) -> None:
    archive = {"url": "file:///no/such.whl", "sha256": "0" * 64}
    films = {"name": "films", "kind": "films", "folder": "films"}
    config = {"films": films, "chest": [], "other": [{"name": "some", "kind": "test", "archives": [archive]}]}
    (tmp_path / "gate.yaml").write_text(json.dumps(config))
    place = ["--config", str(tmp_path / "gate.yaml"), "--pictures", str(tmp_path / "pictures")]
    with pytest.raises(SystemExit):
        program.main(["chest-gate", "fetch", *place])
    assert "error: file:///no/such.whl: cannot be fetched" in capsys.readouterr().err
    (tmp_path / "pictures" / "some").mkdir(parents=True)
    (tmp_path / "pictures" / "some" / "PACKAGES.txt").touch()
    assert program.main(["chest-gate", "fetch", *place]) == 0
