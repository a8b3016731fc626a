"""Files beside a data set: unknown classes and weights of boxes."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_chest_detection.data.side_files import (
    REASONS,
    UNKNOWN_COLUMNS,
    UNKNOWN_FILE,
    WEIGHT_COLUMNS,
    WEIGHTS_FILE,
    read_label_weights,
    read_unknown,
    write_label_weights,
    write_unknown,
)
from xray_chest_detection.errors import DataError

CLASSES = ("Effusion", "Mass/Nodule", "NA")


def test_without_files_everything_is_known_and_weighs_1(tmp_path):
    assert read_unknown(tmp_path, CLASSES) == {}
    assert read_label_weights(tmp_path) == {}


def test_unknown_classes_come_back_by_file_and_reason(tmp_path):
    rows = [("b.png", "NA", "not_labelled"), ("a.png", "NA", "not_located"), ("a.png", "Effusion", "not_labelled")]
    write_unknown(tmp_path, pd.DataFrame(rows, columns=UNKNOWN_COLUMNS))
    assert read_unknown(tmp_path, CLASSES) == {"a.png": [0, 2], "b.png": [2]}
    assert read_unknown(tmp_path, CLASSES, reasons=("not_labelled",)) == {"a.png": [0], "b.png": [2]}
    assert (tmp_path / UNKNOWN_FILE).read_text().splitlines()[1] == "a.png,Effusion,not_labelled"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1),
        st.dictionaries(st.integers(1, 99), st.floats(0, 1, exclude_min=True), min_size=1),
    )
)
def test_weights_come_back(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("set")
    rows = [(file, line, weight) for file, lines in weights.items() for line, weight in lines.items()]
    write_label_weights(folder, pd.DataFrame(rows, columns=WEIGHT_COLUMNS))
    assert read_label_weights(folder) == weights


def test_an_empty_table_makes_no_file(tmp_path):
    write_unknown(tmp_path, pd.DataFrame(columns=UNKNOWN_COLUMNS))
    write_label_weights(tmp_path, pd.DataFrame(columns=WEIGHT_COLUMNS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read .*; build the data set again with data_prep.build_yolo"),
        ("file,class\n", "expected the columns file,class_name,reason, got file,class;"),
        ("file,class_name,reason\na,Effusion,not_labelled\na,Heart,not_located\n", "line 3: 'Heart', expected class_n"),
        ("file,class_name,reason\na,Effusion,unsure\n", f"line 2: 'unsure', expected reason: {', '.join(REASONS)}"),
    ],
)
def test_a_damaged_list_of_unknown_classes_is_named(tmp_path, content, message):
    (tmp_path / UNKNOWN_FILE).write_text(content)
    with pytest.raises(DataError, match=rf"unknown\.csv: {message}"):
        read_unknown(tmp_path, CLASSES)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,0,0.5", "line 2: '0', expected line: 1, 2"),
        ("a,1.5,0.5", "line 2: '1.5', expected line: 1, 2"),
        ("a,x,0.5", "line 2: 'x', expected line: 1, 2"),
        ("a,1,0", "line 2: '0', expected weight: more than 0, at most 1"),
        ("a,1,1.1", "line 2: '1.1', expected weight"),
        ("a,1,nan", "line 2: 'nan', expected weight"),
        ("a,1,", "line 2: '', expected weight"),
    ],
)
def test_damaged_weights_are_named(tmp_path, line, message):
    (tmp_path / WEIGHTS_FILE).write_text(f"file,line,weight\n{line}\n")
    with pytest.raises(DataError, match=rf"label_weights\.csv: {message}"):
        read_label_weights(tmp_path)
