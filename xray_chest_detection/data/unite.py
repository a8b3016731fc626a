"""One image and one annotation table out of several sources: one vocabulary, one set of boxes an image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from xray_chest_detection.config.unite import UniteConfig
from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.background import choose_background
from xray_chest_detection.data.class_names import box_classes, labelled_classes
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.readings import EDGES, SEPARATOR, consensus_table, readings_of
from xray_chest_detection.errors import DataError

_CURE = "run the data_prep step that writes these tables again"


@dataclass(frozen=True)
class SourceTables:
    """The tables of one source and the folder they were read from."""

    place: Path
    images: pd.DataFrame
    annotations: pd.DataFrame


@dataclass(frozen=True)
class UnitedTables:
    """The tables of all sources together, and what was counted on the way.

    Attributes:
        images: Image table, sorted by image_id; `known` is filled, `labels` are classes of the scheme.
        annotations: Annotation table, sorted by image_id, class and edges; `class_name` is a class of the scheme.
        image_counts: One row a source: images, images with a box, healthy ones, and those without a box left out.
        box_counts: One row a source and class: boxes the source has (`drawn`), boxes of the united table, and readers'
            boxes that none of these stands for (`dropped`; `union` and `wbf` also join boxes of one reader). Labels
            that the scheme leaves out come last, in the source's spelling.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    image_counts: list[dict[str, object]]
    box_counts: list[dict[str, object]]


def unite(sources: Sequence[SourceTables], scheme: ClassScheme, config: UniteConfig) -> UnitedTables:
    """Map the labels of all sources to classes, let the readers of each image agree, and join the tables.

    `known` are the classes that the source labels at all. `labels` are the classes that an image is labelled with,
    boxed or not; where several readers drew boxes, they are the classes of the boxes they agreed on. An image whose
    boxes are all of labels the scheme leaves out is not healthy, but has none of the classes.

    Raises:
        DataError: A label or a source is not in the scheme, an image stands in two sources, tables are united already,
            or a box is by somebody who is not among its image's readers.
    """
    _check_apart(sources)
    parts = [_unite_source(source, scheme, config) for source in sources]
    images = pd.concat([part.images for part in parts]).sort_values("image_id")
    annotations = pd.concat([part.annotations for part in parts])
    return UnitedTables(
        images.reset_index(drop=True),
        annotations.sort_values(["image_id", "class_name", *EDGES], kind="stable", ignore_index=True),
        [row for part in parts for row in part.image_counts],
        [row for part in parts for row in part.box_counts],
    )


def _check_apart(sources: Sequence[SourceTables]) -> None:
    for source in sources:
        names = sorted(source.images["source"].unique())
        if len(names) != 1:
            raise DataError(f"{source.place}: expected images of one source, got {', '.join(names) or 'none'}")
        if source.images["known"].notna().any():
            raise DataError(f"{source.place}: these tables are united already; give those of the sources")
    for first, second in combinations(sources, 2):
        shared = sorted(set(first.images["image_id"]) & set(second.images["image_id"]))
        if shared:
            raise DataError(
                f"{second.place}: image '{shared[0]}' also stands in {first.place} ({len(shared)} such images); "
                "give every source once, and images of different sources different names"
            )


def _unite_source(source: SourceTables, scheme: ClassScheme, config: UniteConfig) -> UnitedTables:
    images, place = source.images, source.place
    mapped = source.annotations.assign(class_name=box_classes(images, source.annotations, scheme))
    drawn = mapped.dropna(subset="class_name")
    boxes = _agree(images, drawn, scheme, config, place=place)
    images = _with_class_names(images, boxes, scheme, place=place)
    chosen = _limit_background(images, boxes, config)
    name = images["source"].iloc[0]
    image_counts: dict[str, object] = {
        "source": name,
        "images": len(chosen),
        "with_box": int(chosen["image_id"].isin(boxes["image_id"]).sum()),
        "healthy": int(chosen["healthy"].sum()),
        "left_out": len(images) - len(chosen),
    }
    unmapped = source.annotations.loc[mapped["class_name"].isna(), "class_name"]
    return UnitedTables(chosen, boxes, [image_counts], _count_boxes(name, drawn, boxes, unmapped, scheme))


def _agree(
    images: pd.DataFrame, drawn: pd.DataFrame, scheme: ClassScheme, config: UniteConfig, *, place: Path
) -> pd.DataFrame:
    """One set of boxes an image: by the consensus rule where readers are named, else as drawn."""
    with_readers = images[images["readers"].notna()]
    several = drawn["image_id"].isin(with_readers["image_id"])
    unlisted = drawn[~several & drawn["reader"].notna()]
    if len(unlisted):
        row = unlisted.iloc[0]
        raise DataError(
            f"{place}: row {unlisted.index[0]}: a box by '{row['reader']}' on image '{row['image_id']}', "
            f"which names no readers ({len(unlisted)} such rows); {_CURE}"
        )
    if with_readers.empty:
        return drawn
    try:
        readings = readings_of(with_readers, drawn[several], scheme.classes)
    except DataError as error:
        raise DataError(f"{place}: {error}; {_CURE}") from None
    agreed = consensus_table(merge(readings, config.consensus), readings)
    return agreed if several.all() else pd.concat([drawn[~several], agreed])


def _with_class_names(images: pd.DataFrame, boxes: pd.DataFrame, scheme: ClassScheme, *, place: Path) -> pd.DataFrame:
    source = images["source"].iloc[0]
    known = scheme.known_classes(source)
    if not known:
        raise DataError(f"{place}: scheme {scheme.name} has no class for labels of '{source}'; give another scheme")
    of_boxes = boxes.groupby("image_id")["class_name"].agg(set).to_dict()
    named = [
        tuple(name for name in scheme.classes if name in of_boxes.get(image_id, ())) if has_readers else labelled
        for image_id, has_readers, labelled in zip(
            images["image_id"], images["readers"].notna(), labelled_classes(images, scheme), strict=True
        )
    ]
    return images.assign(
        known=SEPARATOR.join(known),
        labels=[SEPARATOR.join(classes) for classes in named],
    )


def _limit_background(images: pd.DataFrame, boxes: pd.DataFrame, config: UniteConfig) -> pd.DataFrame:
    if config.background is None:
        return images
    with_box = images["image_id"].isin(boxes["image_id"])
    others = images[~with_box]
    healthy = choose_background(others[others["healthy"]], config.background, seed=config.seed)
    rest = choose_background(others[~others["healthy"]], config.background - len(healthy), seed=config.seed)
    return pd.concat([images[with_box], healthy, rest])


def _count_boxes(
    source: str, drawn: pd.DataFrame, boxes: pd.DataFrame, unmapped: "pd.Series[str]", scheme: ClassScheme
) -> list[dict[str, object]]:
    before, after, left_out = (Counter(names) for names in (drawn["class_name"], boxes["class_name"], unmapped))
    kept = boxes["votes"].fillna(1).groupby(boxes["class_name"]).sum()
    rows = [
        (name, before[name], after[name], before[name] - int(kept.get(name, 0)))
        for name in scheme.classes
        if name in scheme.known_classes(source)
    ]
    rows += [(f"{label} (left out)", count, 0, 0) for label, count in sorted(left_out.items())]
    return [
        {"source": source, "class": name, "drawn": drawn_boxes, "boxes": united, "dropped": dropped}
        for name, drawn_boxes, united, dropped in rows
    ]
