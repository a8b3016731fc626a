"""From a run to a deployable model: file and card, written only when the file says what the torch model says."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xray_chest_detection.core.files import atomic_path, sha256_of
from xray_chest_detection.core.model_card import CARD_SUFFIX, ModelCard, write_card
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.card import make_card
from xray_chest_detection.detect.export_files import OPSET, Format, float_onnx, write_format
from xray_chest_detection.detect.parity import MAX_MAP50_CHANGE, Parity, Progress, compare
from xray_chest_detection.detect.predict import require_boxes
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.twins import require_twin
from xray_chest_detection.errors import DataError, ModelError
from xray_chest_detection.inference.network import IR_SUFFIX, IR_WEIGHTS_SUFFIX
from xray_chest_detection.inference.session import DetectorSession


@dataclass(frozen=True)
class Exported:
    """A written model: its file, its card, how it compares, and the size of its files."""

    path: Path
    card: ModelCard
    parity: Parity
    size_bytes: int


def export(
    run: Run,
    *,
    out: Path,
    name: str | None = None,
    form: Format = "fp16",
    force: bool = False,
    measured_by: Run | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a model file and `<name>.card.yaml`.

    Args:
        run: A run with weights and thresholds.
        out: Folder of the files.
        name: Key of the model; the run's name when not given.
        form: The file format, as in `export_files.write_format`.
        force: Write the model even when mAP50 on val changes by more than 0.01.
        measured_by: A run of the same recipe on other data, whose thresholds, score maps and numbers the card gets:
            for weights that were trained on all films, so that none are left to measure them on.
        progress: Wraps the images of the comparison.

    Raises:
        DataError: The validation split is missing or has no boxes, or the files cannot be written.
        ModelError: The weights cannot be exported, there are no thresholds, the exported model differs too much, or
            the other run is no twin of this one.
    """
    if measured_by is not None:
        require_twin(run, measured_by)
    name = name or run.config.name
    split = read_export_split(run)
    with scratch_folder() as temporary:
        model, architecture = float_onnx(run, split, temporary)
        file = write_format(model, form, temporary / name, split=split, size_px=run.config.image_size_px)
        card_path = write_described(run, split, file, form=form, architecture=architecture, measured_by=measured_by)
        session = DetectorSession(card_path)
        parity = compare(run, split, session, progress=progress)
        if parity.differs and not force:
            raise ModelError(
                f"{run.folder}: as {form} mAP50 on val goes from {parity.map50_torch:.3f} to "
                f"{parity.map50_exported:.3f}, more than {MAX_MAP50_CHANGE:g}; try --format fp32, or --force to keep it"
            )
        described = session.card.recipe["export"] | {"parity_on_val": _rounded(asdict(parity))}
        card = session.card.model_copy(update={"recipe": session.card.recipe | {"export": described}})
        return Exported(_publish(file, out, card), card, parity, size_of(file))


def read_export_split(run: Run) -> LabelledSplit:
    """The split an export is compared on.

    Raises:
        DataError: It is missing, empty or without boxes.
    """
    split = read_labelled_split(run.config.data, "val")
    require_boxes(split, purpose="the comparison of an export with the torch model")
    return split


def write_described(
    run: Run, split: LabelledSplit, file: Path, *, form: Format, architecture: str, measured_by: Run | None = None
) -> Path:
    """Write the card of a model file beside it and return the card's path.

    Raises:
        ModelError: There are no thresholds for the run's weights.
    """
    weights = file.with_suffix(IR_WEIGHTS_SUFFIX)
    card = make_card(
        run,
        name=file.stem,
        file=file.name,
        sha256=sha256_of(file),
        companions={weights.name: sha256_of(weights)} if file.suffix == IR_SUFFIX else {},
        architecture=architecture,
        classes=split.classes,
        export={"format": form, "opset": OPSET},
        measured_by=measured_by,
    )
    path = file.with_name(f"{file.stem}{CARD_SUFFIX}")
    write_card(path, card)
    return path


def size_of(file: Path) -> int:
    """Bytes of a model file, with the weights of an OpenVINO model."""
    return file.stat().st_size + (file.with_suffix(IR_WEIGHTS_SUFFIX).stat().st_size if file.suffix == IR_SUFFIX else 0)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that is removed with all it holds.

    Raises:
        DataError: The disk it lies on is full.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="xray-export-") as temporary:
            yield Path(temporary)
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: an export cannot be written there ({error.strerror or error}); "
            "free some space, or set TMPDIR to another folder"
        ) from error


def _publish(file: Path, out: Path, card: ModelCard) -> Path:
    """Put the model's files and then its card into their folder, each whole or not at all."""
    for name in (*card.companions, card.file):
        with atomic_path(out / name) as temporary:
            shutil.copyfile(file.with_name(name), temporary)
    write_card(out / f"{card.name}{CARD_SUFFIX}", card)
    return out / card.file


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
