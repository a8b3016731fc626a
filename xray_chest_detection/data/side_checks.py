"""Whether `unknown.csv` and `label_weights.csv` say what the label files say; see `data.side_files`."""

from pathlib import Path

from xray_chest_detection.data.checks import Check
from xray_chest_detection.data.dataset_files import DatasetFiles
from xray_chest_detection.data.side_files import REASONS, UNKNOWN_FILE, WEIGHTS_FILE, read_label_weights, read_unknown
from xray_chest_detection.errors import DataError

_CURE = "the two contradict each other; build the data set again with data_prep.build_yolo"


def side_file_checks(files: DatasetFiles) -> list[Check]:
    """Rows of images, label lines that do not exist, and boxes of classes that are unknown on their image.

    A data set without side files passes.
    """
    try:
        unknown = {reason: read_unknown(files.folder, files.classes, reasons=[reason]) for reason in REASONS}
        weights = read_label_weights(files.folder)
    except DataError as error:
        return [Check("side file cannot be read", "error", [str(error)])]
    listed = set(files.index["file"])
    named = {UNKNOWN_FILE: set().union(*unknown.values()), WEIGHTS_FILE: set(weights)}
    strangers = [f"{name}: {file}" for name, rows in named.items() for file in sorted(rows - listed)]
    class_ids = {file: _class_ids(files.folder, file) for file in set().union(*named.values()) & listed}
    beyond = [
        f"{WEIGHTS_FILE}: {file} line {line}"
        for file, lines in sorted(weights.items())
        for line in sorted(lines)
        if file in class_ids and line > len(class_ids[file])
    ]
    boxed = [
        f"{file}: {files.classes[class_id]} ({reason})"
        for reason, of_reason in unknown.items()
        for file, unknown_ids in sorted(of_reason.items())
        for class_id in unknown_ids
        if reason not in ("guessed", "cut_off") and class_id in class_ids.get(file, [])
    ]
    return [
        Check("side file names an image that is not in index.csv", "error", strangers),
        Check("weight of a label line that does not exist", "error", beyond),
        Check("box of a class that is unknown on its image", "error", boxed, _CURE),
    ]


def _class_ids(folder: Path, file: str) -> list[int | None]:
    """The class id of every line of an image's label file; None for a line without one, which other checks name."""
    part = Path(file).relative_to("images") if file.startswith("images/") else Path(file)
    path = (folder / "labels" / part).with_suffix(".txt")
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    first = [line.split(maxsplit=1)[:1] for line in lines]
    return [int(word[0]) if word and word[0].isdecimal() else None for word in first]
