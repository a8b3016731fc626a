"""Overlapping patches of training films as further training images, so that small findings are also seen larger.

A patch keeps the patient and the image_id of its film. Only training films are cut: validation and test stay whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from xray_chest_detection.config.data import PatchesConfig
from xray_chest_detection.core import boxes
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import scale_to_fit
from xray_chest_detection.core.radiograph import MIN_SIDE_PX
from xray_chest_detection.core.tiling import Window
from xray_chest_detection.data.image_files import is_squeezed
from xray_chest_detection.data.readings import EDGES
from xray_chest_detection.data.side_files import UNKNOWN_COLUMNS
from xray_chest_detection.data.views import View, merge_equal, thin_train_negatives
from xray_chest_detection.errors import DataError

PLACE = ["left", "top", "right", "bottom"]
_FILM = ["film", "film_width", "film_height"]
_UNKNOWN = ["image_id", *UNKNOWN_COLUMNS[1:]]


@dataclass(frozen=True)
class _Patch:
    """A patch of a film: its name, where it lies, its boxes, and the classes that are unknown in it."""

    name: str
    window: Window
    labels: pd.DataFrame
    unknown: dict[str, str]


def cut_patches(view: View, config: PatchesConfig, *, seed: int) -> View:
    """The patches of a view's training films, as a view of their own.

    A box is cut at the border of the patch. Where less than `min_visible` of its area is left, it is no box, and its
    class is unknown in the patch (`cut_off`), as every class is that is unknown on the film. Patches that would teach
    nothing, without a box and with all classes unknown, are left out.

    Returns:
        Patches as images: image_id is the name of the patch, `film` that of its film, `film_width` and `film_height`
        the film's reference size, and left, top, right, bottom where the patch lies there. width, height and boxes
        are those of the patch.
    """
    boxes_of = dict(tuple(view.labels.groupby("image_id")))
    unknown_on = {name: dict(rows[_UNKNOWN[1:]].to_numpy()) for name, rows in view.unknown.groupby("image_id")}
    train = view.images[view.images["split"] == "train"]
    films: list[dict[str, Any]] = [dict(row) for _, row in train.iterrows()]
    images, labels, unknown = [], [], []
    for film in films:
        name = film["image_id"]
        of_film = boxes_of.get(name, view.labels.iloc[:0])
        for patch in _patches_of(film, of_film, unknown_on.get(name, {}), view.classes, config):
            images.append(_image_row(film, patch))
            unknown += [(patch.name, *entry) for entry in sorted(patch.unknown.items())]
            if len(patch.labels):
                labels.append(patch.labels)
    return _as_view(
        view,
        pd.DataFrame(images, columns=[*view.images, *_FILM, *PLACE]),
        pd.concat(labels) if labels else view.labels.iloc[:0],
        pd.DataFrame(unknown, columns=_UNKNOWN),
        empty_per_boxed=config.empty_per_boxed,
        seed=seed,
    )


def write_patches(film: Path, patches: pd.DataFrame, folder: Path, *, longest_side_px: int | None) -> dict[str, Path]:
    """Cut patches from the original pixels of their film and write them as PNG files named after their image_id.

    Args:
        film: The film's image file.
        patches: Its rows of `cut_patches`, at least one.
        folder: Where the files go.
        longest_side_px: Patches with a longer side are reduced to it.

    Returns:
        Name of each patch to its file.

    Raises:
        DataError: A patch would be too small.
        ImageError: The film cannot be read.
    """
    pixels = read_image(film).pixels
    width, height = (float(value) for value in patches[_FILM[1:]].iloc[0])
    if is_squeezed((pixels.shape[1], pixels.shape[0]), (width, height)):
        pixels = scale_to_fit(pixels, max(pixels.shape), aspect=(round(width), round(height)))
    gain = np.tile([pixels.shape[1] / width, pixels.shape[0] / height], 2)
    written = {}
    for name, place in zip(patches["image_id"], patches[PLACE].to_numpy(np.float64), strict=True):
        part = Window(*np.rint(place * gain).astype(int).tolist()).of(pixels)
        if longest_side_px is not None and max(part.shape) > longest_side_px:
            part = scale_to_fit(part, longest_side_px)
        if min(part.shape) < MIN_SIDE_PX:
            raise DataError(
                f"{film}: a patch of {part.shape[1]} x {part.shape[0]} pixels shows too little, at least {MIN_SIDE_PX} "
                "a side are needed; raise patches.side"
            )
        written[str(name)] = folder / f"{name}.png"
        Image.fromarray(part).save(written[str(name)])
    return written


def _patches_of(
    film: Mapping[str, Any],
    labels: pd.DataFrame,
    unknown: dict[str, str],
    classes: Sequence[str],
    config: PatchesConfig,
) -> Iterator[_Patch]:
    """Patches of a film with these boxes and unknown classes."""
    xyxy = labels[EDGES].to_numpy(np.float64)
    for number, window in enumerate(config.windows(round(film["width"]), round(film["height"]))):
        inside = boxes.clip(xyxy - np.tile(window[:2], 2), window.right - window.left, window.bottom - window.top)
        share = boxes.area(inside) / boxes.area(xyxy)
        kept = share >= config.min_visible
        cut_off = {classes[index]: "cut_off" for index in labels["class_id"][(share > 0) & ~kept]}
        if kept.any() or len(cut_off | unknown) < len(classes):
            name = f"{film['image_id']}_patch{number:03d}"
            boxed = labels.iloc[:0]
            if kept.any():
                edges = dict(zip(EDGES, inside[kept].T, strict=True))
                boxed = labels[kept].assign(image_id=name, **edges)
            yield _Patch(name, window, boxed, cut_off | unknown)


def _image_row(film: Mapping[str, Any], patch: _Patch) -> dict[str, Any]:
    left, top, right, bottom = patch.window
    names = {"image_id": patch.name, "film": film["image_id"]}
    sizes = {"film_width": film["width"], "film_height": film["height"], "width": right - left, "height": bottom - top}
    return {**film, **names, **sizes, **dict(zip(PLACE, patch.window, strict=True))}


def _as_view(
    view: View,
    images: pd.DataFrame,
    labels: pd.DataFrame,
    unknown: pd.DataFrame,
    *,
    empty_per_boxed: float | None,
    seed: int,
) -> View:
    distinct = merge_equal(labels, images.set_index("image_id")[["width", "height"]])
    if empty_per_boxed is not None:
        images = thin_train_negatives(images, labels, empty_per_boxed, seed=seed)
    return View(
        view.classes,
        images.sort_values("image_id").reset_index(drop=True),
        distinct.reset_index(drop=True),
        unknown[unknown["image_id"].isin(images["image_id"])].reset_index(drop=True),
        merged=len(labels) - len(distinct),
    )
