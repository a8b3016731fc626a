"""One deployed detector: a card and its model file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.model_card import ModelCard, check_file, read_card
from xray_chest_detection.core.nms import nms
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.decode import FLOOR, to_unit
from xray_chest_detection.inference.network import Network, Runtime, open_network, reason
from xray_chest_detection.inference.views import Prepared, combine, decode_view, mirrored, prepare


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
        _check_classes(self.card.thresholds.per_class, card_path, self.card, key="thresholds.per_class")
        _check_classes(self.card.score_maps, card_path, self.card, key="score_maps")
        self._network = open_network(path, runtime=runtime, threads=threads)
        self._dtype = _check_input(self._network, path, self.card)
        _check_output(self._network, path, self.card)
        self._batches = not isinstance(self._network.inputs[0].shape[0], int)
        self._path = path

    def raw(self, pixels: NDArray[np.uint8], *, floor: float = FLOOR, tiles: Tiles | None = None) -> Detections:
        """Candidates before the suppression of the card: views fused and scores mapped, as the card says.

        Args:
            pixels: `(H, W)` uint8 grey, bone bright.
            floor: Lowest score that is returned, in [0, 1].
            tiles: Parts of the image that are looked at beside the whole, which takes several times as long; None:
                those of the card.

        Returns:
            Rows with a score of at least `floor`, best first; boxes in pixels of the image, clipped to it. With one
            view that is every place and class, at most `MAX_CANDIDATES`.
        """
        return self.raw_prepared(self.prepare(pixels, tiles=tiles), floor=floor)

    def detect(self, pixels: NDArray[np.uint8], *, conf: float | None = None, tiles: Tiles | None = None) -> Detections:
        """Findings of one image.

        Args:
            pixels: `(H, W)` uint8 grey, bone bright.
            conf: Score from which a box is returned; replaces all thresholds of the card, those per class included.
                None uses the card's.
            tiles: As in `raw`.

        Returns:
            Boxes in pixels of the image, best first. Those from a higher score on are what is returned for that score.
        """
        return self.detect_prepared(self.prepare(pixels, tiles=tiles), conf=conf)

    def prepare(self, pixels: NDArray[np.uint8], *, tiles: Tiles | None = None) -> Prepared:
        """The network inputs of an image; models with the same `image_size_px` and tiles can share them."""
        return prepare(pixels, self.card.image_size_px, tiles=tiles or self.card.tiles)

    def raw_prepared(self, prepared: Prepared, *, floor: float = FLOOR) -> Detections:
        """`raw` for an image that `prepare` has already scaled."""
        card = self.card
        if not card.flip and not card.score_maps:
            return self.views(prepared, floor=floor)[0]
        # Half a score and a mapped one may reach the floor from anywhere, so the network is always asked from FLOOR up.
        found = combine(self.views(prepared, flip=card.flip), score_maps=card.score_maps, classes=card.classes)
        return found.select(found.score >= floor)

    def detect_prepared(self, prepared: Prepared, *, conf: float | None = None) -> Detections:
        """`detect` for an image that `prepare` has already scaled."""
        per_class = self._lowest_scores(conf)
        return self._shown(self.raw_prepared(prepared, floor=float(per_class.min())), per_class)

    def views(self, prepared: Prepared, *, flip: bool = False, floor: float = FLOOR) -> tuple[Detections, ...]:
        """What the network says, before anything is fused or mapped: about the film, and then about its mirror image.

        Args:
            prepared: The film.
            flip: Whether to look at the mirror image too.
            floor: Lowest score that is returned, in [0, 1].

        Returns:
            Candidates of one or two views, each in pixels of the film as it is.

        Raises:
            ModelError: The network fails, or does not answer what its card says.
        """
        count = len(prepared.squares)
        heads = self._heads([*prepared.squares, *(mirrored(prepared.squares) if flip else ())])
        straight = decode_view(heads[:count], prepared, floor=floor)
        return (straight, decode_view(heads[count:], prepared, mirror=True, floor=floor)) if flip else (straight,)

    def _heads(self, squares: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """The network's answer to each square: in one call where it takes several, else one by one."""
        size = len(squares) if self._batches else 1
        batches = [squares[start : start + size] for start in range(0, len(squares), size)]
        return [head for batch in batches for head in self._run(batch)]

    def _run(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        unit = to_unit(np.stack(squares)).astype(self._dtype)[:, None]
        tensor = np.ascontiguousarray(np.broadcast_to(unit, (len(squares), 3, *unit.shape[2:])))
        try:
            heads = self._network.run(tensor)
        except Exception as error:  # the runtime's exceptions share no base class
            raise ModelError(f"{self._path}: prediction failed ({reason(error)}); export the model again") from None
        if heads.ndim != 3 or heads.shape[:2] != (len(squares), 4 + len(self.card.classes)):
            raise ModelError(f"{self._path}: {_output_message(heads.shape, self.card)}")
        return heads

    def _lowest_scores(self, conf: float | None) -> NDArray[np.float64]:
        limits = self.card.thresholds
        chosen = [limits.per_class.get(name, limits.conf) if conf is None else conf for name in self.card.classes]
        return np.array(chosen, np.float64)

    def _shown(self, candidates: Detections, per_class: NDArray[np.float64]) -> Detections:
        limits = self.card.thresholds
        candidates = candidates.select(candidates.score >= per_class[candidates.class_id].astype(np.float32))
        return nms(candidates, conf=0.0, iou=limits.iou, agnostic=limits.agnostic)


def _check_classes(named: Mapping[str, object], card_path: Path, card: ModelCard, *, key: str) -> None:
    unknown = sorted(set(named) - set(card.classes))
    if unknown:
        raise ModelError(f"{card_path}: {key}: no class '{unknown[0]}' (known: {', '.join(card.classes)})")


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
