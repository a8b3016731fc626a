"""Class names of boxes and images, in a source's spelling and in united tables."""

import pandas as pd
import pytest

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.class_names import box_classes, known_classes, labelled_classes
from xray_chest_detection.errors import DataError

SCHEME = ClassScheme(
    name="small",
    classes=("Effusion", "Mass/Nodule", "Pneumonia"),
    sources={
        "nih": {"Effusion": "Effusion", "Mass": "Mass/Nodule", "Pneumonia": "Pneumonia"},
        "vinbigdata": {"Pleural effusion": "Effusion", "Nodule/Mass": "Mass/Nodule", "ILD": None},
    },
)


def images(*rows):
    return pd.DataFrame(rows, columns=["image_id", "source", "labels", "known"])


MIXED = images(
    ("n", "nih", "Mass|Hernia", None),
    ("v", "vinbigdata", None, None),
    ("u", "nih", "Pneumonia|Effusion", "Pneumonia|Effusion"),
)


def test_boxes_of_sources_are_mapped_and_united_ones_stay():
    boxes = pd.DataFrame(
        [("v", "ILD"), ("n", "Mass"), ("u", "Mass/Nodule"), ("v", "Pleural effusion")],
        columns=["image_id", "class_name"],
        index=[4, 3, 2, 1],
    )
    expected = pd.Series([None, "Mass/Nodule", "Mass/Nodule", "Effusion"], boxes.index, dtype=object)
    pd.testing.assert_series_equal(box_classes(MIXED, boxes, SCHEME), expected)
    assert box_classes(MIXED, boxes.iloc[:0], SCHEME).empty


def test_known_and_labelled_classes_stand_in_the_order_of_the_scheme():
    assert known_classes(MIXED, SCHEME) == [SCHEME.classes, ("Effusion", "Mass/Nodule"), ("Effusion", "Pneumonia")]
    assert labelled_classes(MIXED, SCHEME) == [("Mass/Nodule",), (), ("Effusion", "Pneumonia")]
    assert known_classes(MIXED.drop(columns="known"), SCHEME)[2] == SCHEME.classes


def test_tables_united_with_another_scheme_are_refused():
    message = r"scheme small: no class '{}' \(known: Effusion, .*\); give the scheme these tables were united with"
    boxes = pd.DataFrame({"image_id": ["u"], "class_name": ["Mass"]})
    with pytest.raises(DataError, match=message.format("Mass")):
        box_classes(MIXED, boxes, SCHEME)
    with pytest.raises(DataError, match=message.format("ILD")):
        known_classes(images(("u", "nih", None, "Effusion|ILD")), SCHEME)
