"""What is looked at before a training starts or goes on, so that hours of it are not in vain."""

from collections import Counter
from pathlib import Path

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.dataset_files import DatasetFiles, list_dataset
from xray_chest_detection.data.label_files import LabelFiles, read_labels
from xray_chest_detection.data.provenance import require_patients_apart
from xray_chest_detection.data.yolo import DATA_FILE, INDEX_FILE, read_index
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, Start, open_run, split_digest
from xray_chest_detection.detect.side_labels import read_side_labels
from xray_chest_detection.errors import ConfigError, DataError

_CURE = "build the data set again with `python -m data_prep.build_yolo`"


def require_trainable(config: DetectConfig) -> tuple[str, ...]:
    """Refuse a data set that no useful training is possible with.

    Returns:
        What is missing but does no harm to the training itself, a sentence each.

    Raises:
        DataError: The data set is missing or damaged, has a patient in two parts, no training or validation images, no
            box in one of the two, a class without a box to learn from, or a label that ultralytics would pass over.
    """
    if not (config.data / DATA_FILE).is_file():
        raise DataError(f"{config.data}: no data set here; build it with `python -m data_prep.build_yolo` first")
    read_manifest(config.data)
    require_patients_apart(config.data)
    read_side_labels(config)
    files = list_dataset(config.data)
    labels = read_labels(files.labels, len(files.classes), config.data)
    _require_sound_labels(labels, files)
    for split, purpose in (("train", "to learn from"), ("val", "to choose the best epoch and thresholds by")):
        if not files.images[split]:
            raise DataError(f"{config.data}: the split '{split}' has no images {purpose}; {_CURE} from another split")
        if not labels.per_split[split].total():
            raise DataError(f"{config.data}: the split '{split}' has no boxes {purpose}; {_CURE} from another split")
    unlearnable = _without_box(files, labels.per_split["train"])
    if unlearnable:
        raise DataError(
            f"{config.data}: no training box of {', '.join(unlearnable)}: the model would learn to deny it; {_CURE} "
            "with a class scheme without it, or from more images"
        )
    unchosen = _without_box(files, labels.per_split["val"])
    return (
        (f"no validation box of {', '.join(unchosen)}: the best epoch and the thresholds are chosen without it",)
        if unchosen
        else ()
    )


def require_unseen_test(config: DetectConfig) -> None:
    """Refuse to start from the weights of a run that has seen patients of the test part.

    Nothing is known of weights outside of a run folder, and of a run whose data set is gone.

    Raises:
        ConfigError: Such patients are in the training or validation part of that run's data set.
    """
    folder = Path(config.weights).parent.parent
    if not (folder / CONFIG_FILE).is_file():
        return
    data = open_run(folder).config.data
    if not (data / INDEX_FILE).is_file():
        return
    theirs, mine = read_index(data), read_index(config.data)
    seen, tested = theirs[theirs["split"] != "test"], mine[mine["split"] == "test"]
    shared = set(seen["source"] + ":" + seen["patient_id"]) & set(tested["source"] + ":" + tested["patient_id"])
    if shared:
        raise ConfigError(
            f"weights: {config.weights} has seen patient '{min(shared)}', who is tested in {config.data} "
            f"({len(shared)} such patients); start from weights of the same split, or public ones such as yolov8n.pt"
        )


def require_same_data(run: Run, start: Start) -> None:
    """Refuse to go on with a training on other data than it began with.

    Raises:
        DataError: The data set was built again with other classes, or from another split.
    """
    classes, data = list_dataset(run.config.data).classes, run.config.data
    if classes != start.classes:
        raise DataError(
            f"{data}: has the classes {', '.join(classes)}, and {run.folder} began with {', '.join(start.classes)}; "
            "build it as it was, or start another run with a new --name"
        )
    if start.split_sha256 is not None and start.split_sha256 != split_digest(data):
        raise DataError(
            f"{data}: was built again from another split than {run.folder} began with, so its validation and test "
            "patients may have been trained on; build it from the old split, or start another run with a new --name"
        )


def _require_sound_labels(labels: LabelFiles, files: DatasetFiles) -> None:
    """Refuse what ultralytics would leave out with a warning: every image with one wrong line of labels."""
    wrong = {
        "is no box": labels.malformed,
        f"has no class of the {len(files.classes)}": labels.unknown_class,
        "leaves the image": labels.outside,
        "has no area": labels.no_area,
    }
    for what, places in wrong.items():
        if places:
            raise DataError(f"{files.folder}: {places[0]} {what} ({len(places)} such lines); {_CURE}")


def _without_box(files: DatasetFiles, boxes: Counter[int]) -> list[str]:
    return [name for class_id, name in enumerate(files.classes) if not boxes[class_id]]
