import pytest
from pydantic import ValidationError

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.errors import DataError


@pytest.fixture
def scheme():
    return ClassScheme(
        name="small",
        classes=("Effusion", "Mass/Nodule", "Pneumonia"),
        sources={
            "nih": {"Effusion": "Effusion", "Mass": "Mass/Nodule", "Nodule": "Mass/Nodule", "Pneumonia": "Pneumonia"},
            "vinbigdata": {"Pleural effusion": "Effusion", "Nodule/Mass": "Mass/Nodule", "ILD": None},
        },
    )


def test_spellings_of_the_sources_meet_in_one_class(scheme):
    assert scheme.class_of("Mass", source="nih") == scheme.class_of("Nodule/Mass", source="vinbigdata") == "Mass/Nodule"
    assert scheme.class_of("ILD", source="vinbigdata") is None
    assert scheme.index_of("Pneumonia") == 2


def test_a_class_without_labels_in_a_source_is_unknown_there(scheme):
    assert scheme.known_classes("vinbigdata") == ("Effusion", "Mass/Nodule")
    assert scheme.known_classes("nih") == scheme.classes
    assert scheme.known_classes("elsewhere") == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.class_of("Mass", source="chexpert"), r"unknown source 'chexpert' \(known: nih, vinbigdata\)"),
        (lambda s: s.class_of("Hernia", source="nih"), r"unknown label 'Hernia' of nih \(known: Effusion, Mass"),
        (lambda s: s.index_of("Hernia"), r"no class 'Hernia' \(known: Effusion"),
    ],
)
def test_unknown_names_list_the_known_ones(scheme, call, message):
    with pytest.raises(DataError, match=message):
        call(scheme)


@pytest.mark.parametrize(
    ("classes", "sources", "message"),
    [
        ((), {}, "unique and not empty"),
        (("A", "A"), {}, "unique and not empty"),
        (("A",), {"nih": {"x": "B"}}, r"sources\.nih\.x: 'B' is not one of A"),
    ],
)
def test_wrong_schemes_are_refused(classes, sources, message):
    with pytest.raises(ValidationError, match=message):
        ClassScheme(name="x", classes=classes, sources=sources)
