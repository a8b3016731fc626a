"""Self-training: tables in which a deployed model's best boxes stand for findings that nobody located."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.manifest import (
    FILE_NAME,
    Manifest,
    hash_inputs,
    is_up_to_date,
    read_manifest,
    versions_of,
    write_manifest,
)
from xray_chest_detection.core.model_card import ModelCard
from xray_chest_detection.core.schemes import ClassScheme
from xray_chest_detection.data.build import GUESSES, TEACHER, read_view
from xray_chest_detection.data.folders import new_folder
from xray_chest_detection.data.pseudo_boxes import MIN_SCORE, BestBoxes, HitRate, best_boxes, guess_boxes, hit_rates
from xray_chest_detection.data.pseudo_tables import Films, gather_films
from xray_chest_detection.data.splits import SPLIT_FILE, read_split, write_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables, write_tables
from xray_chest_detection.errors import DataError, ModelError
from xray_chest_detection.inference.session import DetectorSession

STEP = "xray pseudo-label"

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class PseudoLabels:
    """What came of asking a model.

    Attributes:
        counts: What the manifest counts: films, guesses, and under `guesses` the hit rates.
        written: Whether something was written; False when everything was up to date.
        remark: What could not be checked; empty when all could.
    """

    counts: dict[str, Any]
    written: bool
    remark: str


def pseudo_label(
    teacher: Path,
    data: Path,
    films: Path,
    out: Path,
    *,
    min_weight: float = 0.35,
    iou: float = 0.4,
    everyone: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PseudoLabels:
    """Write the tables and the split of a data set with guessed boxes, for `data_prep.build_yolo`.

    Args:
        teacher: Card of the model that guesses.
        data: A data set of the split the model was trained on; its validation part says how often guesses hit.
        films: Folder of tables with further films, from `data_prep.nih --unboxed`.
        out: Folder to write.
        min_weight: Classes whose guesses would count less get none.
        iou: Overlap from which a guess hits.
        everyone: Guess on films of val and test patients too; such tables can only be trained on as a whole.
        threads: Threads of the model; None: every core.
        progress: Wraps the films the model looks at.

    Raises:
        DataError: A table, the split or the data set is missing or does not fit, or there is nothing to guess.
        ModelError: The model may have seen the validation part, has other classes, or cannot be used.
        ImageError: A film cannot be read.
    """
    view = read_view(data)
    session = DetectorSession(teacher, threads=threads)
    split_path, scheme = view.split / SPLIT_FILE, read_scheme(view.scheme)
    remark = _check_teacher(teacher, session.card, scheme, split_path)
    images, annotations = read_tables(view.tables)
    more, more_boxes = read_tables(films)
    unboxed = more[~more["image_id"].isin(more_boxes["image_id"])]
    found = gather_films(images, annotations, read_split(view.split), unboxed, scheme, everyone=everyone)
    tables = (view.tables / IMAGES_FILE, view.tables / ANNOTATIONS_FILE)
    plan = Manifest(
        step=STEP,
        config={"min_weight": min_weight, "iou": iou, "everyone": everyone},
        inputs=hash_inputs(*tables, split_path, view.scheme, teacher)
        | {TEACHER: session.card.sha256}
        | {f"films/{name}": sha256_of(films / name) for name in (IMAGES_FILE, ANNOTATIONS_FILE)},
        versions=versions_of("onnxruntime", "pandas"),
    )
    if is_up_to_date(out, plan):
        return PseudoLabels(read_manifest(out).counts, written=False, remark=remark)
    best = _ask(session, found, progress)
    rates = hit_rates(best, found.truth, session.card.classes, iou=iou)
    weights = {rate.class_name: rate.weight for rate in rates if rate.is_enough(min_weight)}
    model = f"{session.card.name} {session.card.sha256[:12]}"
    guesses = guess_boxes(found.images, found.unlocated, best, weights, scheme, model=model)
    counts = _counts(found, guesses, rates, weights, scheme, more_than=len(images))
    _write(out, found, guesses, plan.model_copy(update={"counts": counts}))
    return PseudoLabels(counts, written=True, remark=remark)


def _check_teacher(path: Path, card: ModelCard, scheme: ClassScheme, split: Path) -> str:
    """Refuse a model whose hits on the validation part say nothing; what cannot be known is said."""
    strange = [name for name in card.classes if name not in scheme.classes]
    if strange:
        raise ModelError(
            f"{path}: class '{strange[0]}' is not in scheme {scheme.name} ({', '.join(scheme.classes)}); give a model "
            "of the data set's classes"
        )
    trained = card.training_data
    if card.measured_on or (trained.counts.get("test") or {}).get("images") == 0:
        raise ModelError(
            f"{path}: was trained on everything, so it has seen the films its guesses would be judged by; give a model "
            f"that was trained on the train part of {split}"
        )
    if trained.split_sha256 is None:
        return f"{path} does not say which split it was trained on: if it has seen val, the hit rates flatter"
    if trained.split_sha256 != sha256_of(split):
        raise ModelError(
            f"{path}: was trained on another split than {split} (sha256 {trained.split_sha256[:12]}...), so it may "
            "have seen the films its guesses would be judged by; give a model of this split"
        )
    return ""


def _ask(session: DetectorSession, found: Films, progress: Progress | None) -> BestBoxes:
    """The best box of every class on each film that is asked for."""
    asked = found.images[found.images["image_id"].isin(found.asked_for)]
    rows = list(asked[["image_id", "path", "width", "height"]].itertuples(index=False))
    best = {}
    for image_id, path, width, height in progress(rows, len(rows)) if progress else rows:
        seen = session.raw(read_image(Path(path)).pixels, floor=MIN_SCORE)
        best[image_id] = best_boxes(seen, session.card.classes, width=width, height=height)
    return best


def _counts(
    found: Films,
    guesses: pd.DataFrame,
    rates: tuple[HitRate, ...],
    weights: dict[str, float],
    scheme: ClassScheme,
    *,
    more_than: int,
) -> dict[str, Any]:
    source_of = dict(zip(found.images["image_id"], found.images["source"], strict=True))
    classes = [
        scheme.class_of(label, source=source_of[name])
        for name, label in zip(guesses["image_id"], guesses["class_name"], strict=True)
    ]
    unlocated = [name for _, name in found.unlocated]
    rows = {
        rate.class_name: {key: value for key, value in rate._asdict().items() if key != "class_name"}
        | {
            "weight": round(weights.get(rate.class_name, 0.0), 4),
            "unlocated": unlocated.count(rate.class_name),
            "guessed": classes.count(rate.class_name),
        }
        for rate in rates
    }
    return {"images": len(found.images), "further_images": len(found.images) - more_than, GUESSES: rows}


def _write(out: Path, found: Films, guesses: pd.DataFrame, manifest: Manifest) -> None:
    if guesses.empty:
        raise DataError("no guess hits often enough to be trained on; give a better model, or a lower --min-weight")
    with new_folder(out, marker=FILE_NAME) as folder:
        write_tables(folder, found.images, pd.concat([found.annotations, guesses], ignore_index=True))
        write_split(folder, found.split)
        outputs = hash_inputs(*(folder / name for name in (IMAGES_FILE, ANNOTATIONS_FILE, SPLIT_FILE)))
        write_manifest(folder, manifest.model_copy(update={"outputs": outputs}))
