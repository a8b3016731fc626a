"""The side files of a data set, as the training uses them: unknown classes and weights of boxes, image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.data.side_files import (
    UNKNOWN_FILE,
    WEIGHTS_FILE,
    Reason,
    read_label_weights,
    read_unknown,
)
from xray_chest_detection.data.yolo import read_classes
from xray_chest_detection.errors import DataError


@dataclass(frozen=True)
class SideLabels:
    """What the label files of a data set cannot say.

    Attributes:
        folder: The data set.
        n_classes: Number of its classes.
        unknown: Class ids that are unknown on an image, by its name in `index.csv`.
        weights: Weights of boxes by image and line of the label file, from 1; 1 where there is none.
    """

    folder: Path
    n_classes: int
    unknown: Mapping[str, Sequence[int]]
    weights: Mapping[str, Mapping[int, float]]

    def unknown_on(self, image: Path) -> Sequence[int]:
        """Class ids that are unknown on an image of the data set."""
        return self.unknown.get(self._name(image), ())

    def weights_of(self, image: Path, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights `(N,)` of an image's labels `(N, 5)`.

        Raises:
            DataError: A weight stands at a line that the label file does not have.
        """
        of_line = self.weights.get(self._name(image))
        if of_line is None:
            return np.ones(len(labels), np.float32)
        path = self.folder / "labels" / image.parent.name / f"{image.stem}.txt"
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
        lines = np.array(rows, np.float32).reshape(-1, 5)
        if max(of_line) > len(lines):
            raise DataError(
                f"{self.folder / WEIGHTS_FILE}: a weight for line {max(of_line)} of {path.name}, which has "
                f"{len(lines)} lines; build the data set again with data_prep.build_yolo"
            )
        weight = np.array([of_line.get(line, 1.0) for line in range(1, len(lines) + 1)], np.float32)
        # ultralytics sorts the labels of a file in which one stands twice: the line is found by its content
        return weight[[int((lines == label).all(axis=1).argmax()) for label in labels]]

    def _name(self, image: Path) -> str:
        return image.relative_to(self.folder).as_posix()


def read_side_labels(config: DetectConfig) -> SideLabels | None:
    """What a configuration wants to use of its data set's side files; None when there is nothing.

    Raises:
        DataError: A side file is damaged, or names an image that is not there.
    """
    wanted: dict[Reason, bool] = {
        "not_labelled": config.mask_unknown,
        "not_located": config.mask_unlocated,
        "guessed": config.mask_unlocated,
        "cut_off": config.mask_unlocated,
    }
    reasons = [reason for reason, use in wanted.items() if use]
    classes = read_classes(config.data)
    unknown = read_unknown(config.data, classes, reasons=reasons)
    weights = read_label_weights(config.data) if config.label_weights else {}
    for file, images in ((UNKNOWN_FILE, unknown), (WEIGHTS_FILE, weights)):
        missing = next((name for name in images if not (config.data / name).is_file()), None)
        if missing is not None:
            raise DataError(
                f"{config.data / file}: no image '{missing}' in this data set; "
                "build the data set again with data_prep.build_yolo"
            )
    if not unknown and not weights:
        return None
    return SideLabels(config.data.resolve(), len(classes), unknown, weights)
