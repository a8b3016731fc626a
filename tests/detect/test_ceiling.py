"""The human ceiling beside a model: from a report, and from the tables a data set was built of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.core.manifest import Manifest, write_manifest
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.data.agreement_results import ALL_CLASSES
from xray_chest_detection.data.human_ceiling import MEAN, human_ceiling
from xray_chest_detection.data.reader_simulation import CAREFUL, CLASSES, SLOPPY, Scenario, simulate
from xray_chest_detection.data.readings import SEPARATOR, Readings
from xray_chest_detection.data.tables import write_tables
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.ceiling import Ceiling, ceiling_of_data, read_ceiling
from xray_chest_detection.errors import DataError

N_FILMS = 40
READINGS, TRUTH = simulate(Scenario((CAREFUL, CAREFUL, SLOPPY)), n_images=N_FILMS, seed=0)
RULE = ConsensusConfig(rule="quorum", quorum=2)


def split_of(images: tuple[str, ...], classes: tuple[str, ...]) -> LabelledSplit:
    count = len(images)
    empty = BoxTable(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)), count)
    unknown = np.zeros((count, len(classes)), np.bool_)
    return LabelledSplit("test", classes, images, images, (), ((100, 100),) * count, empty, unknown)


def write_report(folder: Path, readings: Readings = READINGS) -> Path:
    rows = human_ceiling(readings, RULE, resamples=20).to_rows()
    folder.mkdir(exist_ok=True)
    (folder / "agreement.json").write_text(json.dumps({"human_ceiling": rows}))
    return folder


def write_data(folder: Path, *, readers: bool = True, kind: str = "multi") -> Path:
    """Tables of readings, a scheme, and the manifest of a data set that names them."""
    side = 5000.0
    images = pd.DataFrame(
        {
            "image_id": READINGS.images,
            "patient_id": READINGS.images,
            "source": "vinbigdata",
            "path": [f"{name}.png" for name in READINGS.images],
            "width": side,
            "height": side,
            "view": None,
            "labels": None,
            "healthy": ~np.isin(np.arange(N_FILMS), READINGS.image),
        }
    )
    edges = dict(zip(("x_min", "y_min", "x_max", "y_max"), READINGS.xyxy.T, strict=True))
    boxes = {
        "image_id": np.array(READINGS.images)[READINGS.image],
        "class_name": np.array(READINGS.classes)[READINGS.class_id],
    }
    annotations = pd.DataFrame(boxes | edges)
    if readers:
        images["readers"] = SEPARATOR.join(READINGS.readers)
        annotations["reader"] = np.array(READINGS.readers)[READINGS.reader]
    tables, data = folder / "tables", folder / "data"
    data.mkdir(parents=True)
    scheme = folder / "scheme.yaml"
    same = {name: name for name in CLASSES}
    scheme.write_text(yaml.safe_dump({"name": "same", "classes": list(CLASSES), "sources": {"vinbigdata": same}}))
    write_tables(tables, images, annotations)
    write_manifest(tables, Manifest(step="data_prep.vinbigdata", config={}))
    config = {"tables": str(tables), "scheme": str(scheme), "kind": kind}
    write_manifest(data, Manifest(step="data_prep.build_yolo", config=config))
    return data


def mean_point(ceiling: Ceiling, class_name: str = ALL_CLASSES) -> tuple[float | None, float | None]:
    row = ceiling.of_class(class_name)
    assert row is not None
    return row.false_positives_per_image.value, row.sensitivity.value


def test_a_report_comes_back_as_it_was_measured(tmp_path: Path) -> None:
    ceiling = read_ceiling(write_report(tmp_path / "report"), CLASSES)
    assert ceiling.rows == human_ceiling(READINGS, RULE, resamples=20).rows
    assert not ceiling.same_images
    assert [row.reader for row in ceiling.readers] == ["R1", "R2", "R3"]
    assert set(ceiling.rates(CLASSES)) == {ALL_CLASSES, *CLASSES}


def test_all_classes_are_compared_only_where_they_are_the_same(tmp_path: Path) -> None:
    ceiling = read_ceiling(write_report(tmp_path / "report") / "agreement.json", (CLASSES[0], "Pneumonia"))
    assert {row.class_name for row in ceiling.rows} == {CLASSES[0]}
    assert ceiling.of_class() is None
    assert list(ceiling.rates((CLASSES[0], "Pneumonia"))) == [CLASSES[0]]


def test_a_report_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such file; make it with `xray agreement SOURCE --out"):
        read_ceiling(tmp_path / "nowhere", CLASSES)
    report = write_report(tmp_path / "report")
    with pytest.raises(DataError, match=r"is about other classes \(.*\) than the run \(Heart\); give `xray agreement`"):
        read_ceiling(report, ("Heart",))
    for text in ("{", "[]", "{}", '{"human_ceiling": [{"reader": "R1"}]}'):
        (report / "agreement.json").write_text(text)
        with pytest.raises(DataError, match=r"agreement.json: not a report of `xray agreement`, or damaged"):
            read_ceiling(report, CLASSES)


def test_readers_of_the_data_are_measured_on_the_films_of_the_split(tmp_path: Path) -> None:
    data, half = write_data(tmp_path), READINGS.images[::2]
    ceiling = ceiling_of_data(data, split_of(half, CLASSES), resamples=20)
    assert ceiling is not None
    assert ceiling.same_images
    assert ceiling.origin.endswith(f"on {len(half)} images of the split 'test'")
    kept = np.isin(READINGS.images, half)
    chosen = READINGS.select(kept[READINGS.image])
    number = np.cumsum(kept) - 1
    alone = Readings(
        half,
        CLASSES,
        READINGS.readers,
        number[chosen.image],
        chosen.class_id,
        chosen.reader,
        chosen.xyxy,
        READINGS.read[kept],
    )
    assert ceiling.rows == human_ceiling(alone, RULE, resamples=20).rows


def test_classes_of_a_view_are_those_of_its_readers(tmp_path: Path) -> None:
    binary = ceiling_of_data(
        write_data(tmp_path / "binary", kind="binary"), split_of(READINGS.images, ("Finding",)), resamples=0
    )
    one = ceiling_of_data(write_data(tmp_path / "one"), split_of(READINGS.images, CLASSES[:1]), resamples=0)
    every = ceiling_of_data(write_data(tmp_path / "all"), split_of(READINGS.images, CLASSES), resamples=0)
    assert binary is not None
    assert one is not None
    assert every is not None
    assert {row.class_name for row in binary.rows} == {ALL_CLASSES, "Finding"}
    assert mean_point(one, CLASSES[0]) == mean_point(one)
    assert one.rows[1].n_boxes == next(row for row in every.rows if row.class_name == CLASSES[0]).n_boxes
    drawn = sum(row.n_drawn for row in binary.rows if (row.reader, row.class_name) == (MEAN, ALL_CLASSES))
    assert drawn == len(READINGS)


def test_data_without_readers_have_no_ceiling(tmp_path: Path) -> None:
    split = split_of(READINGS.images, CLASSES)
    assert ceiling_of_data(write_data(tmp_path / "plain", readers=False), split, resamples=0) is None
    with_readers = write_data(tmp_path / "read")
    assert ceiling_of_data(with_readers, split_of(("elsewhere",), CLASSES), resamples=0) is None
    assert ceiling_of_data(with_readers, replace(split, classes=("Heart",)), resamples=0) is None
    (tmp_path / "read" / "tables" / "manifest.json").unlink()
    assert ceiling_of_data(with_readers, split, resamples=0) is None
    assert ceiling_of_data(tmp_path, split, resamples=0) is None
