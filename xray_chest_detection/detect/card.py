"""The model card of a run: what it was trained on, what was measured, and what it must not be trusted with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import FILE_NAME, Manifest, read_manifest
from xray_chest_detection.core.model_card import SYNTHETIC_DATA, Metric, ModelCard, TrainingData
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.data.yolo import INDEX_FILE, read_classes
from xray_chest_detection.detect.ensemble import Ensemble
from xray_chest_detection.detect.predict import read_checkpoint
from xray_chest_detection.detect.results import read_kept
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.thresholds import read_tuned

TWIN = "a twin trained by the same recipe without the test patients"
_AT_POINT = " at the operating point"
# What a card repeats of an evaluation, in this order; everything else stays in the run folder.
_EACH_CLASS = "AP50 "
_ON_CARD = (
    *("mAP50", "mAP40", "mAP50-95", _EACH_CLASS),
    *(
        f"sensitivity at {rate} false positives per image, IoU {LOW_IOU:g}{label}"
        for label in ("", ", class ignored")
        for rate in ("0.5", "1", "2")
    ),
    *(f"{name}{_AT_POINT}" for name in ("precision", "recall", "F1", "false positives per image")),
    *("AUROC any finding", f"ECE at IoU {LOW_IOU:g}"),
)

_SOURCES = {
    "nih": (
        "NIH ChestX-ray14, images with boxes and finding-free images",
        "NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC (Wang et al., CVPR 2017)",
        "free to use; the NIH Clinical Center asks to be named as the source and Wang et al. 2017 to be cited",
    ),
    "vinbigdata": (
        "VinDr-CXR, training part with three readers per image",
        "VinBigData, https://www.kaggle.com/c/vinbigdata-chest-xray-abnormalities-detection (Nguyen et al. 2022)",
        "rules of the competition: non-commercial research",
    ),
}
_CALIBRATED = (
    "Scores were mapped to the share of right boxes on the few films of the validation split; on other films the share "
    "is another."
)
_NOT_CALIBRATED = (
    "Scores are not probabilities. They order the boxes of one model and cannot be compared between models."
)
_READERS = {
    "nih": "NIH: one reader for each image, whose boxes are taken as they are.",
    "vinbigdata": "VinDr-CXR: three radiologists for each image, independent of each other.",
}
_OF_A_TWIN = (
    "These weights were also trained on the films of the test patients, so nobody knows how good they are. "
    f"Thresholds and numbers are those of {TWIN}."
)
_SYNTHETIC = (SYNTHETIC_DATA, "drawn by data_prep.sample of this project", "CC0-1.0")


def make_card(
    run: Run,
    *,
    name: str,
    file: str,
    sha256: str,
    companions: dict[str, str],
    architecture: str,
    classes: Sequence[str],
    export: dict[str, Any],
    measured_by: Run | None = None,
) -> ModelCard:
    """Fill a card from a run.

    Args:
        run: A trained run.
        name: Key of the model.
        file: Name of the model file.
        sha256: Its digest.
        companions: Further files the model needs, name to digest.
        architecture: For example `YOLOv8n`.
        classes: Class names by class id.
        export: Format, parity and whatever else the export found out.
        measured_by: A twin, from which everything comes that was measured: thresholds, score maps and numbers. Without
            one that is the run itself.

    Raises:
        DataError: The data set's manifest is missing.
        ModelError: There are no thresholds for the weights, or the evaluation is damaged.
    """
    config, data = run.config, read_manifest(run.config.data)
    source = measured_by or run
    tuned, kept = read_tuned(source), read_kept(source)
    return ModelCard(
        name=name,
        title=config.title or name.replace("_", " ").title(),
        file=file,
        sha256=sha256,
        companions=companions,
        architecture=architecture,
        image_size_px=config.image_size_px,
        classes=tuple(classes),
        thresholds=tuned.thresholds,
        tiles=tuned.views.tiles,
        flip=tuned.views.flip,
        score_maps=tuned.views.score_maps,
        training_data=training_data(run, data),
        recipe=_recipe(run) | ({"export": export} if export else {}),
        versions=_versions(run),
        metrics=_for_card(kept.metrics),
        operating_curve=kept.operating_curve,
        measured_on=TWIN if measured_by else "",
        limits=(*[_OF_A_TWIN] * bool(measured_by), *limits(run, data, kept.metrics)),
        created=_created(run),
    )


def training_data(run: Run, data: Manifest) -> TrainingData:
    """Name, source, licence and counts of the data a run was trained on."""
    known = [_SYNTHETIC] if run.config.synthetic else [_SOURCES.get(name, (name,) * 3) for name in _sources(run)]
    names, sources, licences = (" + ".join(dict.fromkeys(column)) for column in zip(*known, strict=True))
    return TrainingData(
        name=names,
        source=sources,
        licence=licences,
        counts=data.counts,
        split_sha256=data.inputs.get("split.csv"),
        readers=_readers(run, data),
    )


def card_of_checkpoint(run: Run) -> ModelCard:
    """The card of a run's weights as training left them, for a look at it before an export.

    Raises:
        DataError: The data set or its manifest is missing.
        ModelError: There are no thresholds for these weights, or the evaluation is damaged.
    """
    return make_card(
        run,
        name=run.config.name,
        file=run.weights.name,
        sha256=sha256_of(run.weights),
        companions={},
        architecture=architecture_of(read_checkpoint(run.weights)),
        classes=read_classes(run.config.data),
        export={},
    )


def architecture_of(model: object) -> str:
    """Name of the architecture of a model of ultralytics."""
    name = Path(str(getattr(model, "yaml", {}).get("yaml_file", "detector"))).stem.replace("yolo", "YOLO")
    return f"mean of {len(model.members)} {name}" if isinstance(model, Ensemble) else name


def limits(run: Run, data: Manifest, metrics: Sequence[Metric]) -> tuple[str, ...]:
    """What the numbers and the data say against trusting the model, one sentence each."""
    if run.config.synthetic:
        return ("Trained on drawings. It knows nothing about patients and exists to show that the program runs.",)
    return (
        *_measured_limits(metrics),
        *_data_limits(data, sources=_sources(run)),
        "Frontal films only, children are rare; lateral views, CT scouts and photographs of a screen were never seen.",
        "A film without a mark is not a normal film: most findings have no class here, and many of those that have one "
        "are missed.",
        _CALIBRATED if run.config.calibrate else _NOT_CALIBRATED,
        "Not tested prospectively, on other hospitals, or for differences between sexes, ages and ethnic groups.",
    )


def _measured_limits(metrics: Sequence[Metric]) -> list[str]:
    value = {metric.name: metric for metric in metrics}
    sentences = []
    recall, alarms = value.get(f"recall{_AT_POINT}"), value.get(f"false positives per image{_AT_POINT}")
    if recall and recall.value is not None and alarms and alarms.value is not None:
        sentences.append(
            f"On unseen patients it marks {recall.value:.0%} of the boxed findings at IoU 0.5 and draws "
            f"{alarms.value:.2f} wrong boxes per film."
        )
    classes = {name.removeprefix("AP50 "): metric for name, metric in value.items() if name.startswith("AP50 ")}
    weak = [name for name, metric in classes.items() if metric.value is not None and metric.value < 0.1]
    if weak:
        sentences.append(f"Close to useless for {', '.join(weak)}: AP50 below 0.10.")
    wide = [metric for metric in metrics if metric.name == "mAP50" and metric.low is not None]
    if wide and wide[0].n_boxes:
        sentences.append(
            f"Measured on {wide[0].n_boxes} boxes of {wide[0].n_images} films, so every number is uncertain: "
            f"mAP50 lies between {wide[0].low:.2f} and {wide[0].high:.2f} with 95 % confidence."
        )
    return sentences


def _data_limits(data: Manifest, *, sources: Sequence[str]) -> list[str]:
    train = data.counts.get("train", {})
    sentences = []
    if "boxes" in train:
        sentences.append(f"Trained on {train['boxes']} boxes of {train.get('patients', '?')} patients: far too few.")
    if "nih" in sources:
        sentences.append(
            "The NIH films come from one hospital in the United States, many of them taken at the bedside; boxes were "
            "drawn by one reader per film, and only for findings that a program had read out of the report."
        )
    if "vinbigdata" in sources:
        sentences.append("The VinDr films come from two hospitals in Viet Nam, each read by three radiologists.")
    return sentences


def _sources(run: Run) -> list[str]:
    index = pd.read_csv(run.config.data / INDEX_FILE, dtype=str, usecols=["source"])
    return sorted(index["source"].dropna().unique())


def _readers(run: Run, data: Manifest) -> str:
    """How many readers the sources have and, as far as the tables still tell, how their boxes became one set."""
    if run.config.synthetic:
        return ""
    sources = _sources(run)
    sentences = [_READERS[name] for name in sources if name in _READERS]
    rule = _consensus(Path(str(data.config.get("tables", ""))))
    if "vinbigdata" in sources and rule:
        sentences.append(f"Boxes of several readers became one set by the consensus rule {rule}.")
    return " ".join(sentences)


def _consensus(tables: Path) -> str:
    """The consensus rule of united tables; empty when the tables are gone or of another kind."""
    if not (tables / FILE_NAME).is_file():
        return ""
    settings = read_manifest(tables).config.get("consensus") or {}
    return f"{settings['rule']} (IoU {settings['iou']:g})" if {"rule", "iou"} <= settings.keys() else ""


def _versions(run: Run) -> dict[str, str]:
    return read_manifest(run.folder).versions if run.finished else {}


def _recipe(run: Run) -> dict[str, Any]:
    kept = (
        *("epochs", "image_size_px", "batch", "optimizer", "learning_rate", "cosine", "warmup_epochs", "seed"),
        *("networks", "checkpoint", "start_share", "precision", "mask_unknown", "mask_unlocated"),
    )
    settings = run.config.model_dump(mode="json")
    # Runs from before a setting existed did not do what its default says.
    trained_with = read_manifest(run.folder).config if run.finished else settings
    changes = {name: value for name, value in settings["augment"].items() if value}
    return {name: settings[name] for name in kept if name in trained_with} | {
        "weights": _start(run),
        "augment": changes,
    }


def _start(run: Run) -> str:
    """Where training started, without folders of the machine it ran on."""
    parts = run.config.weights.replace("\\", "/").split("/")
    return "/".join(parts[-3:]) if parts[-1] in ("best.pt", "last.pt", "blend.pt") else parts[-1]


def _created(run: Run) -> str:
    return read_manifest(run.folder).created if run.finished else ""


def _for_card(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    place = {name: number for number, name in enumerate(_ON_CARD)}
    kinds = {metric.name: _EACH_CLASS if metric.name.startswith(_EACH_CLASS) else metric.name for metric in metrics}
    kept = [metric for metric in metrics if kinds[metric.name] in place]
    return tuple(sorted(kept, key=lambda metric: place[kinds[metric.name]]))
