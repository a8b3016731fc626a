import shutil

import pytest

from xray_chest_detection.data.dataset_files import list_dataset
from xray_chest_detection.data.integrity import verify_files
from xray_chest_detection.errors import DataError

UNTRACED = {"no manifest.json", "split not found"}  # warnings about the data set of these tests, which has neither


def found(folder):
    """Checks of the files that found something: name to (result, count, example)."""
    rows = [check.to_row() for check in verify_files(list_dataset(folder)).checks]
    return {
        row["check"]: (row["result"], row["count"], row["example"])
        for row in rows
        if row["result"] != "ok" and row["check"] not in UNTRACED
    }


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_sound_data_set_passes(traced):
    report = verify_files(list_dataset(traced))
    assert {check.result for check in report.checks} == {"ok"}
    assert (report.subject, report.counts, report.failed) == (str(traced), {"images": 8, "boxes": 8}, False)


def test_what_is_no_data_set_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data\.yaml: cannot be read .*; build it with data_prep\.build_yolo"):
        list_dataset(tmp_path)


def test_files_of_ultralytics_are_no_findings(dataset):
    (dataset / "labels" / "train.cache").touch()
    (dataset / "images" / "train" / "train0.npy").touch()
    (dataset / "images" / "train" / "._train0.png").touch()
    assert found(dataset) == {}


def test_labels_and_films_without_each_other(dataset):
    (dataset / "labels" / "train" / "train1.txt").unlink()
    (dataset / "images" / "val" / "val1.png").unlink()
    assert found(dataset) == {
        "image without label file": ("error", 1, "images/train/train1.png"),
        "label file without image": ("error", 1, "labels/val/val1.txt"),
        "index.csv and files disagree": ("error", 1, "images/val/val1.png is not on disk"),
    }


def test_films_that_share_a_label_file_or_stand_in_two_splits(dataset, film):
    film(dataset / "images" / "train" / "train0.jpg", 100)
    film(dataset / "images" / "test" / "train1.png", 101)
    (dataset / "labels" / "test" / "train1.txt").touch()
    problems = found(dataset)
    assert problems["images that share one label file"] == ("error", 1, "images/train/train0.*")
    assert problems["same image name in two splits"] == ("error", 1, "train1: test, train")
    assert problems["index.csv and files disagree"][1] == 2


def test_an_empty_split(dataset):
    shutil.rmtree(dataset / "images" / "val")
    shutil.rmtree(dataset / "labels" / "val")
    problems = found(dataset)
    assert problems["split without images"] == ("error", 1, "images/val")
    assert problems["class without a box in val or test"] == ("warning", 2, "val: Mass")


@pytest.mark.parametrize(
    ("line", "check", "result"),
    [
        ("0 0.5 0.5 0.2", "malformed label line", "error"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed label line", "error"),
        ("Mass 0.5 0.5 0.2 0.2", "malformed label line", "error"),
        ("0.0 0.5 0.5 0.2 0.2", "malformed label line", "error"),
        ("0 nan 0.5 0.2 0.2", "malformed label line", "error"),
        ("", "malformed label line", "error"),
        ("\xff\xfe", "malformed label line", "error"),
        ("2 0.5 0.5 0.2 0.2", "unknown class id", "error"),
        ("-1 0.5 0.5 0.2 0.2", "unknown class id", "error"),
        ("0 0.95 0.5 0.2 0.2", "box outside [0, 1]", "error"),
        ("0 0.5 0.099 0.2 0.2", "box outside [0, 1]", "error"),
        ("0 0.5 0.5 0 0.2", "box without area", "error"),
        ("0 0.5 0.5 0.2 -0.2", "box without area", "error"),
        ("0 0.5 0.5 0.2 0.2", "box repeated in one file", "warning"),
    ],
)
def test_a_wrong_label_line_is_shown(dataset, line, check, result):
    path = dataset / "labels" / "train" / "train0.txt"
    path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n")
    problems = found(dataset)
    assert list(problems) == [check]
    assert problems[check][:2] == (result, 1)
    assert problems[check][2].startswith("labels/train/train0.txt line 3: '")


def test_rounding_is_not_outside(dataset):
    (dataset / "labels" / "train" / "train0.txt").write_text("0 0.333333 0.5 0.666667 0.2\n1 0.5 0.5 1.000000 1.0\n")
    assert found(dataset) == {}


def test_a_class_without_boxes_is_an_error_in_training_and_a_warning_elsewhere(dataset):
    for part in ("train", "test"):
        for path in (dataset / "labels" / part).iterdir():
            path.write_text(path.read_text().replace("1 0.1 0.1 0.2 0.2\n", ""))
    assert found(dataset) == {
        "class without a box in train": ("error", 1, "train: Effusion"),
        "class without a box in val or test": ("warning", 1, "test: Effusion"),
    }
    assert verify_files(list_dataset(dataset)).failed


def test_warnings_do_not_fail(dataset):
    for path in (dataset / "labels" / "test").iterdir():
        path.write_text("")
    assert set(found(dataset)) == {"class without a box in val or test"}
    assert not verify_files(list_dataset(dataset)).failed


def test_an_index_that_is_missing_damaged_or_wrong(dataset):
    index = dataset / "index.csv"
    text = index.read_text()
    index.write_text(text.replace("nih,val,images/val/val0", "nih,train,images/val/val0"))
    assert found(dataset) == {
        "index.csv and files disagree": ("error", 1, "images/val/val0.png is listed as train"),
    }
    index.write_text(text.replace("patient_id", "person"))
    assert "no column 'patient_id'" in found(dataset)["index.csv cannot be read"][2]
    index.unlink()
    assert set(found(dataset)) == {"index.csv cannot be read"}


def test_a_description_that_names_other_folders_is_an_error(dataset):
    (dataset / "data.yaml").write_text(
        "path: /elsewhere\ntrain: images/train\nval: images/test\nnames: [Mass, Effusion]\n"
    )
    assert found(dataset)["data.yaml names other folders"] == ("error", 2, "val: images/test")


def test_a_folder_with_the_name_of_a_label_file_is_no_label_file(dataset):
    (dataset / "labels" / "train" / "train1.txt").unlink()
    (dataset / "labels" / "train" / "train1.txt").mkdir()
    assert found(dataset)["image without label file"] == ("error", 1, "images/train/train1.png")


def test_rows_of_the_index_that_say_too_little_or_stand_twice(dataset):
    text = (dataset / "index.csv").read_text()
    (dataset / "index.csv").write_text(text.replace("train1,p2,", "train1,,") + text.splitlines()[3] + "\n")
    assert found(dataset) == {
        "index.csv leaves out image, patient or source": ("error", 1, "index.csv line 3: images/train/train1.png"),
        "film listed twice in index.csv": ("error", 1, "index.csv line 10: images/train/train2.png"),
    }
