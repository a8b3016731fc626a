"""Whether a picture looks like an upright frontal chest radiograph, so that marks on anything else are not believed.

Gradient histograms and a coarse copy of a 64-pixel thumbnail are described by the directions in which chest films vary
and by how far they lie off them; a logistic regression decides. `classify.gate_training` makes it. The gate warns and
never blocks: what it says is shown beside the findings.
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.errors import ModelError

FILE_NAME = "chest_gate.npz"
CARD_NAME = "chest_gate.json"
SIDE_PX = 64
NOT_A_CHEST = "This does not look like a chest X-ray; the models know nothing else, so their marks mean nothing here."
INVERTED = "Black and white look swapped; the models expect bright bones, so invert the picture first."
TURNED = "This chest X-ray looks turned; the models expect it upright, so turn it first."

FloatArray = NDArray[np.float32]

_CELL_PX = 8
_DIRECTIONS = 12
_COARSE = 16
_READ_PX = 512  # of larger pictures every n-th pixel is read: 64 million pixels would take longer than the rest
_NAMES = ("mean", "scale", "basis", "spread", "weight", "bias")
# Of test films 96 % reach this score when they are put right again, of other pictures in another position 0.1 %.
_SURE = 0.95
_FLOOR = 0.01  # keeps the logarithms of what lies off the films, and of what is no further from their middle, finite
_STRETCH = 3.0  # these two say most, and a regularised regression listens to wide features more


@dataclass(frozen=True)
class ChestCheck:
    """What the gate thinks of one picture.

    Attributes:
        score: 0 .. 1, how much it looks like an upright frontal chest radiograph with bright bones.
        passed: Whether the score reaches the threshold.
        message: One sentence for the reader when it did not; None when it did.
    """

    score: float
    passed: bool
    message: str | None = None


@dataclass(frozen=True, eq=False)
class Subspace:
    """Where the features of chest films lie.

    Attributes:
        mean: `(F,)` their mean.
        scale: `(F,)` what each feature is divided by.
        basis: `(F, K)` the directions in which they vary most.
        spread: `(K,)` how much they vary there.
    """

    mean: FloatArray
    scale: FloatArray
    basis: FloatArray
    spread: FloatArray

    def reduced(self, values: FloatArray) -> FloatArray:
        """`(N, K + 2)` of features `(N, F)`: place in the subspace, distance off it, distance from its middle."""
        centred = (values - self.mean) / self.scale
        inside = centred @ self.basis
        off = np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 0) / centred.shape[1]
        place = inside / self.spread
        ends = np.stack([np.sqrt(off), (place**2).mean(axis=1)], axis=1)
        return np.hstack([place, _STRETCH * np.log(ends + _FLOOR)]).astype(np.float32)


class ChestGate:
    """A trained gate.

    Attributes:
        threshold: Score from which a picture passes.
        card: What it was trained on and how good it is.
    """

    def __init__(self, subspace: Subspace, weight: FloatArray, bias: float, *, card: dict[str, Any]) -> None:
        self._subspace = subspace
        self._weight = weight
        self._bias = bias
        self.card = card
        self.threshold = float(card["threshold"])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a gate and the JSON card beside it.

        Raises:
            ModelError: One of the two is missing or damaged, or they do not belong together.
        """
        card = _read_card(path.with_suffix(".json"))
        if not path.is_file():
            raise ModelError(f"{path}: no such file; fetch it, or make it with `xray chest-gate train`")
        digest = sha256_of(path)
        if digest != card["sha256"]:
            raise ModelError(
                f"{path}: sha256 {digest[:12]}... is not the card's {str(card['sha256'])[:12]}...; "
                "fetch both again, or make them with `xray chest-gate train`"
            )
        try:
            with np.load(path, allow_pickle=False) as arrays:
                values = [np.asarray(arrays[name], np.float32) for name in _NAMES]
            gate = cls(Subspace(*values[:4]), values[4], float(values[5]), card=card)
            gate.scores(np.zeros((1, SIDE_PX, SIDE_PX), np.float32))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path}: not a chest gate ({reason}); make it with `xray chest-gate train`") from None
        return gate

    def check(self, pixels: NDArray[np.uint8]) -> ChestCheck:
        """Judge one picture.

        Args:
            pixels: `(H, W)` grey, bone bright, of any size. A picture without any contrast, or of no pixel, fails.
        """
        if pixels.size == 0:
            return ChestCheck(0.0, False, NOT_A_CHEST)
        picture = thumbnail(pixels)
        score = float(self.scores(picture[None])[0])
        if score >= self.threshold:
            return ChestCheck(score, True)
        turned = np.stack([1 - picture, *(np.rot90(picture, quarter) for quarter in (1, 2, 3))])
        others = self.scores(turned)
        if others.max() < _SURE:
            return ChestCheck(score, False, NOT_A_CHEST)
        return ChestCheck(score, False, INVERTED if others.argmax() == 0 else TURNED)

    def scores(self, thumbnails: FloatArray) -> FloatArray:
        """Scores `(N,)` of thumbnails `(N, 64, 64)`."""
        logit = self._subspace.reduced(features(thumbnails)) @ self._weight + np.float32(self._bias)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))), np.float32)


def check_record(check: ChestCheck) -> dict[str, Any]:
    """What JSON files and the API say of a check.

    >>> check_record(ChestCheck(0.98765, True))
    {'score': 0.9877, 'passed': True, 'message': None}
    """
    return {"score": round(check.score, 4), "passed": check.passed, "message": check.message}


def thumbnail(pixels: NDArray[np.uint8]) -> FloatArray:
    """What the gate sees of a picture `(H, W)` with at least one pixel: `(64, 64)`, 0 .. 1 over its contrast."""
    (picture,) = stretched(squared(pixels, SIDE_PX)[None].astype(np.float32))
    return np.asarray(picture, np.float32)


def squared(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """The picture `(H, W)`, whole and undistorted, in the middle of a black square of `side_px` pixels a side."""
    step = max(1, max(pixels.shape) // _READ_PX)
    some = np.ascontiguousarray(pixels[::step, ::step])
    factor = side_px / max(some.shape)
    height, width = (max(1, round(length * factor)) for length in some.shape)
    kind = Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR
    square = Image.new("L", (side_px, side_px))
    square.paste(Image.fromarray(some).resize((width, height), kind), ((side_px - width) // 2, (side_px - height) // 2))
    return np.asarray(square)


def stretched(pictures: FloatArray) -> FloatArray:
    """Pictures `(N, H, W)` with their 1st percentile at 0 and their 99th at 1; those without contrast become 0."""
    low, high = np.percentile(pictures, (1, 99), axis=(1, 2), keepdims=True).astype(np.float32)
    contrast = high - low
    unit = (pictures - low) / np.where(contrast > 0, contrast, 1)
    return np.asarray(np.where(contrast > 0, np.clip(unit, 0, 1), 0), np.float32)


def features(thumbnails: FloatArray) -> FloatArray:
    """Features `(N, F)` of thumbnails `(N, 64, 64)`: where edges of which direction lie, how strong, and a coarse copy.

    Directions are signed, so that a bright rib on dark lung differs from a dark one on bright.
    """
    n, cells = len(thumbnails), SIDE_PX // _CELL_PX
    down, across = np.gradient(thumbnails, axis=(1, 2))
    strength = np.hypot(down, across)
    place = np.arctan2(down, across) * np.float32(_DIRECTIONS / (2 * np.pi))
    lower = np.floor(place)
    share = place - lower
    row = np.arange(SIDE_PX) // _CELL_PX
    first = _DIRECTIONS * (np.arange(n)[:, None, None] * cells**2 + row[:, None] * cells + row)
    histogram = np.zeros(n * cells**2 * _DIRECTIONS)
    for direction, weight in ((lower, strength * (1 - share)), (lower + 1, strength * share)):
        index = first + direction.astype(np.int64) % _DIRECTIONS
        histogram += np.bincount(index.ravel(), weight.ravel(), minlength=len(histogram))
    histogram = histogram.astype(np.float32).reshape(n, cells, cells, _DIRECTIONS) / _CELL_PX**2
    energy = histogram.sum(axis=-1)
    around = _mean_of_neighbours(energy)
    relative = np.sqrt(histogram / (around + np.float32(0.02))[..., None])
    size = SIDE_PX // _COARSE
    coarse = thumbnails.reshape(n, _COARSE, size, _COARSE, size).mean(axis=(2, 4))
    parts = [part.reshape(n, -1) for part in (relative, np.sqrt(energy), coarse)]
    return np.concatenate(parts, axis=1)


def _mean_of_neighbours(cells: FloatArray) -> FloatArray:
    """Mean over the 3 x 3 cells around each cell of `(N, H, W)`, borders repeated."""
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = cells.shape[1:]
    shifts = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.asarray(np.mean(shifts, axis=0), np.float32)


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); the chest gate needs its card beside it"
        ) from None
    except ValueError:
        raise ModelError(f"{path}: not a JSON file; make it again with `xray chest-gate train`") from None
    known = card if isinstance(card, dict) else {}
    threshold = known.get("threshold")
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1 or "sha256" not in known:
        raise ModelError(
            f"{path}: a card needs 'sha256' and a 'threshold' between 0 and 1; make it with `xray chest-gate train`"
        )
    return known
