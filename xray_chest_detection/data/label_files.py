"""The lines of YOLO label files: writing them, and reading files that anybody may have written."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from xray_chest_detection.core import boxes
from xray_chest_detection.core.boxes import FloatArray

ROUNDING = 2e-6  # labels have six decimals: an edge may be off by 0.5e-6 for the centre and half of that for the side


@dataclass
class LabelFiles:
    """What label files hold and what is wrong with them.

    Attributes:
        per_split: Boxes per class id of every split.
        malformed: Places of lines that are not one integer and four finite numbers.
        unknown_class: Places of class ids the data set has no name for.
        outside: Places of boxes that leave the image.
        no_area: Places of boxes whose width or height is not positive.
        repeated: Places of lines that stand twice in a file.
    """

    per_split: dict[str, Counter[int]] = field(default_factory=dict)
    malformed: list[str] = field(default_factory=list)
    unknown_class: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    no_area: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def label_lines(labels: pd.DataFrame, width_px: float | FloatArray, height_px: float | FloatArray) -> list[str]:
    """Lines `class_id x_centre y_centre width height`, each a share of the image, of boxes in pixels.

    Args:
        labels: Boxes with the columns class_id, x_min, y_min, x_max, y_max.
        width_px: Width of the image, or `(N,)` of the image of each box.
        height_px: Height likewise.
    """
    xyxy = labels[["x_min", "y_min", "x_max", "y_max"]].to_numpy(np.float64)
    cxcywhn = boxes.to_cxcywhn(xyxy, width_px, height_px).clip(0, 1)
    return [
        f"{class_id} {' '.join(f'{value:.6f}' for value in row)}"
        for class_id, row in zip(labels["class_id"], cxcywhn, strict=True)
    ]


def read_labels(labels: Mapping[str, list[Path]], n_classes: int, folder: Path) -> LabelFiles:
    """Read label files: split to their paths. Places in the result are relative to `folder`."""
    found = LabelFiles({split: Counter() for split in labels})
    for split, paths in labels.items():
        for path in paths:
            seen: set[str] = set()
            lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
            for number, line in enumerate(lines, start=1):
                place = f"{path.relative_to(folder).as_posix()} line {number}: '{line[:60]}'"
                class_id = _sort_line(line, place, n_classes, found)
                if class_id is None:
                    continue
                found.per_split[split][class_id] += 1
                if line in seen:
                    found.repeated.append(place)
                seen.add(line)
    return found


def _sort_line(line: str, place: str, n_classes: int, found: LabelFiles) -> int | None:
    """Note what is wrong with a label line; its class id, or None when it has no known one."""
    parts = line.split()
    try:
        class_id, (x, y, width, height) = int(parts[0]), (float(part) for part in parts[1:])
    except (ValueError, IndexError):
        found.malformed.append(place)
        return None
    if not np.isfinite([x, y, width, height]).all():
        found.malformed.append(place)
        return None
    if not 0 <= class_id < n_classes:
        found.unknown_class.append(place)
        return None
    edges = (x - width / 2, y - height / 2, 1 - x - width / 2, 1 - y - height / 2)
    if width <= 0 or height <= 0:
        found.no_area.append(place)
    elif min(edges) < -ROUNDING:
        found.outside.append(place)
    return class_id
