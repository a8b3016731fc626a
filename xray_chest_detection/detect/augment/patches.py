"""A finding cut out of one film, and its way into another film at the same place of the chest.

The patch is the box with a rim around it. In the other film the rim says how bright and how contrasted that
neighbourhood is; the patch takes over both, and its alpha falls to nothing across the rim: no edge gives it away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

RIM = 0.2  # of the box's sides, all around: enough pixels to compare neighbourhoods, and room to fade out
LARGEST_SHARE = 0.1  # of the film: the smallest hearts of NIH ChestX-ray14 fill 0.12, and a heart is no patch
SMALLEST_SIDE = 0.01  # of the film's side: below, a box is four pixels at 416 px, and no finding is told in it
SMALLEST_RIM_PX = 2  # fewer pixels say nothing of a neighbourhood
JITTER = 0.08  # of the film's sides: about a rib space; chests do not lie on all films at the same place
PLACES = 24  # of which the one whose neighbourhood fits best is taken
MAX_MISFIT = 0.15  # of the film's grey ranks between the rims: above, the wrong anatomy is seen
COARSE_PX = 24  # places are compared at this size: anatomy matters, ribs and noise do not
RIM_ALPHA = 0.5  # neighbourhoods are compared where less than this is seen: outside the box, corners included
GAIN = (0.5, 2.0)  # beyond that the neighbourhoods have too little in common for a contrast to be told


@dataclass(frozen=True, eq=False)
class Patch:
    """A box of a film with the pixels around it.

    Attributes:
        pixels: `(H, W)` grey levels of box and rim.
        ranks: `(H, W)` their `grey_ranks` in the film.
        xyxy: `(4,)` the box in pixels of the patch.
        centre: `(2,)` the middle of the box in its film, 0 to 1.
    """

    pixels: NDArray[np.float32]
    ranks: NDArray[np.float32]
    xyxy: NDArray[np.float64]
    centre: NDArray[np.float64]

    def mirrored(self) -> "Patch":
        """The same finding on the other side of the chest."""
        width = self.pixels.shape[1]
        x_min, y_min, x_max, y_max = self.xyxy
        box = np.array([width - x_max, y_min, width - x_min, y_max])
        return Patch(self.pixels[:, ::-1], self.ranks[:, ::-1], box, np.array([1 - self.centre[0], self.centre[1]]))


def rims_of(cxcywhn: NDArray[np.floating]) -> NDArray[np.float64]:
    """Boxes `(N, 4)`, 0 to 1, with their rims as corners `(N, 4)`, 0 to 1."""
    middle, half = cxcywhn[:, :2].astype(np.float64), cxcywhn[:, 2:].astype(np.float64) * (0.5 + RIM)
    return np.hstack([middle - half, middle + half])


def can_be_pasted(cxcywhn: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of a film's boxes `(N, 4)`, 0 to 1, can be cut out.

    Not those larger than `LARGEST_SHARE` or thinner than `SMALLEST_SIDE`, those whose rim leaves the film, and those
    with another box in the rim or the box: its finding would come along without its label.
    """
    rims = rims_of(cxcywhn)
    half = cxcywhn[:, 2:] / 2
    boxes = np.hstack([cxcywhn[:, :2] - half, cxcywhn[:, :2] + half])
    others = touching(rims, boxes)
    np.fill_diagonal(others, False)
    fits = (cxcywhn[:, 2] * cxcywhn[:, 3] <= LARGEST_SHARE) & (cxcywhn[:, 2:] >= SMALLEST_SIDE).all(1)
    inside = (rims >= 0).all(1) & (rims <= 1).all(1)
    return fits & inside & ~others.any(1)


def touching(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of the boxes `(N, 4)` and `(M, 4)`, as corners, share any area; `(N, M)`."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray((high > low).all(2))


def cut(pixels: NDArray[np.uint8], cxcywhn: NDArray[np.floating]) -> Patch:
    """Cut a box `(4,)`, 0 to 1, with its rim out of a film `(H, W, C)` whose channels are equal."""
    height, width = pixels.shape[:2]
    size = np.array([width, height])
    middle, half = cxcywhn[:2] * size, cxcywhn[2:] * size / 2
    reach = half + np.maximum(2 * RIM * half, SMALLEST_RIM_PX)
    low = np.floor(middle - reach).astype(int).clip(0, size - 1)
    high = np.ceil(middle + reach).astype(int).clip(low + 1, size)
    box = np.concatenate([middle - half, middle + half]) - np.tile(low, 2)
    grey = pixels[low[1] : high[1], low[0] : high[0], 0]
    ranks = grey_ranks(pixels)[grey]
    return Patch(grey.astype(np.float32), ranks, box, np.asarray(cxcywhn[:2], np.float64))


def grey_ranks(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Which share of a film `(H, W, C)` is darker, for each of the 256 grey levels; half of the equal pixels count.

    Lung is dark and abdomen bright on every film, whatever its exposure: ranks can be compared where levels cannot.
    """
    counts = np.bincount(pixels[::4, ::4, 0].ravel(), minlength=256)  # a sixteenth of the pixels tells as much
    return np.asarray((counts.cumsum() - counts / 2) / counts.sum(), np.float32)


def find_place(
    pixels: NDArray[np.uint8], patch: Patch, boxes: NDArray[np.floating], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Left and top pixel for a patch in a film `(H, W, C)`, near the place it has in its own film.

    Of several places at random the one whose neighbourhood is most like that of the patch. None when the patch fits in
    nowhere, would leave the film or touch one of its boxes `(N, 4)`, corners in pixels.
    """
    height, width = pixels.shape[:2]
    patch_height, patch_width = patch.pixels.shape
    middle = (patch.xyxy[:2] + patch.xyxy[2:]) / 2
    centres = patch.centre + rng.uniform(-JITTER, JITTER, (PLACES, 2))
    low = np.round(centres * (width, height) - middle).astype(int)
    high = low + np.array([patch_width, patch_height])
    fits = (low >= 0).all(1) & (high <= (width, height)).all(1)
    fits &= ~touching(np.hstack([low, high]), np.asarray(boxes).reshape(-1, 4)).any(1)
    places = [(x, y) for x, y in low[fits].tolist()]
    if not places:
        return None
    misfits = _misfits(pixels, patch, places)
    best = int(np.argmin(misfits))
    return places[best] if misfits[best] <= MAX_MISFIT else None


def paste(pixels: NDArray[np.uint8], patch: Patch, place: tuple[int, int]) -> NDArray[np.uint8]:
    """A film `(H, W, C)` with the patch at left and top `place`; nothing outside the patch is changed."""
    pasted, window = pixels.copy(), _window(patch, place)
    there = pixels[window][..., 0].astype(np.float32)
    alpha = alpha_of(patch)
    mixed = alpha * _matched(patch.pixels, there, alpha < RIM_ALPHA) + (1 - alpha) * there
    pasted[window] = mixed.round().clip(0, 255).astype(np.uint8)[..., None]
    return pasted


def alpha_of(patch: Patch) -> NDArray[np.float32]:
    """How much of the patch is seen `(H, W)`: all of it on the box, nothing at the end of the rim.

    The corners are rounded (a superellipse of power 4): a straight seam is what the eye, and a network, finds first.
    """
    height, width = patch.pixels.shape
    middle, half = (patch.xyxy[:2] + patch.xyxy[2:]) / 2, (patch.xyxy[2:] - patch.xyxy[:2]) / 2
    x = (np.arange(width) + 0.5 - middle[0]) / half[0]
    y = (np.arange(height) + 0.5 - middle[1]) / half[1]
    radius = (x[None, :] ** 4 + y[:, None] ** 4) ** 0.25
    share = ((1 + 2 * RIM - radius) / (2 * RIM)).clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _window(patch: Patch, place: tuple[int, int]) -> tuple[slice, slice]:
    (left, top), (height, width) = place, patch.pixels.shape
    return np.s_[top : top + height, left : left + width]


def _matched(own: NDArray[np.float32], there: NDArray[np.float32], rim: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A patch `(H, W)` with the contrast of the neighbourhood `there` and with its brightness, a plane over the rim."""
    height, width = there.shape
    gain = np.clip((there[rim].std() + 1) / (own[rim].std() + 1), *GAIN)  # one level: flat rims have no contrast
    contrasted = gain * own
    y, x = np.mgrid[:height, :width].astype(np.float32)
    plane = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], axis=-1)
    coefficients, *_ = np.linalg.lstsq(plane[rim], (there - contrasted)[rim], rcond=None)
    return np.asarray(contrasted + plane @ coefficients, np.float32)


def _misfits(pixels: NDArray[np.uint8], patch: Patch, places: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Root mean square difference of the ranks in the rim, for each place; at low resolution."""
    ranks = grey_ranks(pixels)[pixels[..., 0]]
    scale = min(1.0, COARSE_PX / max(patch.pixels.shape))
    own, film, alpha = (_shrunk(values, scale) for values in (patch.ranks, ranks, alpha_of(patch)))
    (height, width), rim = own.shape, alpha < RIM_ALPHA
    last = np.array([film.shape[1] - width, film.shape[0] - height])
    corners = np.round(np.array(places) * scale).astype(int).clip(0, last)
    windows = np.stack([film[top : top + height, left : left + width] for left, top in corners])
    return np.asarray(np.sqrt(np.mean((windows - own)[:, rim] ** 2, axis=1)))


def _shrunk(values: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    height, width = values.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(np.ascontiguousarray(values), size, interpolation=cv2.INTER_AREA), np.float32)
