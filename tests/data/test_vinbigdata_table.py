import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.data.vinbigdata_table import (
    FINDINGS,
    image_opinions,
    read_readings_csv,
    read_train_csv,
    unusual_readers,
)
from xray_chest_detection.errors import DataError

HEADER = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
EDGES = ["x_min", "y_min", "x_max", "y_max"]
BOX = "aa,Cardiomegaly,3,R10,10,20.5,30,40"
NOTHING = "aa,No finding,14,R2,,,,"
SILENT = "bb,No finding,14,R2,,,,"


@pytest.fixture
def write(tmp_path):
    def write_lines(*lines, header=HEADER, prefix="", end="\n"):
        path = tmp_path / "train.csv"
        path.write_text(prefix + "\n".join([header, *lines]) + end, encoding="utf-8")
        return path

    return write_lines


@pytest.fixture(scope="module")
def full_table():
    """The original table, as the package torchxrayvision carries it; it is found, not imported."""
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package torchxrayvision, which carries the full table, is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "vinbigdata-train.csv.gz"


def test_the_full_table(full_table):
    table = read_train_csv(full_table)
    assert table.counts == {
        "rows_read": 67_914,
        "repeated_rows_left_out": 0,
        "images": 15_000,
        "readings": 45_000,
        "boxes": 36_096,
        "readers": 17,
        "images_not_read_by_3": 0,
    }
    assert table.boxes["image_id"].nunique() == 4_394
    assert table.boxes["class_name"].value_counts().to_dict() == {
        "Aortic enlargement": 7162,
        "Cardiomegaly": 5427,
        "Pleural thickening": 4842,
        "Pulmonary fibrosis": 4655,
        "Nodule/Mass": 2580,
        "Lung Opacity": 2483,
        "Pleural effusion": 2476,
        "Other lesion": 2203,
        "Infiltration": 1247,
        "ILD": 1000,
        "Calcification": 960,
        "Consolidation": 556,
        "Atelectasis": 279,
        "Pneumothorax": 226,
    }
    assert (~image_opinions(table)["healthy"]).sum() == 4_394


def test_the_full_table_as_readings(full_table):
    everything = read_readings_csv(full_table)
    assert everything.classes == FINDINGS
    assert everything.readers == tuple(f"R{number}" for number in range(1, 18))
    assert len(everything) == 36_096
    assert set(everything.n_readers) == {3}
    shared = ["Atelectasis", "Cardiomegaly", "Infiltration", "Nodule/Mass", "Pleural effusion", "Pneumothorax"]
    six = read_readings_csv(full_table, shared)
    assert (len(six.images), len(six), len(np.unique(six.image))) == (15_000, 12_235, 3_672)


def test_boxes_and_readings_keep_the_lines_of_the_file(write):
    table = read_train_csv(write(SILENT, BOX, "", NOTHING))
    assert table.boxes.reset_index().to_numpy().tolist() == [[3, "aa", "Cardiomegaly", 10, 20.5, 30, 40, "R10"]]
    assert table.readings.reset_index().to_numpy().tolist() == [[5, "aa", "R2"], [3, "aa", "R10"], [2, "bb", "R2"]]


def test_what_an_image_is_labelled_with(write):
    ild = BOX.replace("Cardiomegaly,3", "ILD,5")
    table = read_train_csv(write(SILENT, ild, NOTHING, BOX.replace("R10", "R9"), BOX))
    assert image_opinions(table).to_dict("records") == [
        {"image_id": "aa", "readers": "R2|R9|R10", "labels": "Cardiomegaly|ILD", "healthy": False},
        {"image_id": "bb", "readers": "R2", "labels": "No finding", "healthy": True},
    ]


def test_readings_straight_from_the_table(write):
    readings = read_readings_csv(write(SILENT, BOX, NOTHING), ["ILD", "Cardiomegaly"])
    assert (readings.images, readings.readers) == (("aa", "bb"), ("R2", "R10"))
    assert readings.read.tolist() == [[True, True], [True, False]]
    assert (readings.class_id.tolist(), readings.reader.tolist()) == ([1], [1])
    assert readings.xyxy.tolist() == [[10, 20.5, 30, 40]]
    with pytest.raises(DataError, match=r"train\.csv: VinBigData has no class 'Mass' \(known: Aortic enlargement, "):
        read_readings_csv(write(BOX), ["Mass"])


def test_a_table_of_silent_readers_has_no_box(write):
    table = read_train_csv(write(SILENT))
    assert (len(table.boxes), len(table.readings)) == (0, 1)
    assert image_opinions(table)["labels"].tolist() == ["No finding"]
    assert len(read_readings_csv(write(SILENT))) == 0


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize(
    "line",
    [
        "aa,Cardiomegaly,3,R10,10,20.5,30,40",
        " aa , cardiomegaly , 3.0 , R10 , 10.0 , 2.05e1 , 30 , 40 ",
        "aa,Cardiomegaly,3,R10,10,20.5,30,40,,,",
    ],
)
def test_spaces_marks_and_spellings_change_nothing(write, prefix, line):
    table = read_train_csv(write(line, prefix=prefix))
    assert table.boxes.to_numpy().tolist() == [["aa", "Cardiomegaly", 10, 20.5, 30, 40, "R10"]]


def test_columns_are_found_by_name(write):
    header = "rad_id,x_min,y_min,x_max,y_max,class_id,class_name,image_id,width"
    table = read_train_csv(write("R10,10,20.5,30,40,3,Cardiomegaly,aa,3000", header=header))
    assert table.boxes.to_numpy().tolist() == [["aa", "Cardiomegaly", 10, 20.5, 30, 40, "R10"]]
    with pytest.raises(DataError, match=r"train\.csv: no column 'rad id' \(found: image id, class name, class id, x "):
        read_train_csv(write("aa,ILD,5,1,2,3,4", header=HEADER.replace("rad_id,", "")))


def test_repeated_rows_are_left_out_and_counted(write):
    same = BOX.replace("10,20.5,30,40", "10.0,20.50,30,40")
    table = read_train_csv(
        write(BOX, SILENT, same, SILENT, SILENT.replace(",,,,", ",0,0,1,1"), BOX.replace("30", "31"))
    )
    assert table.counts["repeated_rows_left_out"] == 3
    assert table.boxes["x_max"].tolist() == [30, 31]
    assert table.boxes.index.tolist() == [2, 7]


_BOX = st.tuples(
    st.sampled_from(FINDINGS), st.integers(0, 90), st.integers(0, 90), st.integers(91, 99), st.integers(91, 99)
)
_OPINIONS = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["R1", "R2", "R10"])), st.sets(_BOX, max_size=3), min_size=1
)


@settings(max_examples=25, deadline=None)
@given(_OPINIONS, st.randoms(use_true_random=False))
def test_any_table_gives_back_what_was_written_whatever_the_order_of_its_lines(tmp_path_factory, opinions, random):
    lines = [
        f"{image},{name},{FINDINGS.index(name)},{reader},{','.join(map(str, box))}"
        for (image, reader), drawn in opinions.items()
        for name, *box in drawn
    ]
    lines += [f"{image},No finding,14,{reader},,,," for (image, reader), drawn in opinions.items() if not drawn]
    random.shuffle(lines)
    path = tmp_path_factory.mktemp("table") / "train.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    table = read_train_csv(path)
    assert set(table.readings.itertuples(index=False, name=None)) == set(opinions)
    found = table.boxes[["image_id", "reader", "class_name", *EDGES]].itertuples(index=False, name=None)
    assert sorted(found) == sorted((*reading, *box) for reading, drawn in opinions.items() for box in drawn)
    readings = read_readings_csv(path)
    assert readings.read.sum() == len(opinions)
    assert len(readings) == sum(map(len, opinions.values()))


def test_images_with_one_or_seven_readers_are_taken_and_listed(write):
    seven = [f"cc,No finding,14,R{number},,,," for number in range(1, 8)]
    three = [BOX.replace("R10", f"R{number}") for number in (1, 2, 3)]
    table = read_train_csv(write(*seven, *three, SILENT))
    assert table.counts["images_not_read_by_3"] == 2
    assert unusual_readers(table) == [
        {"line": 2, "image_id": "cc", "readers": 7},
        {"line": 12, "image_id": "bb", "readers": 1},
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (BOX.replace("R10", ""), "image_id or rad_id is missing; is the file truncated"),
        (BOX.replace("aa", ""), "image_id or rad_id is missing"),
        ("aa,Cardiomegaly,3", "'aa,Cardiomegaly,3,,,,,': image_id or rad_id is missing"),
        (BOX.replace("R10", "R1|R2"), "a reader's name must be without '|'"),
        (BOX.replace("Cardiomegaly", "Cardiomegalia"), "unknown class (known: Aortic enlargement, "),
        (BOX.replace(",3,", ",8,"), "class_id is not the one of this class"),
        (BOX.replace(",3,", ",,"), "class_id is not the one of this class"),
        (NOTHING.replace(",14,", ",13,"), "class_id is not the one of this class"),
        (BOX[: BOX.index("10,20")] + ",,,", "a finding without a box"),
        (BOX.replace(",40", ""), "x_min .. y_max must be numbers; is the file truncated?"),
        (BOX.replace(",40", ",inf"), "x_min .. y_max must be numbers"),
        (BOX.replace(",30,", ",5,"), "x_max must be greater than x_min, and y_max greater than y_min"),
        (BOX.replace(",40", ",20.5"), "x_max must be greater than x_min, and y_max greater than y_min"),
        (NOTHING.replace(",,,,", ",1,2,3,4"), "'No finding' with a box; it must be empty or 0,0,1,1"),
        (NOTHING.replace(",,,,", ",0,0,,"), "'No finding' with a box"),
        ("cc,No finding,14,R1,,,,\ncc,Cardiomegaly,3,R1,1,2,3,4", "line 4: 'cc,Card.*by one reader on one image"),
        ("cc,Cardiomegaly,3,R1,1,2,3,4\ncc,No finding,14,R1,,,,", "line 4: 'cc,No.*by one reader on one image"),
        (BOX.replace("R10", "") + "\n" + BOX.replace("R10", ""), r"line 3: .*\(2 such lines\)$"),
        ("\n\n" + BOX.replace("R10", ""), "line 5: "),
    ],
)
def test_a_wrong_line_is_named(write, line, message):
    pattern = message if "line" in message else r"line 3: .*" + message.replace("(", r"\(").replace("|", r"\|")
    with pytest.raises(DataError, match=r"train\.csv: " + pattern) as error:
        read_train_csv(write(SILENT, line))
    assert "\n" not in str(error.value)


def test_a_table_cut_off_is_refused(write, tmp_path):
    with pytest.raises(DataError, match=r"train\.csv: the last line, 3, has no line end.*download it again"):
        read_train_csv(write(SILENT, BOX[:-1], end=""))
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{BOX}\n".encode() * 50)[:-20])
    with pytest.raises(DataError, match=r"train\.csv\.gz: cannot be read \(.*\); download it again"):
        read_train_csv(path)
    with pytest.raises(DataError, match=r"none\.csv: no such file; see datasets/README\.md"):
        read_train_csv(tmp_path / "none.csv")
