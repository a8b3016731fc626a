import pytest

from xray_chest_detection.data.dataset_files import list_dataset
from xray_chest_detection.data.provenance import provenance_checks, require_patients_apart
from xray_chest_detection.errors import DataError

UNTRACED = [
    ("no manifest.json", "warning"),
    ("split not found", "warning"),
]


def found(folder, split=None):
    """Checks that found something: name to places; all of them are errors."""
    checks = [check for check in provenance_checks(list_dataset(folder), split) if check.places]
    assert {check.result for check in checks} <= {"error"}
    return {check.name: list(check.places) for check in checks}


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_data_set_as_it_was_built_passes(traced):
    assert found(traced) == {}
    assert found(traced, traced.parent / "split") == {}


def test_a_data_set_without_manifest_is_a_warning_and_can_be_compared_with_a_given_split(traced):
    (traced / "manifest.json").unlink()
    checks = provenance_checks(list_dataset(traced))
    assert [(check.name, check.result) for check in checks if check.places] == UNTRACED
    replace(traced / "index.csv", "train0,p1,", "train0,p9,")
    checks = provenance_checks(list_dataset(traced), traced.parent / "split")
    assert [check.name for check in checks if check.result == "error"] == ["index.csv disagrees with the split"]


def test_a_damaged_manifest(traced):
    (traced / "manifest.json").write_text("{")
    checks = provenance_checks(list_dataset(traced))
    assert [(check.name, check.result) for check in checks if check.places] == [
        ("manifest.json cannot be read", "error"),
        ("split not found", "warning"),
    ]
    assert "damaged manifest" in checks[0].places[0]


def test_a_split_that_was_moved_away_is_a_warning(traced):
    (traced.parent / "split").rename(traced.parent / "elsewhere")
    checks = provenance_checks(list_dataset(traced))
    assert [(check.name, check.result) for check in checks if check.places] == UNTRACED[1:]
    assert found(traced, traced.parent / "elsewhere") == {}


def test_files_that_were_changed_removed_or_added(traced):
    replace(traced / "data.yaml", "Mass", "Nodule")
    (traced / "unknown.csv").write_text("file,class_name,reason\n")
    assert found(traced) == {
        "file is not the one of manifest.json": [
            "data.yaml was changed after data_prep.build_yolo wrote it",
            "unknown.csv was added after data_prep.build_yolo",
        ]
    }


def test_a_side_file_that_is_gone_or_changed(dataset, trace_set):
    (dataset / "unknown.csv").write_text("file,class_name,reason\nimages/train/train1.png,Mass,not_located\n")
    (dataset / "label_weights.csv").write_text("file,line,weight\nimages/train/train0.png,1,0.5\n")
    trace_set(dataset, "unknown.csv", "label_weights.csv")
    assert found(dataset) == {}
    (dataset / "unknown.csv").unlink()
    replace(dataset / "label_weights.csv", "0.5", "0.9")
    assert found(dataset) == {
        "file is not the one of manifest.json": [
            "label_weights.csv was changed after data_prep.build_yolo wrote it",
            "unknown.csv is missing",
        ]
    }


def test_a_tampered_index_is_not_the_file_of_the_manifest_and_not_the_split(traced):
    replace(traced / "index.csv", "test1,p8,nih,test,images/test/test1", "test1,p8,nih,train,images/train/test1")
    replace(traced / "index.csv", "val0,p5,", "val0,p99,")
    replace(traced / "index.csv", "train3,", "stranger,")
    assert found(traced) == {
        "file is not the one of manifest.json": ["index.csv was changed after data_prep.build_yolo wrote it"],
        "index.csv disagrees with the split": [
            "index.csv line 5: stranger of nih is not in the split",
            "index.csv line 6: val0 of nih is in val as patient p99, in the split in val as p5",
            "index.csv line 9: test1 of nih is in train as patient p8, in the split in test as p8",
        ],
    }


def test_a_split_with_more_images_than_the_view_is_fine(traced):
    path = traced.parent / "split" / "split.csv"
    rows = path.read_text().splitlines()
    (traced / "index.csv").write_text("\n".join((traced / "index.csv").read_text().splitlines()[:-1]) + "\n")
    assert len(rows) == 9
    assert set(found(traced)) == {"file is not the one of manifest.json"}


def test_a_split_that_was_made_again_is_another_one(traced):
    split = traced.parent / "split"
    replace(split / "split.csv", "p8,nih,test", "p8,nih,train")
    assert "was changed after data_prep.split wrote it" in found(traced)["split cannot be read"][0]
    (split / "manifest.json").unlink()
    assert found(traced) == {
        "data set was built from another split": [str(split / "split.csv")],
        "index.csv disagrees with the split": [
            "index.csv line 9: test1 of nih is in test as patient p8, in the split in train as p8"
        ],
    }


def test_a_given_split_comes_before_the_one_the_manifest_names(traced, tmp_path):
    (tmp_path / "other").mkdir()
    lines = (traced.parent / "split" / "split.csv").read_text().splitlines()
    (tmp_path / "other" / "split.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert found(traced, tmp_path / "other") == {
        "data set was built from another split": [str(tmp_path / "other" / "split.csv")],
        "index.csv disagrees with the split": ["index.csv line 9: test1 of nih is not in the split"],
    }
    assert "no such split" in found(traced, tmp_path / "gone")["split cannot be read"][0]


# --- before a training ---


def test_a_sound_data_set_may_be_trained_on(dataset):
    require_patients_apart(dataset)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ",p7,",
            ",p1,",
            r"index\.csv: patient 'p1' of nih is in test and train \(1 such patients\); a model would",
        ),
        (
            "nih,test,images/test/test1",
            "nih,train,images/test/test1",
            r"index\.csv: line 9: 'images/test/test1\.png' is listed as 'train'; build the data set again",
        ),
        ("images/val/val0.png", "val0.png", r"index\.csv: line 6: 'val0\.png' is listed as 'val'"),
        ("patient_id", "person", r"index\.csv: no column 'patient_id'"),
    ],
)
def test_a_leaking_data_set_is_refused_in_one_line(dataset, old, new, message):
    replace(dataset / "index.csv", old, new)
    with pytest.raises(DataError, match=message) as error:
        require_patients_apart(dataset)
    assert "\n" not in str(error.value)
