"""`xray pseudo-label`: from a deployed model to a data set with guessed boxes that passes verification."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from xray_chest_detection.cli.main import main
from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.dataset_files import list_dataset
from xray_chest_detection.data.integrity import verify_files
from xray_chest_detection.data.side_files import read_label_weights, read_unknown
from xray_chest_detection.data.splits import write_split
from xray_chest_detection.data.tables import write_tables

ROOT = Path(__file__).parents[2]
SCHEME = ROOT / "configs" / "schemes" / "united7.yaml"
CLASSES = ("Cardiomegaly", "Effusion")
EDGES = ["x_min", "y_min", "x_max", "y_max"]
# The model always sees a heart at 16..48, 32..56 of 64 pixels and, less sure, fluid in the upper left corner.
HEART, FLUID = [256.0, 512, 768, 896], [0.0, 0, 256, 256]


def table_of(folder: Path, rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Image table of (image, patient, labels) with a small film each."""
    folder.mkdir(exist_ok=True)
    for number, (name, _, _) in enumerate(rows):
        Image.fromarray(np.full((64, 64), 5 * number + 1, np.uint8)).save(folder / f"{name}.png")
    return pd.DataFrame(
        [
            (name, patient, "nih", str(folder / f"{name}.png"), 1024.0, 1024.0, "PA", labels, labels == "No Finding")
            for name, patient, labels in rows
        ],
        columns=["image_id", "patient_id", "source", "path", "width", "height", "view", "labels", "healthy"],
    )


@pytest.fixture
def world(tmp_path: Path, make_model) -> Path:
    """A data set of the two boxes, further films, and a teacher that knows both classes."""
    boxed = [(f"{part}{number}", f"{part}{number}", "Cardiomegaly|Effusion") for part in "tv" for number in range(6)]
    rows = [*boxed, ("x0", "x0", "Effusion"), ("h0", "h0", "No Finding"), ("t0b", "t0", "No Finding")]
    images = table_of(tmp_path / "films", rows)
    drawn = [(name, "Cardiomegaly", *HEART) for name, _, _ in boxed]
    drawn += [(name, "Effusion", *EDGE) for name, EDGE in (("v0", [500.0, 500, 700, 700]), ("x0", FLUID))]
    annotations = pd.DataFrame(drawn, columns=["image_id", "class_name", *EDGES])
    write_tables(tmp_path / "tables", images, annotations)
    part_of = {"t": "train", "v": "val", "x": "test", "h": "train"}
    parts = [part_of[name[0]] for name in images["image_id"]]
    write_split(tmp_path / "split", images[["image_id", "patient_id", "source"]].assign(split=parts))
    places = {"tables": tmp_path / "tables", "split": tmp_path / "split", "scheme": SCHEME}
    build_dataset(YoloConfig(out=tmp_path / "set", **places))
    new = [("n0", "n0", "Cardiomegaly"), ("n1", "t1", "Cardiomegaly|Pneumonia"), ("n2", "v1", "Cardiomegaly")]
    more = pd.concat([images, table_of(tmp_path / "films", new)])
    write_tables(tmp_path / "more", more, annotations)
    head = np.array([[32, 8], [44, 8], [32, 16], [24, 16], [0.9, 0.0], [0.0, 0.3]], np.float32)
    card = make_model(tmp_path / "models", head=head, classes=CLASSES, size_px=64)
    name_split(card, sha256_of(tmp_path / "split" / "split.csv"))
    return tmp_path


def name_split(card: Path, digest: str) -> None:
    card.write_text(re.sub("split_sha256: .*", f"split_sha256: {digest}", card.read_text()))


def command(world: Path, *options: str) -> list[str]:
    places = {"--data": "set", "--films": "more", "--out": "self"}
    words = [word for option, name in places.items() for word in (option, str(world / name))]
    return ["pseudo-label", str(world / "models" / "multi.card.yaml"), *words, "--threads", "1", *options]


def failure(world: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(command(world, *options))
    assert end.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert not (world / "self").exists()
    return message


def test_a_data_set_with_guesses(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(world)) == 0
    shown = capsys.readouterr().out
    assert re.search(r"Cardiomegaly +6 +6 +6 +0.88 +2 +2\n", shown)
    assert re.search(r"Effusion +1 +1 +0 +- +6 +0\n", shown)
    assert "2 further films" in shown
    manifest = read_manifest(world / "self")
    assert manifest.inputs["teacher"] == sha256_of(world / "models" / "multi.onnx")
    assert manifest.counts["guesses"]["Cardiomegaly"]["weight"] == 0.875
    before = (world / "self" / "manifest.json").read_bytes()
    assert main(command(world)) == 0
    assert "self is up to date" in capsys.readouterr().out
    assert (world / "self" / "manifest.json").read_bytes() == before

    out = world / "set_self"
    build_dataset(YoloConfig(tables=world / "self", split=world / "self", scheme=SCHEME, out=out))
    failed = [check for check in verify_files(list_dataset(out)).checks if check.result == "error"]
    assert [check.name for check in failed] == ["class without a box in train"]  # the other classes of the scheme
    weights = {f"images/train/{name}.png": {1: 0.875} for name in ("n0", "n1")}
    assert read_label_weights(out) == weights
    names = list_dataset(out).classes
    assert read_unknown(out, names, reasons=["guessed"]) == {file: [names.index("Cardiomegaly")] for file in weights}
    not_located = read_unknown(out, names, reasons=["not_located"])
    assert not_located["images/train/n1.png"] == [names.index("Pneumonia")]
    assert not_located["images/train/t0.png"] == [names.index("Effusion")]
    label = (out / "labels" / "train" / "n0.txt").read_text().split()
    assert [float(value) for value in label] == pytest.approx([1, 0.5, 0.6875, 0.5, 0.375], abs=1e-3)
    assert {path.name for path in (out / "images" / "val").iterdir()} == {f"v{number}.png" for number in range(6)}
    described = read_manifest(out)
    assert described.inputs["teacher"] == manifest.inputs["teacher"]
    assert described.counts["guesses"] == manifest.counts["guesses"]
    assert described.counts["train"]["guessed"] == 2


def test_a_film_that_got_a_box_is_no_further_film(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(world)) == 0
    table = world / "more" / "annotations.csv"
    boxes = pd.read_csv(table)
    pd.concat([boxes, boxes.tail(1).assign(image_id="n1")]).to_csv(table, index=False)
    capsys.readouterr()
    assert main(command(world)) == 0
    assert "1 further films\nwrote " in capsys.readouterr().out


def test_guesses_for_everyone_are_for_training_on_everything(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(world, "--everyone")) == 0
    assert "3 further films" in capsys.readouterr().out
    places = {"tables": world / "self", "split": world / "self", "scheme": SCHEME, "out": world / "all"}
    view, _ = build_dataset(YoloConfig(**places, everything_but=1, seed=1))
    stays = view.images.loc[view.images["split"] == "val", "patient_id"].unique().tolist()
    assert len(stays) == 1
    assert view.counts()["train"]["guessed"] == (2 if stays == ["v1"] else 3)
    assert view.counts()["test"]["images"] == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "split_sha256: .*",
            "split_sha256: " + "ab" * 32,
            r"was trained on another split than .*split.csv \(sha256 abab",
        ),
        (
            "counts: {}",
            "counts: {test: {images: 0}}",
            r"was trained on everything, so it has seen the films its guesses",
        ),
        (
            "measured_on: ''",
            "measured_on: its twin",
            r"was trained on everything, so it has seen the films its guesses",
        ),
        (
            "- Effusion",
            "- Ring",
            r"class 'Ring' is not in scheme united7 \(Atelectasis, .*\); give a model of the data",
        ),
    ],
)
def test_teacher_that_cannot_be_judged(
    old: str, new: str, message: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = world / "models" / "multi.card.yaml"
    text = card.read_text()
    assert re.search(old, text)
    card.write_text(re.sub(old, new, text))
    assert re.search(message, failure(world, capsys))


def test_teacher_that_does_not_say_its_split(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name_split(world / "models" / "multi.card.yaml", "null")
    assert main(command(world)) == 0
    assert "multi.card.yaml does not say which split it was trained on: if it has seen val" in capsys.readouterr().out


def test_no_class_is_guessed_well_enough(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no guess hits often enough to be trained on; give" in failure(world, capsys, "--min-weight", "0.9")


def test_films_that_are_not_there(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(world / "more")
    assert "more/images.csv: no such table; run the data_prep step" in failure(world, capsys)


def test_values_out_of_range(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(command(world, "--iou", "1.5"))
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: --iou: 1.5 is not above 0 and at most 1\n"
