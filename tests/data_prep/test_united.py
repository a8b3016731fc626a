"""From the raw files of two sources to one verified data set, as a user does it."""

import os
from pathlib import Path

import pandas as pd
import pytest

from data_prep import build_yolo, nih, split, unite, verify, vinbigdata
from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.kept_splits import moved_patients
from xray_chest_detection.data.side_files import read_label_weights
from xray_chest_detection.data.splits import read_split
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.data.yolo_read import read_labelled_split

ROOT = Path(__file__).resolve().parents[2]
SCHEME = ("--scheme", ROOT / "configs" / "schemes" / "united7.yaml")
PNEUMONIA = 5


def run(step, *arguments):
    step.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def united(tmp_path_factory):
    """All steps on a small synthetic set; the NIH patients were split before VinBigData came."""
    folder = tmp_path_factory.mktemp("united")
    config = SampleConfig(patients=16, max_visits=2, vinbigdata_images=16, size_px=128)
    write_dataset(config, folder / "raw")
    run(nih, "--root", folder / "raw" / "nih", "--out", folder / "nih")
    run(split, "--tables", folder / "nih", "--out", folder / "nih_split")
    run(vinbigdata, "--root", folder / "raw" / "vinbigdata", "--out", folder / "vin")
    sources = ("--sources", folder / "nih", folder / "vin")
    run(unite, *sources, *SCHEME, "--out", folder / "tables", "--consensus.rule", "union")
    run(split, "--tables", folder / "tables", "--out", folder / "split", "--keep", folder / "nih_split")
    run(build_yolo, *set_options(folder))
    return folder


def set_options(folder):
    places = ("--tables", folder / "tables", "--split", folder / "split", "--out", folder / "set")
    return (*places, *SCHEME, "--weights", "agreement")


def test_both_sources_are_in_every_part_and_known_patients_stay(united):
    parts = read_split(united / "split")
    assert set(zip(parts["source"], parts["split"], strict=True)) == {
        (source, part) for source in ("nih", "vinbigdata") for part in SPLITS
    }
    assert moved_patients(read_split(united / "nih_split"), parts) == []


def test_the_data_set_says_what_is_unknown_and_how_sure_its_boxes_are(united):
    index = pd.read_csv(united / "set" / "index.csv", dtype=str)
    for part in SPLITS:
        read = read_labelled_split(united / "set", part)
        sources = index[index["split"] == part].sort_values("image_id")["source"]
        assert read.classes[PNEUMONIA] == "Pneumonia"
        assert read.unknown[:, PNEUMONIA].tolist() == sources.eq("vinbigdata").tolist()
        assert read.unknown.sum() == sources.eq("vinbigdata").sum()
    weights = [weight for lines in read_label_weights(united / "set").values() for weight in lines.values()]
    assert {round(weight, 3) for weight in weights} == {0.333, 0.667}


def test_the_auditor_finds_no_error_and_the_manifests_say_how_it_was_made(united):
    assert verify.main([str(united / "set")]) == 0
    made = read_manifest(united / "tables")
    assert made.step == "data_prep.unite"
    assert made.config["consensus"]["rule"] == "union"
    assert len(made.inputs) == 5
    assert {row["source"] for row in made.counts["boxes"]} == {"nih", "vinbigdata"}
    assert set(read_manifest(united / "set").outputs) == {"data.yaml", "index.csv", "unknown.csv", "label_weights.csv"}


def test_a_lost_side_file_or_a_replaced_film_builds_the_set_again(united, capsys):
    run(build_yolo, *set_options(united))
    assert "set is up to date" in capsys.readouterr().out
    (united / "set" / "unknown.csv").unlink()
    run(build_yolo, *set_options(united))
    assert f"wrote {united / 'set'}" in capsys.readouterr().out
    film = Path(pd.read_csv(united / "tables" / "images.csv")["path"].iloc[0])
    os.utime(film, ns=(0, 0))
    run(build_yolo, *set_options(united))
    assert f"wrote {united / 'set'}" in capsys.readouterr().out


def test_one_source_and_its_own_classes_are_enough(united, tmp_path, capsys):
    scheme = ("--scheme", ROOT / "configs" / "schemes" / "vinbigdata14.yaml")
    run(unite, "--sources", united / "vin", *scheme, "--out", tmp_path / "tables", "--background", "2")
    printed = capsys.readouterr().out
    assert "Aortic enlargement" in printed
    assert "left out)" not in printed
    images = pd.read_csv(tmp_path / "tables" / "images.csv")
    assert images["healthy"].sum() <= 2
    assert set(images["source"]) == {"vinbigdata"}
