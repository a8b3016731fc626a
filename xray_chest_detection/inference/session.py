"""One deployed detector: a card and its model file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.letterbox import Letterbox, letterbox
from xray_chest_detection.core.model_card import ModelCard, check_file, read_card
from xray_chest_detection.core.nms import nms
from xray_chest_detection.core.tiling import Tiles, merge_views
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.decode import FLOOR, decode_head, to_unit
from xray_chest_detection.inference.network import Network, Runtime, open_network, reason


class DetectorSession:
    """A detector that is ready to run on the CPU. Safe to share among threads.

    Attributes:
        card: The model's card.
    """

    card: ModelCard

    def __init__(self, card_path: Path, *, threads: int | None = None, runtime: Runtime | None = None) -> None:
        """Read the card and open the model it describes.

        Args:
            card_path: `<name>.card.yaml`; the model file it names lies beside it.
            threads: Threads for one image; None lets the runtime use every core.
            runtime: What runs the model, as in `network.open_network`; None takes onnxruntime for ONNX files.

        Raises:
            ConfigError: There is no such runtime.
            DependencyError: The runtime is not installed.
            ModelError: The card or the file is missing or damaged, or the two do not fit together.
        """
        self.card = read_card(card_path)
        path = card_path.parent / self.card.file
        check_file(path, self.card)
        unknown = sorted(set(self.card.thresholds.per_class) - set(self.card.classes))
        if unknown:
            raise ModelError(
                f"{card_path}: thresholds.per_class: no class '{unknown[0]}' (known: {', '.join(self.card.classes)})"
            )
        self._network = open_network(path, runtime=runtime, threads=threads)
        self._dtype = _check_input(self._network, path, self.card)
        _check_output(self._network, path, self.card)
        self._path = path

    def raw(self, pixels: NDArray[np.uint8], *, floor: float = FLOOR, tiles: Tiles | None = None) -> Detections:
        """Candidates before non-maximum suppression.

        Args:
            pixels: `(H, W)` uint8 grey, bone bright.
            floor: Lowest score that is returned, in [0, 1].
            tiles: Parts of the image that are looked at beside the whole; None: none, which is several times faster.

        Returns:
            One row per place and class with a score of at least `floor`, best first, at most `MAX_CANDIDATES`; boxes
            in pixels of the image, clipped to it.
        """
        whole = self.raw_prepared(*self.prepare(pixels), floor=floor)
        if tiles is None:
            return whole
        windows = tiles.windows(whole.width_px, whole.height_px)
        parts = [self.raw_prepared(*self.prepare(window.of(pixels)), floor=floor) for window in windows]
        return merge_views(whole, zip(windows, parts, strict=True), tiles)

    def detect(self, pixels: NDArray[np.uint8], *, conf: float | None = None, tiles: Tiles | None = None) -> Detections:
        """Findings of one image.

        Args:
            pixels: `(H, W)` uint8 grey, bone bright.
            conf: Score from which a box is returned; replaces all thresholds of the card, those per class included.
                None uses the card's.
            tiles: As in `raw`.

        Returns:
            Boxes in pixels of the image, best first.
        """
        per_class = self._lowest_scores(conf)
        return self._shown(self.raw(pixels, floor=float(per_class.min()), tiles=tiles), per_class)

    def prepare(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Letterbox]:
        """The network input of an image; models with the same `image_size_px` can share it."""
        return letterbox(pixels, self.card.image_size_px)

    def raw_prepared(self, square: NDArray[np.uint8], frame: Letterbox, *, floor: float = FLOOR) -> Detections:
        """`raw` for an image that `prepare` has already scaled."""
        unit = to_unit(square).astype(self._dtype)
        tensor = np.ascontiguousarray(np.broadcast_to(unit, (1, 3, *square.shape)))
        try:
            head = self._network.run(tensor)
        except Exception as error:  # the runtime's exceptions share no base class
            raise ModelError(f"{self._path}: prediction failed ({reason(error)}); export the model again") from None
        if head.ndim != 3 or head.shape[:2] != (1, 4 + len(self.card.classes)):
            raise ModelError(f"{self._path}: {_output_message(head.shape, self.card)}")
        return decode_head(head[0], frame, floor=floor)

    def detect_prepared(self, square: NDArray[np.uint8], frame: Letterbox, *, conf: float | None = None) -> Detections:
        """`detect` for an image that `prepare` has already scaled."""
        per_class = self._lowest_scores(conf)
        return self._shown(self.raw_prepared(square, frame, floor=float(per_class.min())), per_class)

    def _lowest_scores(self, conf: float | None) -> NDArray[np.float64]:
        limits = self.card.thresholds
        chosen = [limits.per_class.get(name, limits.conf) if conf is None else conf for name in self.card.classes]
        return np.array(chosen, np.float64)

    def _shown(self, candidates: Detections, per_class: NDArray[np.float64]) -> Detections:
        limits = self.card.thresholds
        candidates = candidates.select(candidates.score >= per_class[candidates.class_id].astype(np.float32))
        return nms(candidates, conf=0.0, iou=limits.iou, agnostic=limits.agnostic)


def _check_input(network: Network, path: Path, card: ModelCard) -> type[np.floating[Any]]:
    size = card.image_size_px
    first = network.inputs[0] if len(network.inputs) == 1 else None
    if first is None or first.dtype is None or not _fits(first.shape, (1, 3, size, size)):
        found = "; ".join(f"{entry.kind} {list(entry.shape)}" for entry in network.inputs)
        raise ModelError(
            f"{path}: takes {found}, but its card says float (1, 3, {size}, {size}); export the model again"
        )
    return first.dtype


def _check_output(network: Network, path: Path, card: ModelCard) -> None:
    if not _fits(network.output.shape, (1, 4 + len(card.classes), None)):
        raise ModelError(f"{path}: {_output_message(network.output.shape, card)}")


def _output_message(shape: Sequence[int | str | None], card: ModelCard) -> str:
    expected = 4 + len(card.classes)
    return (
        f"gives {list(shape)}, but the {len(card.classes)} classes of its card need (1, {expected}, N); "
        "export the model again without built-in suppression"
    )


def _fits(shape: Sequence[int | str | None], expected: tuple[int | None, ...]) -> bool:
    """Whether a model's shape, in which names and None are free sizes, can hold the expected one."""
    return len(shape) == len(expected) and all(
        want is None or not isinstance(have, int) or have == want for have, want in zip(shape, expected, strict=True)
    )
