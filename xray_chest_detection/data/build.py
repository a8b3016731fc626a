"""Building a data set from its configuration: one view of a split on disk, with its manifest."""

from pathlib import Path
from typing import Any

from xray_chest_detection.config.base import validate
from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    is_up_to_date,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.data.patches import cut_patches
from xray_chest_detection.data.splits import SPLIT_FILE, read_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables
from xray_chest_detection.data.views import View, make_view
from xray_chest_detection.data.yolo import Progress, is_complete, product_files, stamp_of_images, write_yolo
from xray_chest_detection.errors import DataError

STEP = "data_prep.build_yolo"
GUESSES = "guesses"  # what tables with guessed boxes say about them, among the counts of their manifest
TEACHER = "teacher"  # the model that guessed, among the inputs


def build_dataset(config: YoloConfig, *, progress: Progress | None = None) -> tuple[View, bool]:
    """Write images, labels, `data.yaml`, `index.csv` and the manifest, unless they are up to date.

    Args:
        config: The view.
        progress: Wraps the images while they are written.

    Returns:
        The view, and whether it was written.

    Raises:
        DataError: The tables, the split or the scheme are missing or disagree, or the folder cannot be written.
        ConfigError: The scheme is wrong.
        ImageError: An image cannot be read.
    """
    images, annotations = read_tables(config.tables)
    view = make_view(images, annotations, read_split(config.split), read_scheme(config.scheme), config)
    patches = None if config.patches is None else cut_patches(view, config.patches, seed=config.seed)
    tables = (config.tables / IMAGES_FILE, config.tables / ANNOTATIONS_FILE)
    inputs = hash_inputs(*tables, config.split / SPLIT_FILE, config.scheme) | {"images": stamp_of_images(view)}
    teacher, guesses = _guesses_in(config.tables)
    plan = Manifest(
        step=STEP,
        config=config.model_dump(mode="json"),
        inputs=inputs | teacher,
        counts=view.counts() | {"equal_boxes_merged": view.merged} | _patch_counts(patches) | guesses,
        seed=config.seed,
        versions=versions_of("pandas", "pillow"),
    )
    if is_up_to_date(config.out, plan) and is_complete(config.out):
        return view, False
    write_yolo(view, config.out, longest_side_px=config.longest_side_px, patches=patches, progress=progress)
    write_manifest(config.out, plan.model_copy(update={"outputs": hash_inputs(*product_files(config.out))}))
    return view, True


def read_view(data: Path) -> YoloConfig:
    """The view settings a data set was built with, if its boxes and scheme still are those of today.

    Raises:
        DataError: They are not, the data set was not built by this step, or it keeps nobody to test on.
    """
    manifest, cure = read_manifest(data), "build it again with `python -m data_prep.build_yolo`"
    if manifest.step != STEP:
        raise DataError(f"{data / FILE_NAME}: written by '{manifest.step}', expected '{STEP}'; {cure}")
    view = validate(YoloConfig, manifest.config, place=str(data / FILE_NAME))
    for path in (view.tables / ANNOTATIONS_FILE, view.scheme):
        if not path.is_file():
            raise DataError(f"{data}: was built from {path}, which is not there; {cure}")
        if manifest.inputs.get(path.name) != sha256_of(path):
            raise DataError(f"{data}: {path} was changed since this data set was built; {cure}")
    if view.everything_but is not None:
        raise DataError(f"{data}: trains on everything; give another data set of the same split")
    return view


def _guesses_in(tables: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The digest of the model that guessed boxes of tables, and how good it is at that; nothing for other tables."""
    manifest = read_manifest(tables) if (tables / FILE_NAME).is_file() else None
    if manifest is None or TEACHER not in manifest.inputs:
        return {}, {}
    return {TEACHER: manifest.inputs[TEACHER]}, {GUESSES: manifest.counts[GUESSES]}


def _patch_counts(patches: View | None) -> dict[str, dict[str, int]]:
    return {} if patches is None else {"patches": patches.counts()["train"]}
