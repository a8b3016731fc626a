"""Boxes of a source as columns: from the full public tables, from tables of this project, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from xray_chest_detection.data.box_sources import read_raw_sources, read_sources, read_table_sources
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.errors import DataError

BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,0,0,512,256,,,\na.png,Nodule,512,512,10,20,,,\n"
ENTRY_HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
ENTRIES = f"{ENTRY_HEADER}a.png,Mass|Nodule,0,1,50,M,PA\nb.png,No Finding,0,2,50,F,AP\nc.png,Mass,1,2,50,F,AP\n"
READINGS = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a,Cardiomegaly,3,R1,10,20,110,70
a,Cardiomegaly,3,R2,12,20,112,70
a,Atelectasis,1,R2,0,0,50,50
a,No finding,14,R3,,,,
b,No finding,14,R1,,,,
b,No finding,14,R2,,,,
b,No finding,14,R3,,,,
"""
NO_BOX = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\nb,No finding,14,R1,,,,\n"
SIZES = "image_id,dim0,dim1\na,100,200\nb,300,300\n"


@pytest.fixture
def raw(tmp_path):
    """Writes raw tables under misleading names; returns the sources."""

    def read(*texts):
        paths = [tmp_path / f"table_{number}.csv" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return read_raw_sources(paths)

    return read


def test_the_full_public_tables(full_tables):
    names = ("vinbigdata-train.csv.gz", "BBox_List_2017.csv.gz", "Data_Entry_2017_v2020.csv.gz")
    nih, vinbigdata = read_raw_sources([full_tables / name for name in names])
    assert nih.title == "NIH ChestX-ray14"
    assert nih.counted == "984 boxes on 880 of 112,120 images"
    assert nih.classes[0] == "Atelectasis"
    assert nih.labels["Hernia"] == 227
    assert nih.per_reading is None
    assert vinbigdata.title == "VinBigData, boxes of all readers"
    assert vinbigdata.counted == "36,096 boxes on 4,394 of 15,000 images"
    assert (vinbigdata.classes[0], vinbigdata.classes[-1]) == ("Aortic enlargement", "Pneumothorax")
    assert vinbigdata.size_px is None
    # Of an image either all three readers drew something or none did.
    assert np.bincount(vinbigdata.who_drew).tolist() == [10_606, 0, 0, 4_394]
    assert (len(vinbigdata.per_reading), int(vinbigdata.per_reading.sum())) == (45_000, 36_096)


def test_the_box_list_alone_knows_sizes_but_not_how_many_images_there_are(raw):
    (source,) = raw(BOXES)
    assert source.counted == "2 boxes on 1 images"
    assert source.labels == {}
    np.testing.assert_array_equal(source.xyxy, [[0, 0, 512, 256], [512, 512, 522, 532]])
    np.testing.assert_array_equal(source.size_px, np.full((2, 2), 1024))


def test_the_label_table_adds_images_and_labels(raw):
    (source,) = raw(ENTRIES, BOXES)
    assert source.counted == "2 boxes on 1 of 3 images"
    assert source.labels == {"Mass": 2, "Nodule": 1, "No Finding": 1}


def test_silent_readers_are_readings_without_a_box(raw):
    (source,) = raw(READINGS)
    assert source.classes == ("Cardiomegaly", "Atelectasis")
    assert source.class_id.tolist() == [0, 0, 1]
    assert sorted(source.per_reading.tolist()) == [0, 0, 0, 0, 1, 2]
    assert source.who_drew.tolist() == [2, 0]
    assert source.size_px is None


def test_sizes_are_width_and_height(raw):
    (source,) = raw(SIZES, READINGS)
    np.testing.assert_array_equal(source.size_px, [[200, 100]] * 3)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((ENTRIES,), r"table_0\.csv: has no boxes; give BBox_List_2017\.csv as well$"),
        ((SIZES,), r"table_0\.csv: has no boxes; give train\.csv as well$"),
        ((NO_BOX,), r"table_0\.csv: no row has a box, so there is nothing to draw; give the table of the full set$"),
        ((BOXES, NO_BOX), r"table_1\.csv: no row has a box"),
        ((BOXES, BOXES), r"table_1\.csv: .*table_0\.csv is a table of the same kind; give one of the two$"),
        (("a,b\n1,2\n",), r"table_0\.csv: not a known table \(columns a, b\); give BBox_List_2017\.csv, Data_Entry"),
        ((READINGS, "image_id,dim0,dim1\nb,3,3\n"), r"table_1\.csv: image 'a' has no line; use the table of the full"),
        ((READINGS.replace("R1,10", "R1,x"),), r"table_0\.csv: line 2: .*x_min .. y_max must be numbers"),
    ],
)
def test_tables_that_cannot_be_drawn_are_one_line(raw, texts, message):
    with pytest.raises(DataError, match=message):
        raw(*texts)


def images_of(*rows):
    columns = ["image_id", "patient_id", "source", "path", "width", "height", "labels", "healthy", "readers"]
    return pd.DataFrame(rows, columns=columns).assign(view=None)


def boxes_of(*rows):
    return pd.DataFrame(rows, columns=["image_id", "class_name", "x_min", "y_min", "x_max", "y_max", "reader"])


def test_each_source_of_a_folder_by_itself(tmp_path):
    images = images_of(
        ("a", "1", "vinbigdata", "a.png", 200, 100, "Mass", False, "R1|R2"),
        ("b", "2", "nih", "b.png", 1024, 1024, "Mass|Hernia", False, None),
        ("c", "3", "vinbigdata", "c.png", 200, 100, "No finding", True, "R1|R2"),
    )
    boxes = boxes_of(
        ("a", "Mass", 0, 0, 50, 50, "R2"), ("a", "Mass", 1, 1, 50, 50, "R2"), ("b", "Mass", 1, 2, 3, 4, None)
    )
    write_tables(tmp_path, images, boxes)
    nih, vinbigdata = read_table_sources([tmp_path])
    assert (nih.counted, nih.labels) == ("1 boxes on 1 of 1 images", {"Mass": 1, "Hernia": 1})
    assert (vinbigdata.counted, vinbigdata.labels) == ("2 boxes on 1 of 2 images", {})
    assert sorted(vinbigdata.per_reading.tolist()) == [0, 0, 0, 2]
    np.testing.assert_array_equal(vinbigdata.size_px, [[200, 100], [200, 100]])


def test_one_source_twice_is_an_error(tmp_path):
    images = images_of(("a", "1", "nih", "a.png", 200, 100, "Mass", False, None))
    write_tables(tmp_path, images, boxes_of(("a", "Mass", 0, 0, 50, 50, None)))
    (tmp_path / "list.csv").write_text(BOXES)
    assert len(read_sources([tmp_path], [])) == 1
    with pytest.raises(DataError, match=r"^source 'nih' is in two of the tables; give each source once$"):
        read_sources([tmp_path], [tmp_path / "list.csv"])


def test_boxes_that_readers_agreed_on_are_no_readings(tmp_path):
    images = images_of(("a", "1", "vinbigdata", "a.png", 200, 100, "Mass", False, "R1|R2"))
    write_tables(tmp_path, images, boxes_of(("a", "Mass", 0, 0, 50, 50, "R1|R2")))
    (source,) = read_table_sources([tmp_path])
    assert source.per_reading is None
    assert source.title == "VinBigData"


def test_tables_without_a_box_are_an_error(tmp_path):
    images = images_of(("a", "1", "nih", "a.png", 200, 100, "No Finding", True, None))
    write_tables(tmp_path, images, boxes_of())
    with pytest.raises(DataError, match=r"no box in the annotation table; there is nothing to draw$"):
        read_table_sources([tmp_path])
