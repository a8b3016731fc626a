"""Data sets that train on everything."""

import pandas as pd
import pytest

from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.build import build_dataset, read_view
from xray_chest_detection.data.dataset_files import list_dataset
from xray_chest_detection.data.everything import everything_but, trains_on_everything
from xray_chest_detection.data.integrity import verify_files
from xray_chest_detection.data.splits import write_split
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.errors import DataError

SPLIT = pd.DataFrame(
    [
        *((f"a{number}", f"p{number}", "nih", "train") for number in range(4)),
        *((f"b{number}", f"q{number // 2}", "nih", "val") for number in range(6)),
        *((f"c{number}", f"r{number}", "nih", "test") for number in range(3)),
    ],
    columns=["image_id", "patient_id", "source", "split"],
)


@pytest.mark.parametrize("patients", [1, 2, 3])
def test_so_many_validation_patients_stay_with_all_their_films(patients):
    new = everything_but(SPLIT, patients, seed=0)
    assert new["image_id"].tolist() == SPLIT["image_id"].tolist()
    stays = new[new["split"] == "val"]
    assert stays["patient_id"].nunique() == patients
    assert len(stays) == 2 * patients
    assert set(stays["patient_id"]) <= {"q0", "q1", "q2"}
    assert set(new["split"]) == {"train", "val"}


def test_the_choice_depends_on_the_seed_and_not_on_the_order():
    shuffled = SPLIT.sample(frac=1, random_state=1)
    same = everything_but(shuffled, 1, seed=0).sort_values("image_id").reset_index(drop=True)
    assert same.equals(everything_but(SPLIT, 1, seed=0))
    chosen = [everything_but(SPLIT, 1, seed=seed).query("split == 'val'")["patient_id"].iloc[0] for seed in range(20)]
    assert len(set(chosen)) == 3


def test_more_patients_than_there_are():
    with pytest.raises(DataError, match=r"^everything_but: 4: the split has 3 validation patients; give fewer$"):
        everything_but(SPLIT, 4, seed=0)


def test_a_data_set_that_trains_on_everything_says_so(tmp_path, make_tables, film, project_root):
    patients = {f"p{number}": ["Mass" if number % 2 else "Effusion"] for number in range(8)}
    images, annotations = make_tables(patients)
    images["path"] = [str(tmp_path / "raw" / f"{name}.png") for name in images["image_id"]]
    for seed, path in enumerate(images["path"]):
        film(tmp_path / "raw" / path, seed)
    write_tables(tmp_path / "tables", images, annotations)
    parts = ["train", "train", "train", "val", "val", "test", "test", "test"]
    write_split(tmp_path / "split", images[["image_id", "patient_id", "source"]].assign(split=parts))
    config = YoloConfig(
        tables=tmp_path / "tables",
        split=tmp_path / "split",
        scheme=project_root / "configs" / "schemes" / "united7.yaml",
        out=tmp_path / "all",
        everything_but=1,
    )
    view, _ = build_dataset(config)
    assert {part: counts["images"] for part, counts in view.counts().items()} == {"train": 7, "val": 1, "test": 0}
    assert trains_on_everything(config.out)
    assert read_manifest(config.out).config["everything_but"] == 1
    checks = {check.name: check for check in verify_files(list_dataset(config.out)).checks}
    assert checks["trains on everything"].places == [f"{config.out}: all but 1 patients of val, those of test too"]
    for name in ("split without images", "index.csv disagrees with the split", "data set was built from another split"):
        assert checks[name].result == "ok", checks[name].places
    with pytest.raises(
        DataError, match=r"all: trains on everything, so nobody is left in 'test'; measure the same recip"
    ):
        read_labelled_split(config.out, "test")
    with pytest.raises(DataError, match=r"all: trains on everything; give another data set of the same split$"):
        read_view(config.out)
    assert not trains_on_everything(tmp_path / "split")
    usual = config.model_copy(update={"everything_but": None, "out": tmp_path / "usual"})
    build_dataset(usual)
    checks = {check.name: check for check in verify_files(list_dataset(usual.out)).checks}
    assert checks["trains on everything"].result == "ok"
    assert not trains_on_everything(usual.out)
