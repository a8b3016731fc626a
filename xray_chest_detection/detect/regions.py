"""Where on an augmented image a class is unknown.

Mosaic, mixup and rotation make one training image out of parts of several films, so "nobody looked for Pneumonia on
this film" becomes "in this part of the image". Such a part is the unit square under an affine map. Every step of
ultralytics that moves pixels changes this map in the same way: the parts stay exact to the pixel, where boxes over the
whole film would grow under rotation and be dropped once a tenth of them is visible. Grey padding belongs to no part.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.data import augment

UNKNOWN = "unknown"
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regions:
    """Parts of an image with the classes that are unknown there.

    Attributes:
        place: `(R, 3, 3)` affine maps from the unit square to pixels of the image.
        classes: `(R, C)` which classes are unknown in the part.
    """

    place: Matrix
    classes: NDArray[np.bool_]

    @classmethod
    def whole(cls, class_ids: Sequence[int], *, n_classes: int, width_px: int, height_px: int) -> "Regions":
        """One part over the whole image, or none when no class is unknown."""
        classes = np.zeros((1, n_classes), np.bool_)
        classes[0, list(class_ids)] = True
        place = np.diag([float(width_px), float(height_px), 1.0])[None]
        rows = slice(1 if class_ids else 0)
        return cls(place[rows], classes[rows])

    @classmethod
    def joined(cls, parts: Sequence["Regions"]) -> "Regions":
        """All parts of several images; at least one of `parts` is needed."""
        return cls(np.concatenate([part.place for part in parts]), np.concatenate([part.classes for part in parts]))

    def moved(self, matrix: Matrix) -> "Regions":
        """The parts after the pixels moved by a `(3, 3)` affine matrix."""
        return Regions(matrix @ self.place, self.classes)

    def encoded(self, *, width_px: int, height_px: int) -> NDArray[np.float32]:
        """Rows `(R, 6 + C)` for the loss: the map from the image, 0 to 1 in x and y, back to the unit square; classes.

        Row by row the map is a, b, c, d, e, f with `u = ax + by + c` and `v = dx + ey + f`. A point lies in the part
        where both are at least 0 and below 1.
        """
        back = np.linalg.inv(self.place) @ np.diag([float(width_px), float(height_px), 1.0])
        return np.hstack([back[:, :2].reshape(-1, 6), self.classes]).astype(np.float32)


def follow(transforms: augment.Compose) -> None:
    """Make the augmentation steps move the `Regions` under the key `unknown` of a sample together with its pixels.

    Each step calls `apply_semantic` last, with the parameters it has just drawn for this image; that method is free,
    because detection has no segmentation mask.
    """
    for step in _steps(transforms):
        rule = _RULES.get(type(step))
        if rule is not None:
            step.apply_semantic = rule


def _steps(transform: Any) -> Iterator[Any]:  # noqa: ANN401 -- steps of ultralytics have no common type
    if isinstance(transform, augment.Compose):
        for step in transform.transforms:
            yield from _steps(step)
        return
    yield transform
    if getattr(transform, "pre_transform", None) is not None:
        yield from _steps(transform.pre_transform)


def _tiled(sample: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Each film fills its tile; what the edge of the mosaic cuts off is gone."""
    tiles = []
    for item in params["layout"]:
        left, top, right, bottom = (item[side] for side in ("x1a", "y1a", "x2a", "y2a"))
        film: Regions = item["labels_patch"][UNKNOWN]
        tile = np.array([[right - left, 0, left], [0, bottom - top, top], [0, 0, 1]], np.float64)
        tiles.append(Regions(np.repeat(tile[None], len(film.place), axis=0), film.classes))
    return sample | {UNKNOWN: Regions.joined(tiles)}


def _blended(sample: dict[str, Any], _: dict[str, Any]) -> dict[str, Any]:
    """Where two films shine through, what is unknown on either is unknown."""
    return sample | {UNKNOWN: Regions.joined([sample[UNKNOWN], sample["mix_labels"][0][UNKNOWN]])}


def _warped(sample: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return sample | {UNKNOWN: sample[UNKNOWN].moved(params["M"].astype(np.float64))}


def _flipped(sample: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    if not params["flip"]:
        return sample
    height, width = sample["img"].shape[:2]
    mirror = np.eye(3)
    if params["direction"] == "horizontal":
        mirror[0] = [-1, 0, width]
    else:
        mirror[1] = [0, -1, height]
    return sample | {UNKNOWN: sample[UNKNOWN].moved(mirror)}


def _letterboxed(sample: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    height, width = params["orig_shape"]
    new_width, new_height = params["new_unpad"]
    fit = np.array([[new_width / width, 0, params["left"]], [0, new_height / height, params["top"]], [0, 0, 1]])
    return sample | {UNKNOWN: sample[UNKNOWN].moved(fit)}


_RULES: dict[type, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    augment.Mosaic: _tiled,
    augment.MixUp: _blended,
    augment.RandomPerspective: _warped,
    augment.RandomFlip: _flipped,
    augment.LetterBox: _letterboxed,
}
