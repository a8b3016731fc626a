"""Readings from tables and from VinBigData's own table, with and without a class scheme."""

from collections import Counter

import pandas as pd
import pytest

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.reading_source import read_source
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.errors import DataError

CSV = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
b,Consolidation,4,R1,10,10,30,30
b,Infiltration,6,R2,10,10,30,30
b,Cardiomegaly,3,R2,5,50,90,90
b,No finding,14,R3,,,,
a,No finding,14,R1,,,,
a,No finding,14,R2,,,,
"""
SCHEME = ClassScheme(
    name="opacity",
    classes=("Pneumonia", "Opacity"),
    sources={
        "vinbigdata": {"Consolidation": "Opacity", "Infiltration": "Opacity", "Cardiomegaly": None},
        "nih": {"Pneumonia": "Pneumonia"},
    },
)


def write_readings(folder, rows, *, readers="R1|R2|R3", sources=("vinbigdata", "vinbigdata")):
    images = pd.DataFrame(
        {
            "image_id": ["b", "a"],
            "patient_id": ["P2", "P1"],
            "source": sources,
            "path": ["/films/b.png", "/films/a.png"],
            "width": 100.0,
            "height": 200.0,
            "view": None,
            "labels": None,
            "healthy": False,
            "readers": readers,
        }
    )
    boxes = pd.DataFrame(
        [(image, name, 10.0, 10.0, 30.0, 30.0, reader) for image, name, reader in rows],
        columns=["image_id", "class_name", "x_min", "y_min", "x_max", "y_max", "reader"],
    )
    write_tables(folder, images, boxes)
    return folder


def drawn(readings):
    columns = zip(readings.image, readings.class_id, readings.reader, strict=True)
    return Counter((readings.images[i], readings.classes[c], readings.readers[r]) for i, c, r in columns)


def test_the_table_of_vinbigdata_has_no_films(tmp_path):
    (tmp_path / "train.csv").write_text(CSV)
    source = read_source(tmp_path / "train.csv")
    assert source.readings.images == source.patients == ("a", "b")
    assert source.films == {}
    assert source.files == (tmp_path / "train.csv",)
    assert len(source.readings.classes) == 14
    assert drawn(source.readings)["b", "Consolidation", "R1"] == 1


def test_a_folder_of_tables_brings_patients_and_films(tmp_path):
    folder = write_readings(tmp_path / "t", [("b", "Mass", "R1"), ("a", "Mass", "R3"), ("b", "ILD", "R2")])
    source = read_source(folder)
    assert source.readings.images == ("a", "b")
    assert source.readings.classes == ("ILD", "Mass")
    assert source.patients == ("P1", "P2")
    film = source.films["b"]
    assert (str(film.path), film.width, film.height) == ("/films/b.png", 100.0, 200.0)
    assert [path.name for path in source.files] == ["images.csv", "annotations.csv"]


@pytest.mark.parametrize("kind", ["csv", "tables"])
def test_a_scheme_merges_and_leaves_out_classes(tmp_path, kind):
    if kind == "csv":
        path = tmp_path / "train.csv"
        path.write_text(CSV)
        scheme = SCHEME.model_copy(update={"sources": {**SCHEME.sources, "vinbigdata": _all_of_vinbigdata()}})
    else:
        path = write_readings(
            tmp_path / "t", [("b", "Infiltration", "R2"), ("b", "Cardiomegaly", "R2"), ("b", "Consolidation", "R1")]
        )
        scheme = SCHEME
    readings = read_source(path, scheme=scheme).readings
    assert readings.classes == ("Opacity",)  # VinBigData says nothing about Pneumonia
    assert drawn(readings) == {("b", "Opacity", "R1"): 1, ("b", "Opacity", "R2"): 1}
    assert readings.reader.tolist() == [0, 1]
    assert readings.read.sum() == (5 if kind == "csv" else 6)


def _all_of_vinbigdata():
    from xray_chest_detection.data.vinbigdata_table import FINDINGS

    return {name: "Opacity" if name in ("Consolidation", "Infiltration") else None for name in FINDINGS}


@pytest.mark.parametrize(
    ("make", "scheme", "message"),
    [
        (lambda folder: folder / "nothing", None, r"no such file or folder; give a folder of tables or VinBigData's "),
        (
            lambda folder: write_readings(folder / "t", [("b", "Mass", "R1|R2")]),
            None,
            r"t: row 0: a box by 'R1\|R2' on image 'b', which has no such reader .*data_prep\.vinbigdata wrote$",
        ),
        (
            lambda folder: write_readings(folder / "t", [("b", "Mass", None)]),
            None,
            r"t: row 0: a box by nobody on image 'b', which has no such reader .*data_prep\.vinbigdata wrote$",
        ),
        (
            lambda folder: write_readings(folder / "t", []),
            None,
            r"t: no reader drew a box; there is nothing to compare",
        ),
        (
            lambda folder: write_readings(folder / "t", [], readers=None),
            None,
            r"t: image 'a' has no readers \(2 such images\); nothing to compare; give the folder",
        ),
        (
            lambda folder: write_readings(folder / "t", [("b", "Mass", "R1")]),
            SCHEME,
            r"t: scheme opacity: unknown label 'Mass' of vinbigdata",
        ),
        (
            lambda folder: write_readings(folder / "t", [("b", "Consolidation", "R1")], sources=("vinbigdata", "nih")),
            SCHEME,
            r"t: a scheme can be applied to the tables of one source, these are of nih, vinbigdata",
        ),
    ],
    ids=[
        "missing",
        "consensus rows",
        "box without reader",
        "nobody drew",
        "no readers",
        "unknown label",
        "two sources",
    ],
)
def test_unfit_sources_are_one_line(tmp_path, make, scheme, message):
    with pytest.raises(DataError, match=message) as raised:
        read_source(make(tmp_path), scheme=scheme)
    assert "\n" not in str(raised.value)
