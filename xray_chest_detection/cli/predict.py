"""`xray predict`: findings of one image or of a folder of images, as JSON. Needs `requirements.txt` only."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from xray_chest_detection.core.files import atomic_path, write_text
from xray_chest_detection.core.images import read_image, starts_like_an_image
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.core.tiling import SIDES, Tiles
from xray_chest_detection.errors import DataError, ImageError, ModelError
from xray_chest_detection.inference.chest_gate import FILE_NAME, ChestGate, check_record
from xray_chest_detection.inference.network import Runtime
from xray_chest_detection.inference.predict import detect_radiograph, to_record
from xray_chest_detection.inference.registry import ORDER, Registry
from xray_chest_detection.inference.render import four_panel

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".webp", ".bmp", ".dcm", ".dicom", ".dic", ".ima")
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Find abnormalities on radiographs and write them to a JSON file. Research software, not a medical device.

    Attributes:
        source: An image, or a folder that is searched with all its sub-folders. PNG, JPEG, TIFF, WebP, BMP or DICOM.
        out: The JSON file to write.
        models: Names of models, joined by commas.
        pictures: Folder for a PNG of every image with the marks of all models side by side; none when not given.
        conf: Score from which a box is written; replaces the thresholds of the models' cards.
        tiles: Side of overlapping tiles, as a share of the film's longer side, that are looked at beside the whole
            film, for example 0.5: small findings are larger there. Takes several times as long; thresholds were chosen
            for the tiles of each model's card, or for none. Those of the cards when not given.
        checkpoints: Folder with the models and their cards.
        threads: Threads for one image; None uses every core.
        runtime: What runs the models: `onnxruntime`; `openvino`, which finds the same boxes in less time and is an
            extra (pip install -e '.[openvino]'); `openvino-fast`, which computes in bfloat16 where the CPU has it.
    """

    source: Path
    out: Path
    models: str = "multi,binary,cardiomegaly,mass_nodule"
    pictures: Path | None = None
    conf: float | None = None
    tiles: float | None = None
    checkpoints: Path = field(default=Path("checkpoints"))
    threads: int | None = None
    runtime: Runtime | None = None


def main(argv: Sequence[str]) -> int:
    """Run the command; 1 when some files could not be read, 0 otherwise.

    Raises:
        XrayError: The source, the models or the output cannot be used.
    """
    options = tyro.cli(Options, args=list(argv), prog="xray predict")
    models = tuple(dict.fromkeys(name.strip() for name in options.models.split(",") if name.strip()))
    problem = _usage_problem(options, models)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    files = find_images(options.source)
    if options.out.is_dir():
        raise DataError(f"{options.out}: is a folder; give the name of the JSON file to write")
    registry = Registry.load(options.checkpoints, threads=options.threads, runtime=options.runtime)
    for name in models:
        registry.get(name)
    images, errors = _predict_all(files, options, registry, models)
    write_text(options.out, _to_json(images, errors))
    return 1 if errors else 0


def find_images(source: Path) -> list[Path]:
    """The images a source stands for: the file itself, or every image below the folder, sorted.

    An image is known by its suffix or by its first bytes, so that DICOM files without a suffix are found. Hidden
    files, hidden folders and DICOMDIR indexes are passed over.

    Raises:
        DataError: The source does not exist, or the folder holds no image.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: no such file or folder; give an image or a folder of images")
    visible = (path for path in source.rglob("*") if not _is_hidden(path.relative_to(source)))
    found = sorted(path for path in visible if path.is_file() and _is_image(path))
    if not found:
        raise DataError(f"{source}: no image in this folder (PNG, JPEG, TIFF, WebP, BMP, DICOM)")
    return found


def _usage_problem(options: Options, models: Sequence[str]) -> str | None:
    if not models:
        return "--models: give at least one name, for example multi"
    if options.conf is not None and not (math.isfinite(options.conf) and 0 <= options.conf <= 1):
        return f"--conf: {options.conf:g} is not a score between 0 and 1"
    if options.tiles is not None and not SIDES[0] <= options.tiles <= SIDES[1]:
        return f"--tiles: {options.tiles:g} is not a share between {SIDES[0]:g} and {SIDES[1]:g}"
    if options.threads is not None and options.threads < 1:
        return f"--threads: {options.threads} is less than 1"
    return None


def _predict_all(
    files: Sequence[Path], options: Options, registry: Registry, models: Sequence[str]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Results of the readable files, and a message for each of the others, which is also printed."""
    tiles = None if options.tiles is None else Tiles(side=options.tiles)
    gate = _open_gate(options.checkpoints)
    images: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for path in _with_progress(files):
        name = path.relative_to(options.source).as_posix() if options.source.is_dir() else path.name
        try:
            radiograph = read_image(path, name=name)
        except ImageError as error:
            errors.append({"file": name, "error": str(error)})
            print(f"error: {error}", file=sys.stderr)
            continue
        found = detect_radiograph(registry, radiograph, models=models, conf=options.conf, tiles=tiles)
        check = None if gate is None else gate.check(radiograph.pixels)
        if check is not None and check.message:
            print(f"note: {name}: {check.message}", file=sys.stderr)
        chest = None if check is None else check_record(check)
        images.append(to_record(registry, radiograph, found) | {"chest": chest})
        if options.pictures is not None:
            cards = {model: registry.get(model).card for model in models}
            conf = None if options.conf is None else dict.fromkeys(models, options.conf)
            sheet = four_panel(radiograph, found, cards, conf=conf, order=ORDER)
            file = name if name.lower().endswith(".png") else f"{name}.png"
            with atomic_path(options.pictures / file) as temporary:
                sheet.save(temporary)
    return images, errors


def _open_gate(folder: Path) -> ChestGate | None:
    """The chest gate beside the models; None without one, and a note when it cannot be used."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    try:
        return ChestGate.load(path)
    except ModelError as error:
        print(f"note: {error}", file=sys.stderr)
        return None


def _to_json(images: Sequence[dict[str, Any]], errors: Sequence[dict[str, str]]) -> str:
    """One line per image and per error: readable, and a third of the size of a fully indented file."""

    def lines(rows: Sequence[dict[str, Any]]) -> str:
        return ",".join(f"\n  {json.dumps(row, ensure_ascii=False)}" for row in rows) + ("\n " if rows else "")

    notice = json.dumps(NOT_A_DEVICE)
    return f'{{\n "notice": {notice},\n "images": [{lines(images)}],\n "errors": [{lines(errors)}]\n}}\n'


def _with_progress(files: Sequence[Path]) -> Iterator[Path]:
    """The files, counted on standard error when that is a terminal."""
    shown = sys.stderr.isatty()
    for number, path in enumerate(files, start=1):
        if shown:
            print(f"\r\x1b[K{number} of {len(files)} images", end="", file=sys.stderr, flush=True)
        yield path
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def _is_image(path: Path) -> bool:
    if path.name.upper() == "DICOMDIR":
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return False
    headless_dicom = path.suffix == "" and head[:2] in (b"\x02\x00", b"\x08\x00")
    return headless_dicom or starts_like_an_image(head)
