import pandas as pd
import pytest

from xray_chest_detection.data.splits import write_split
from xray_chest_detection.data.tables import (
    ANNOTATIONS_FILE,
    IMAGES_FILE,
    read_tables,
    validate_annotations,
    validate_images,
    write_tables,
)
from xray_chest_detection.errors import DataError


@pytest.fixture
def tables(make_tables):
    return make_tables({"1": ["Mass", None], "2": [None]})


def test_round_trip_keeps_values_and_what_is_unknown(tmp_path, tables):
    write_tables(tmp_path, *tables)
    images, annotations = read_tables(tmp_path)
    assert images["patient_id"].tolist() == ["1", "1", "2"]
    assert images["healthy"].tolist() == [False, True, True]
    assert annotations[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [[100, 200, 300, 500]]
    assert annotations[["reader", "n_readers", "agreement"]].isna().all(axis=None)


def test_tables_without_a_box_are_tables(tmp_path, make_tables):
    write_tables(tmp_path, *make_tables({"1": [None]}))
    assert len(read_tables(tmp_path)[1]) == 0


def test_a_patient_named_na_is_no_missing_value(tmp_path, make_tables):
    write_tables(tmp_path, *make_tables({"NA": [None], "null": [None]}))
    assert read_tables(tmp_path)[0]["patient_id"].tolist() == ["NA", "null"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("x_max", 90.0, "x_max must be greater than x_min"),
        ("y_max", 200.0, "y_max must be greater than y_min"),
        ("x_min", -1.0, r"column x_min, row 0: -1.0 fails greater_than_or_equal_to"),
        ("x_min", float("nan"), "column x_min, row 0: nan fails not_nullable"),
        ("x_max", 1025.0, r"row 0: the box leaves image '1_000' \(1 such rows\); clip it first"),
        ("image_id", "3_000", r"row 0: image '3_000' is not in the image table \(1 such rows\)"),
        ("agreement", 1.5, "column agreement, row 0"),
    ],
)
def test_a_wrong_box_is_named_with_row_and_value(tmp_path, tables, column, value, message):
    images, annotations = tables
    with pytest.raises(DataError, match=f"annotations.csv.*{message}"):
        write_tables(tmp_path, images, annotations.assign(**{column: value}))
    assert not list(tmp_path.iterdir())


def test_all_failures_of_a_table_are_listed_at_once(tables):
    images = tables[0].assign(width=[0.0, 1024.0, -5.0], image_id=["a", "b", "../b"])
    with pytest.raises(
        DataError, match=r"images: 3 invalid values: .*row 2: '\.\./b' fails .*row 0: 0\.0.*row 2: -5\.0"
    ):
        validate_images(images, place="images")


def test_an_inverted_box_is_one_failure_of_each_check(make_tables):
    images, annotations = make_tables({"1": ["Mass", "Mass"], "2": ["Mass"]})
    wrong = annotations.assign(x_max=[90.0, 300.0, 80.0], y_max=[500.0, 500.0, 100.0], agreement=[0.5, 1.5, 0.5])
    with pytest.raises(DataError) as raised:
        validate_annotations(wrong, images, place="boxes")
    start = "boxes: 4 invalid values: "
    assert str(raised.value).startswith(start)
    assert str(raised.value).removeprefix(start).split("; ") == [
        "column agreement, row 1: 1.5 fails in_range(0, 1)",
        "column x_max, row 0: 90.0 fails x_max must be greater than x_min",
        "column x_max, row 2: 80.0 fails x_max must be greater than x_min",
        "column y_max, row 2: 100.0 fails y_max must be greater than y_min",
    ]


def test_missing_and_unknown_columns_are_named(tables):
    with pytest.raises(DataError, match="column_in_dataframe"):
        validate_images(tables[0].drop(columns="view"), place="images")
    with pytest.raises(DataError, match="age"):
        validate_images(tables[0].assign(age=50), place="images")


def test_damaged_tables_on_disk_are_named(tmp_path, tables):
    with pytest.raises(DataError, match=r"images\.csv: no such table; run the data_prep step"):
        read_tables(tmp_path)
    write_tables(tmp_path, *tables)
    text = (tmp_path / IMAGES_FILE).read_text()
    (tmp_path / IMAGES_FILE).write_text(text.replace("True", "maybe", 1))
    with pytest.raises(DataError, match=r"images\.csv: column healthy, row 1: must be True or False, got 'maybe'"):
        read_tables(tmp_path)
    (tmp_path / IMAGES_FILE).write_text(text[: text.rindex(",True")])
    with pytest.raises(DataError, match=r"images\.csv: column healthy, row 2: must be True or False, got 'nan'"):
        read_tables(tmp_path)
    (tmp_path / IMAGES_FILE).write_text(text)
    for content in (b"", b"\xff\xfe\x00", b'a,b\n"'):
        (tmp_path / ANNOTATIONS_FILE).write_bytes(content)
        with pytest.raises(DataError, match=r"annotations\.csv"):
            read_tables(tmp_path)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_older_table(tmp_path, tables, monkeypatch, problem):
    write_tables(tmp_path, *tables)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def half(table, path, **options):
        path.write_text("image_id,pat")
        raise problem

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(DataError if isinstance(problem, OSError) else KeyboardInterrupt):
        write_tables(tmp_path, *tables)
    with pytest.raises(DataError if isinstance(problem, OSError) else KeyboardInterrupt):
        write_split(tmp_path, tables[0].assign(split="train"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
