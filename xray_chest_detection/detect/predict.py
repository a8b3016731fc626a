"""One forward pass over a split, kept in a file: raw candidates before suppression, from which any grid is computed.

The input is made by the demo's letterbox and the output read by the demo's decoder, so numbers computed from the file
describe the deployed program.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import atomic_path, sha256_of
from xray_chest_detection.core.fusion import fuse_views
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.manifest import FILE_NAME
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.nms import nms
from xray_chest_detection.core.score_maps import ScoreMap, map_scores
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.ensemble import ensemble_of, members_of
from xray_chest_detection.detect.runs import ENSEMBLE_FILE, Run, require_same_split
from xray_chest_detection.errors import ConfigError, DataError, ModelError
from xray_chest_detection.inference.decode import FLOOR, to_unit
from xray_chest_detection.inference.views import Prepared, decode_view, mirrored, prepare

FOLDER = "predictions"
BATCH = 8
_ARRAYS = ("xyxy", "score", "class_id", "count", "size_px", "image_id")

Progress = Callable[[Iterable[Path], int], Iterable[Path]]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a model says about every image of a split, before suppression.

    Attributes:
        image_id: Names of the images.
        per_image: Candidates of each image, best first, in pixels of the image.
    """

    image_id: tuple[str, ...]
    per_image: tuple[Detections, ...]

    def suppressed(self, *, conf: float, iou: float, agnostic: bool) -> tuple[Detections, ...]:
        """The detections of each image after suppression; `iou` and `agnostic` as in `core.nms`."""
        return tuple(nms(found, conf=conf, iou=iou, agnostic=agnostic) for found in self.per_image)

    def table(self, *, conf: float, iou: float, agnostic: bool) -> BoxTable:
        """The same as one table."""
        return BoxTable.from_detections(self.suppressed(conf=conf, iou=iou, agnostic=agnostic))

    def fused(self, other: "Candidates") -> "Candidates":
        """These fused with those of the mirrored images, as `core.fusion` does it."""
        pairs = zip(self.per_image, other.per_image, strict=True)
        return Candidates(self.image_id, tuple(fuse_views(one, mirror) for one, mirror in pairs))

    def mapped(self, maps: Mapping[str, ScoreMap], classes: Sequence[str]) -> "Candidates":
        """The same with mapped scores, as `core.score_maps` does it."""
        return Candidates(self.image_id, tuple(map_scores(found, maps, classes) for found in self.per_image))


def predict_split(
    run: Run, split: LabelledSplit, *, device: str | None = None, progress: Progress | None = None
) -> Candidates:
    """Candidates of a run's weights on a split with the views of its configuration, fused; scores are not mapped.

    Arguments and errors as those of `predict_view`.
    """
    straight = predict_view(run, split, device=device, progress=progress)
    if not run.config.flip_views:
        return straight
    return straight.fused(predict_view(run, split, mirror=True, device=device, progress=progress))


def predict_view(
    run: Run,
    split: LabelledSplit,
    *,
    mirror: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Candidates of a run's weights on a split, from the run's cache when weights, data, size and tiles are the same.

    Args:
        run: A run with weights; with `tiles` in its configuration these are looked at beside the whole image.
        split: The images.
        mirror: Show the network the mirrored images; boxes are in pixels of the images as they are.
        device: Torch device; CUDA when there is one, else the CPU, when not given.
        progress: Wraps the images when they have to be predicted.

    Raises:
        ConfigError: There is no such device.
        DataError: The data set was built again from another split.
        ModelError: The weights cannot be read or do not fit the classes of the data.
        ImageError: An image cannot be read.
    """
    require_same_split(run)
    path = cache_path(run, split, mirror=mirror)
    cached = _read(path)
    if cached is not None and cached.image_id == split.image_id:
        return cached
    model = load_model(run.weights, classes=split.classes, device=device)
    paths = progress(split.files, len(split.files)) if progress else split.files
    found = _predict(model, paths, size_px=run.config.image_size_px, tiles=run.config.tiles, mirror=mirror)
    candidates = Candidates(split.image_id, tuple(found))
    _write(path, candidates)
    return candidates


def cache_path(run: Run, split: LabelledSplit, *, mirror: bool = False) -> Path:
    """Where the candidates of a view are kept; the name changes with weights, data set, input size, tiles and view."""
    manifest = run.config.data / FILE_NAME
    data = sha256_of(manifest) if manifest.is_file() else "none"
    tiles = () if run.config.tiles is None else (run.config.tiles.model_dump_json(),)
    parts = (sha256_of(run.weights), data, str(run.config.image_size_px), str(FLOOR), *tiles, *(("mirrored",) * mirror))
    key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
    return run.folder / FOLDER / f"{split.name}-{key}.npz"


def read_checkpoint(weights: Path) -> Any:  # noqa: ANN401 -- a model of ultralytics
    """The model in a checkpoint, as it was saved, or the ensemble of `detect.ensemble`.

    Raises:
        ModelError: The file is not a checkpoint of ultralytics, or only a part of one.
    """
    from ultralytics.nn.tasks import load_checkpoint

    try:
        return ensemble_of(members_of(weights)) if weights.name == ENSEMBLE_FILE else load_checkpoint(weights)[0]
    except Exception as error:  # pickle, zip and attribute errors of every kind
        raise ModelError(
            f"{weights}: not weights of ultralytics, or damaged ({_one_line(error)}); give another file, or train again"
        ) from None


def load_model(weights: Path, *, classes: Sequence[str], device: str | None = None) -> torch.nn.Module:
    """A checkpoint of ultralytics, fused and ready to predict.

    Raises:
        ConfigError: There is no such device.
        ModelError: The file is not such a checkpoint, or it was trained on other classes.
    """
    model = read_checkpoint(weights)
    names = tuple(str(model.names[i]) for i in sorted(model.names))
    if names != tuple(classes):
        raise ModelError(
            f"{weights}: trained on {len(names)} classes ({', '.join(names)}), "
            f"the data set has {len(classes)} ({', '.join(classes)}); use the data set it was trained on"
        )
    fused: torch.nn.Module = model.fuse(verbose=False).float().eval()
    return _to_device(fused, device or ("cuda" if torch.cuda.is_available() else "cpu"))


def head_of(model: torch.nn.Module, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The raw output `(B, 4 + classes, places)` of a model for network inputs `(S, S)`.

    Raises:
        ModelError: The model's output has another form, as that of detectors with built-in suppression has.
    """
    device = next(model.parameters()).device
    unit = torch.from_numpy(np.stack([to_unit(square) for square in squares])).to(device)
    with torch.inference_mode():
        output: Any = model(unit[:, None].expand(-1, 3, -1, -1))
    head = output[0] if isinstance(output, list | tuple) else output
    names: Any = model.names
    expected = 4 + len(names)
    if head.ndim != 3 or head.shape[1] != expected:
        raise ModelError(
            f"the model gives {tuple(head.shape)}, expected (B, {expected}, N); use a YOLOv8-like detector"
        )
    return np.asarray(head.float().cpu().numpy(), np.float32)


def pack(candidates: Candidates) -> dict[str, Any]:
    """Candidates as named arrays for an `.npz` file; at least one image."""
    found = candidates.per_image
    return {
        "xyxy": np.concatenate([one.xyxy for one in found]),
        "score": np.concatenate([one.score for one in found]),
        "class_id": np.concatenate([one.class_id for one in found]).astype(np.int16),
        "count": np.array([len(one) for one in found], np.int64),
        "size_px": np.array([(one.width_px, one.height_px) for one in found], np.int64),
        "image_id": np.array(candidates.image_id),
    }


def unpack(arrays: Mapping[str, Any]) -> Candidates:
    """Candidates from the arrays of `pack`.

    Raises:
        KeyError: An array is missing.
    """
    arrays = {name: arrays[name] for name in _ARRAYS}
    ends = np.cumsum(arrays["count"])
    per_image = tuple(
        Detections(
            arrays["xyxy"][end - count : end],
            arrays["score"][end - count : end],
            arrays["class_id"][end - count : end].astype(np.int64),
            int(width),
            int(height),
        )
        for end, count, (width, height) in zip(ends, arrays["count"], arrays["size_px"], strict=True)
    )
    return Candidates(tuple(str(name) for name in arrays["image_id"]), per_image)


def _to_device(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Move a model to a device, named as torch does it (`cuda:0`) or as `train.py` does it (`0`)."""
    try:
        return model.to(f"cuda:{device}" if device.isdecimal() else device)
    except (RuntimeError, AssertionError) as error:  # torch knows devices it was built without
        raise ConfigError(f"device: '{device}' cannot be used ({_one_line(error)}); try --device cpu") from None


def _predict(
    model: torch.nn.Module, paths: Iterable[Path], *, size_px: int, tiles: Tiles | None, mirror: bool
) -> Iterator[Detections]:
    waiting: list[Prepared] = []
    for path in paths:
        waiting.append(prepare(read_image(path).pixels, size_px, tiles=tiles))
        if sum(len(film.squares) for film in waiting) >= BATCH:
            yield from _look(model, waiting, mirror=mirror)
            waiting = []
    if waiting:
        yield from _look(model, waiting, mirror=mirror)


def _look(model: torch.nn.Module, films: Sequence[Prepared], *, mirror: bool) -> Iterator[Detections]:
    squares = [square for film in films for square in film.squares]
    shown = mirrored(squares) if mirror else squares
    batches = (shown[start : start + BATCH] for start in range(0, len(shown), BATCH))
    heads = [head for batch in batches for head in head_of(model, batch)]
    for film in films:
        count = len(film.squares)
        yield decode_view(heads[:count], film, mirror=mirror)
        heads = heads[count:]


def _write(path: Path, candidates: Candidates) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, **pack(candidates))


def _read(path: Path) -> Candidates | None:
    """Kept candidates; None when there are none or the file is damaged, in which case they are made again."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            return unpack(stored)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def require_boxes(split: LabelledSplit, *, purpose: str) -> None:
    """Make sure that a split has true boxes.

    Raises:
        DataError: It has none.
    """
    if len(split.truth) == 0:
        raise DataError(f"the split '{split.name}' has no boxes, which {purpose} needs; make another split")


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
