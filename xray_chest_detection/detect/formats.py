"""Every format a run can be exported to, measured side by side: size, time of a film, and what the numbers lose."""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.machine import cpu_name, usable_cores
from xray_chest_detection.core.manifest import versions_of
from xray_chest_detection.core.nms import nms
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.export import read_export_split, scratch_folder, size_of, write_described
from xray_chest_detection.detect.export_files import Format, float_onnx, write_format
from xray_chest_detection.detect.parity import Parity, Progress, compare
from xray_chest_detection.detect.predict import head_of, load_model
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import TunedThresholds, read_tuned
from xray_chest_detection.inference.decode import FLOOR
from xray_chest_detection.inference.network import RUNTIMES, Runtime
from xray_chest_detection.inference.session import DetectorSession
from xray_chest_detection.inference.views import Prepared, combine, decode_view, mirrored, prepare

FORMATS_FILE = "formats.json"
THREADS = (1, 2)
ROUNDS = 3  # every candidate is timed in several turns, so that a busy minute of the machine hits all of them
FILMS_A_ROUND = 5
WARM_UP = 2

Detect = Callable[[Prepared], object]
Candidate = tuple[str, str]  # format and runtime
Opener = Callable[[int], AbstractContextManager[Detect]]


@dataclass(frozen=True)
class Measured:
    """One format in one runtime.

    Attributes:
        form: `torch` for the checkpoint itself, else a format of `export_files`.
        runtime: What runs it.
        size_bytes: Size of its files.
        latency_ms: Number of threads to the median time of one film, letterboxed before: network, decoding and
            suppression, with all views of the deployed model.
        parity: How far it is from the torch model; None for that model.
    """

    form: str
    runtime: str
    size_bytes: int
    latency_ms: dict[int, float]
    parity: Parity | None


@dataclass(frozen=True)
class Comparison:
    """The formats of a run side by side.

    Attributes:
        run: Name of the run.
        image_size_px: Side of the network input.
        n_images: Images of the validation split.
        n_boxes: True boxes on them.
        map50_torch: mAP50 of the torch model.
        timed_runs: Films behind each time.
        machine: CPU, cores, and versions of the runtimes.
        rows: The torch model, then each format in each runtime.
    """

    run: str
    image_size_px: int
    n_images: int
    n_boxes: int
    map50_torch: float
    timed_runs: int
    machine: dict[str, Any]
    rows: tuple[Measured, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        rows = []
        for row in self.rows:
            change = (
                {} if row.parity is None else {"map50_change": row.parity.map50_change, "kept": not row.parity.differs}
            )
            rows.append(asdict(row) | change)
        return {**{name: value for name, value in vars(self).items() if name != "rows"}, "rows": rows}


def compare_formats(
    run: Run, forms: Sequence[Format], *, timed_runs: int = 30, progress: Progress | None = None
) -> Comparison:
    """Export a run to each format and measure every one in every runtime that reads it. Nothing is kept.

    Args:
        run: A run with weights and thresholds.
        forms: The formats.
        timed_runs: Films behind each time, at least 3; they take turns over eight films of the validation split.
        progress: Wraps the images of each comparison.

    Raises:
        DataError: The validation split is missing or has no boxes, or the disk is full.
        ModelError: The weights cannot be exported, or there are no thresholds.
    """
    split, size_px = read_export_split(run), run.config.image_size_px
    films = [prepare(read_image(path).pixels, size_px, tiles=run.config.tiles) for path in split.files[:8]]
    openers: dict[Candidate, Opener] = {
        ("torch", "torch"): lambda threads: _torch_detector(run, split, read_tuned(run), threads)
    }
    sizes = {"torch": run.weights.stat().st_size}
    parities: dict[Candidate, Parity] = {}
    with scratch_folder() as temporary:
        for form, card, size_bytes in _written(run, split, forms, temporary):
            sizes[form] = size_bytes
            for runtime in RUNTIMES:
                if _reads(runtime, form):
                    parities[form, runtime] = compare(
                        run, split, DetectorSession(card, runtime=runtime), progress=progress
                    )
                    openers[form, runtime] = _opener(card, runtime)
        times = _times(openers, films, timed_runs=timed_runs)
    return Comparison(
        run=run.config.name,
        image_size_px=size_px,
        n_images=len(split.files),
        n_boxes=len(split.truth),
        map50_torch=next(iter(parities.values())).map50_torch,
        timed_runs=timed_runs,
        machine={
            "cpu": cpu_name(),
            "cores": usable_cores(),
            "versions": versions_of("onnxruntime", "openvino", "torch"),
        },
        rows=tuple(Measured(*row, sizes[row[0]], times[row], parities.get(row)) for row in openers),
    )


def write_comparison(run: Run, comparison: Comparison, markdown: str) -> list[Path]:
    """Write the comparison into the run folder, as JSON and as the given Markdown."""
    paths = [run.folder / FORMATS_FILE, (run.folder / FORMATS_FILE).with_suffix(".md")]
    write_text(paths[0], json.dumps(comparison.to_dict(), indent=1) + "\n")
    write_text(paths[1], markdown)
    return paths


def _written(run: Run, split: LabelledSplit, forms: Sequence[Format], folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Write each format with its card; gives its name, the path of the card and its size in bytes."""
    model, architecture = float_onnx(run, split, folder)
    for form in forms:
        (folder / form).mkdir()
        stem = folder / form / run.config.name
        file = write_format(model, form, stem, split=split, size_px=run.config.image_size_px)
        yield form, write_described(run, split, file, form=form, architecture=architecture), size_of(file)


def _reads(runtime: Runtime, form: str) -> bool:
    return form != "openvino" or runtime != "onnxruntime"


@contextmanager
def _session(card: Path, runtime: Runtime, threads: int) -> Iterator[Detect]:
    session = DetectorSession(card, runtime=runtime, threads=threads)
    yield session.detect_prepared


def _opener(card: Path, runtime: Runtime) -> Opener:
    return lambda threads: _session(card, runtime, threads)


@contextmanager
def _torch_detector(run: Run, split: LabelledSplit, tuned: TunedThresholds, threads: int) -> Iterator[Detect]:
    model = load_model(run.weights, classes=split.classes, device="cpu")
    views, point = tuned.views, tuned.thresholds
    floor = FLOOR if views.flip or views.score_maps else point.conf

    def look(film: Prepared, *, mirror: bool) -> Detections:
        squares = mirrored(film.squares) if mirror else film.squares
        heads = [head_of(model, [square])[0] for square in squares]
        return decode_view(heads, film, mirror=mirror, floor=floor)

    def detect(film: Prepared) -> Detections:
        seen = [look(film, mirror=mirror) for mirror in (False, True)[: 1 + views.flip]]
        found = combine(seen, score_maps=views.score_maps, classes=split.classes)
        return nms(found, conf=point.conf, iou=point.iou, agnostic=point.agnostic)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield detect
    finally:
        torch.set_num_threads(before)


def _times(
    openers: dict[Candidate, Opener], films: Sequence[Prepared], *, timed_runs: int
) -> dict[Candidate, dict[int, float]]:
    """Median milliseconds of each candidate for each number of threads."""
    seconds: dict[Candidate, dict[int, list[float]]] = {row: {threads: [] for threads in THREADS} for row in openers}
    rounds = max(1, min(ROUNDS, timed_runs // FILMS_A_ROUND))
    for turn in range(rounds):
        numbers = range(turn, timed_runs, rounds)
        for row, opener in openers.items():
            for threads in THREADS:
                with opener(threads) as detect:
                    seconds[row][threads] += _timed(detect, films, numbers)
    return {
        row: {threads: round(1000 * statistics.median(found), 2) for threads, found in per_threads.items()}
        for row, per_threads in seconds.items()
    }


def _timed(detect: Detect, films: Sequence[Prepared], numbers: Iterable[int]) -> list[float]:
    for _ in range(WARM_UP):
        detect(films[0])
    found = []
    for number in numbers:
        start = time.perf_counter()
        detect(films[number % len(films)])
        found.append(time.perf_counter() - start)
    return found
