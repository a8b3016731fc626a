"""Two sources in one vocabulary, one set of boxes an image."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.config.unite import UniteConfig
from xray_chest_detection.data.readings import EDGES
from xray_chest_detection.data.tables import read_tables, write_tables
from xray_chest_detection.data.unite import SourceTables, unite
from xray_chest_detection.errors import DataError

NEAR, FAR = (100.0, 100.0, 300.0, 300.0), (600.0, 600.0, 800.0, 900.0)
QUORUM = ConsensusConfig(rule="quorum", quorum=2)


@pytest.fixture
def scheme(project_root):
    def read(name):
        return read_scheme(project_root / "configs" / "schemes" / f"{name}.yaml")

    return read


def vinbigdata(films, readers="R8|R9|R10"):
    """A source of several readers from `{image: [(reader, class, box), ...]}`."""
    images = pd.DataFrame({"image_id": list(films)}).assign(
        patient_id=list(films), source="vinbigdata", path="/raw/x.dicom", width=2000.0, height=2400.0, view=None,
        labels=["|".join(sorted({name for _, name, _ in found})) or "No finding" for found in films.values()],
        healthy=[not found for found in films.values()], readers=readers, known=None,
    )  # fmt: skip
    rows = [(image, name, *box, reader) for image, found in films.items() for reader, name, box in found]
    boxes = pd.DataFrame(rows, columns=["image_id", "class_name", *EDGES, "reader"])
    return SourceTables(Path("vin"), images, boxes.assign(**dict.fromkeys(DERIVED, np.nan)))


DERIVED = ("n_readers", "votes", "agreement", "probability", "spread_px")


@pytest.fixture
def nih(make_tables, tmp_path):
    """A source of one reader, as its data_prep step leaves it on disk."""

    def make(patients, **columns):
        write_tables(tmp_path / "nih", *make_tables(patients, **columns))
        return SourceTables(Path("nih"), *read_tables(tmp_path / "nih"))

    return make


def test_both_vocabularies_meet_and_readers_agree(nih, scheme, tmp_path):
    mass = vinbigdata(
        {
            "a": [("R8", "Nodule/Mass", NEAR), ("R9", "Nodule/Mass", NEAR), ("R10", "ILD", FAR)],
            "b": [("R8", "Pleural effusion", NEAR)],
            "c": [],
        }
    )
    united = unite([nih({"1": ["Mass"], "2": [None]}), mass], scheme("united7"), UniteConfig(consensus=QUORUM))
    write_tables(tmp_path, united.images, united.annotations)
    images, boxes = read_tables(tmp_path)
    assert images["image_id"].tolist() == ["1_000", "2_000", "a", "b", "c"]
    assert boxes[["image_id", "class_name"]].to_numpy().tolist() == [["1_000", "Mass/Nodule"], ["a", "Mass/Nodule"]]
    assert boxes["agreement"].tolist() == [pytest.approx(np.nan, nan_ok=True), pytest.approx(2 / 3)]
    assert boxes["reader"].fillna("").tolist() == ["", "R8|R9"]
    assert images["labels"].fillna("").tolist() == ["Mass/Nodule", "", "Mass/Nodule", "", ""]
    assert images["healthy"].tolist() == [False, True, False, False, True]
    seven = scheme("united7").classes
    assert [tuple(text.split("|")) for text in images["known"]] == [seven] * 2 + [seven[:5] + seven[6:]] * 3


def test_the_tables_do_not_depend_on_the_order_of_the_sources(nih, scheme, tmp_path):
    films = {"0": [("R8", "Nodule/Mass", FAR), ("R8", "Cardiomegaly", FAR), ("R9", "Nodule/Mass", NEAR)], "z": []}
    sources = [nih({"1": ["Mass", None], "2": ["Effusion"]}), vinbigdata(films)]
    united_in_order = [unite(given, scheme("united7"), UniteConfig()) for given in (sources, sources[::-1])]
    for number, united in enumerate(united_in_order):
        write_tables(tmp_path / str(number), united.images, united.annotations)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "01")
    assert first == second
    boxes = united_in_order[0].annotations
    assert boxes["image_id"].tolist() == sorted(boxes["image_id"])
    assert boxes["image_id"].nunique() == 3


def test_every_box_is_counted_by_what_became_of_it(scheme):
    films = {"a": [("R8", "Nodule/Mass", NEAR), ("R9", "Nodule/Mass", NEAR), ("R9", "Nodule/Mass", FAR)],
             "b": [("R8", "ILD", NEAR), ("R9", "ILD", NEAR), ("R8", "Calcification", FAR)]}  # fmt: skip
    united = unite([vinbigdata(films)], scheme("united7"), UniteConfig(consensus=QUORUM))
    counts = {row["class"]: (row["drawn"], row["boxes"], row["dropped"]) for row in united.box_counts}
    assert counts.pop("Mass/Nodule") == (3, 1, 1)
    assert counts.pop("ILD (left out)") == (2, 0, 0)
    assert counts.pop("Calcification (left out)") == (1, 0, 0)
    assert "Pneumonia" not in counts
    assert set(counts.values()) == {(0, 0, 0)}
    assert united.image_counts == [{"source": "vinbigdata", "images": 2, "with_box": 1, "healthy": 0, "left_out": 0}]


def test_classes_that_the_scheme_merges_are_one_before_the_readers_are_compared(scheme):
    films = {"a": [("R8", "Consolidation", NEAR), ("R9", "Lung Opacity", NEAR)]}
    apart = unite([vinbigdata(films)], scheme("vinbigdata14"), UniteConfig(consensus=QUORUM))
    merged = unite([vinbigdata(films)], scheme("vinbigdata12"), UniteConfig(consensus=QUORUM))
    assert len(apart.annotations) == 0
    assert merged.annotations[["class_name", "votes"]].to_numpy().tolist() == [["Opacity", 2]]
    assert set(merged.images["known"].iloc[0].split("|")) == set(scheme("vinbigdata12").classes)


def test_a_source_of_one_reader_keeps_its_boxes_and_labels_without_one(nih, scheme):
    source = nih({"1": ["Effusion"]}, labels="Effusion|Infiltration|Hernia")
    united = unite([source], scheme("united7"), UniteConfig())
    assert united.images["labels"].tolist() == ["Effusion|Infiltrate"]
    pd.testing.assert_frame_equal(united.annotations[EDGES], source.annotations[EDGES])
    assert united.annotations["votes"].isna().all()


def test_background_is_cut_to_finding_free_images_first(scheme):
    films = {"box": [("R8", "Pneumothorax", NEAR)], "other": [("R8", "ILD", NEAR)]} | {f"free{n}": [] for n in range(5)}
    for background, others in ((None, 6), (9, 6), (6, 6), (5, 5), (3, 3), (0, 0)):
        united = unite([vinbigdata(films)], scheme("united7"), UniteConfig(background=background))
        assert "box" in set(united.images["image_id"])
        assert len(united.images) == 1 + others
        assert ("other" in set(united.images["image_id"])) == (others == 6)
        assert united.image_counts[0]["left_out"] == 6 - others
    first, second = (
        unite([vinbigdata(films)], scheme("united7"), UniteConfig(background=2, seed=seed)).images for seed in (0, 1)
    )
    assert first["image_id"].tolist() != second["image_id"].tolist()


def test_what_cannot_be_joined_is_one_line(nih, scheme):
    one, config = vinbigdata({"a": [("R8", "Pneumothorax", NEAR)]}), UniteConfig()
    stranger = vinbigdata({"a": [("R8", "ILD", NEAR), ("R17", "Pneumothorax", NEAR)]})
    united = SourceTables(Path("u"), one.images.assign(known="Effusion"), one.annotations)
    both = SourceTables(Path("two"), pd.concat([one.images, nih({"1": [None]}).images]), one.annotations)
    nameless = SourceTables(Path("n"), one.images.assign(readers=None), one.annotations)
    hernia = SourceTables(Path("h"), one.images, one.annotations.assign(class_name="Hernia"))
    for sources, name, message in (
        ([one, one], "united7", r"vin: image 'a' also stands in vin \(1 such images\); give every source once"),
        ([united], "united7", "u: these tables are united already"),
        ([both], "united7", "two: expected images of one source, got nih, vinbigdata"),
        ([SourceTables(Path("e"), one.images[:0], one.annotations)], "united7", "e: expected .* one source, got none"),
        ([hernia], "united7", r"unknown label 'Hernia' of vinbigdata \(known: Aortic"),
        (
            [stranger],
            "united7",
            "vin: row 1: a box by 'R17' on image 'a', which has no such reader .*; run the data_prep step",
        ),
        (
            [nameless],
            "united7",
            r"n: row 0: a box by 'R8' on image 'a', which names no readers \(1 such rows\); run the",
        ),
        ([vinbigdata({"a": []})], "nih8", "vin: scheme nih8 has no class for labels of 'vinbigdata'"),
    ):
        with pytest.raises(DataError, match=message):
            unite(sources, scheme(name), config)


def test_a_source_is_never_replaced(tmp_path):
    with pytest.raises(
        ValidationError, match=r"out is a source, whose tables would be replaced: .*; give another folder"
    ):
        UniteConfig(sources=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "c" / ".." / "b")
