import pytest

from xray_chest_detection.data.dataset_files import list_dataset
from xray_chest_detection.data.side_checks import side_file_checks

UNKNOWN, WEIGHTS = "file,class_name,reason", "file,line,weight"


def found(folder, *, unknown=(), weights=()):
    """Places of the checks that found something, by name; all of them are errors."""
    for name, header, rows in (("unknown.csv", UNKNOWN, unknown), ("label_weights.csv", WEIGHTS, weights)):
        if rows:
            (folder / name).write_text("\n".join([header, *rows]) + "\n")
    checks = [check for check in side_file_checks(list_dataset(folder)) if check.places]
    assert {check.result for check in checks} <= {"error"}
    return {check.name: list(check.places) for check in checks}


def test_a_data_set_without_side_files_passes(dataset):
    assert found(dataset) == {}


def test_true_side_files_pass(dataset):
    (dataset / "labels" / "train" / "train2.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    unknown = ["images/train/train1.png,Mass,not_located", "images/train/train2.png,Mass,not_labelled"]
    assert found(dataset, unknown=unknown, weights=["images/train/train0.png,2,0.33"]) == {}


def test_a_box_of_a_class_that_is_unknown_on_its_image_is_a_contradiction(dataset):
    unknown = ["images/train/train0.png,Mass,not_labelled", "images/val/val0.png,Effusion,not_located"]
    assert found(dataset, unknown=unknown) == {
        "box of a class that is unknown on its image": [
            "images/train/train0.png: Mass (not_labelled)",
            "images/val/val0.png: Effusion (not_located)",
        ]
    }


def test_rows_of_images_that_do_not_exist(dataset):
    unknown, weights = ["images/train/gone.png,Mass,not_located"], ["train0.png,1,0.5"]
    assert found(dataset, unknown=unknown, weights=weights) == {
        "side file names an image that is not in index.csv": [
            "unknown.csv: images/train/gone.png",
            "label_weights.csv: train0.png",
        ]
    }


def test_weights_of_lines_that_do_not_exist(dataset):
    rows = ["images/train/train0.png,2,0.5", "images/train/train0.png,3,0.5", "images/train/train1.png,1,0.5"]
    assert found(dataset, weights=rows) == {
        "weight of a label line that does not exist": [
            "label_weights.csv: images/train/train0.png line 3",
            "label_weights.csv: images/train/train1.png line 1",
        ]
    }


def test_an_index_with_a_wild_file_name_is_no_crash(dataset):
    (dataset / "index.csv").write_text("image_id,patient_id,source,split,file\na,p,nih,train,/etc/a.png\n")
    assert found(dataset, weights=["/etc/a.png,1,0.5"]) == {
        "weight of a label line that does not exist": ["label_weights.csv: /etc/a.png line 1"]
    }


def test_lines_without_a_class_and_missing_label_files_are_left_to_other_checks(dataset):
    (dataset / "labels" / "train" / "train0.txt").write_bytes(b"\nMass 1 1 1 1\n\xff\n")
    (dataset / "labels" / "val" / "val0.txt").unlink()
    unknown = [f"images/{name}.png,Mass,not_labelled" for name in ("train/train0", "val/val0")]
    assert found(dataset, unknown=unknown) == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"unknown": ["images/train/train1.png,Goitre,not_located"]}, "unknown.csv: line 2: 'Goitre'"),
        ({"unknown": ["images/train/train1.png,Mass,perhaps"]}, "unknown.csv: line 2: 'perhaps'"),
        ({"weights": ["images/train/train0.png,1,1.5"]}, "label_weights.csv: line 2: '1.5'"),
        ({"weights": ["images/train/train0.png,0,0.5"]}, "label_weights.csv: line 2: '0'"),
    ],
)
def test_damaged_side_files(dataset, rows, message):
    problems = found(dataset, **rows)
    assert set(problems) == {"side file cannot be read"}
    assert message in problems["side file cannot be read"][0]


def test_a_finding_cut_off_by_a_patch_may_stand_beside_a_box_of_its_class(dataset):
    assert found(dataset, unknown=["images/train/train0.png,Mass,cut_off"]) == {}
