"""What the labels of image and annotation tables are called in a class scheme, and what each image is labelled for.

The tables of one source spell labels as the source does. United tables, whose column `known` is filled, carry the class
names of the scheme they were united with.
"""

from collections.abc import Iterator

import pandas as pd

from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.readings import SEPARATOR
from xray_chest_detection.errors import DataError


def box_classes(images: pd.DataFrame, annotations: pd.DataFrame, scheme: ClassScheme) -> "pd.Series[str]":
    """The class of every box, None where the scheme leaves its label out; the index is that of `annotations`.

    Raises:
        DataError: The scheme does not know a label or a source, or the tables were united with another scheme.
    """
    source_of = dict(zip(images["image_id"], _spellings(images), strict=True))
    sources = [source_of[name] for name in annotations["image_id"]]
    pairs = list(zip(sources, annotations["class_name"], strict=True))
    class_of = {pair: _class_of(scheme, *pair) for pair in dict.fromkeys(pairs)}
    return pd.Series([class_of[pair] for pair in pairs], annotations.index, dtype=object)


def known_classes(images: pd.DataFrame, scheme: ClassScheme) -> list[tuple[str, ...]]:
    """The classes each image is labelled for, in the order of the scheme; the others are unknown there, not absent.

    Raises:
        DataError: The tables were united with another scheme.
    """
    known = images["known"] if "known" in images else images["source"]
    found: dict[tuple[str | None, str], tuple[str, ...]] = {}
    keys = list(zip(_spellings(images), known, strict=True))
    for source, text in dict.fromkeys(keys):
        if source is None:
            names = {_class_of(scheme, None, name) for name in text.split(SEPARATOR)}
            found[source, text] = tuple(name for name in scheme.classes if name in names)
        else:
            found[source, text] = scheme.known_classes(source)
    return [found[key] for key in keys]


def labelled_classes(images: pd.DataFrame, scheme: ClassScheme) -> list[tuple[str, ...]]:
    """The classes each image's own labels name, boxed or not, in the order of the scheme.

    A label that the scheme does not know is no error here: sources label whole images with more than they draw.
    """
    keys = list(zip(_spellings(images), images["labels"].fillna(""), strict=True))
    found = {}
    for source, text in dict.fromkeys(keys):
        class_of = (
            dict(zip(scheme.classes, scheme.classes, strict=True)) if source is None else scheme.sources.get(source)
        )
        names = {(class_of or {}).get(label) for label in text.split(SEPARATOR)}
        found[source, text] = tuple(name for name in scheme.classes if name in names)
    return [found[key] for key in keys]


def _spellings(images: pd.DataFrame) -> Iterator[str | None]:
    """Whose spelling the labels of each image have: a source's, or None where they are class names already."""
    united = images["known"].notna() if "known" in images else [False] * len(images)
    return (None if is_united else source for source, is_united in zip(images["source"], united, strict=True))


def _class_of(scheme: ClassScheme, source: str | None, label: str) -> str | None:
    try:
        return scheme.class_of(label, source=source)
    except DataError as error:
        cure = "; give the scheme these tables were united with, or unite them again" if source is None else ""
        raise DataError(f"{error}{cure}") from None
