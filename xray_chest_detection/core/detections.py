"""What a detector says about one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of one image, one row each.

    Attributes:
        xyxy: `(N, 4)` float32, pixels of the image.
        score: `(N,)` float32 in [0, 1].
        class_id: `(N,)` int64, index into the model's class names.
        width_px: Width of the image the boxes refer to.
        height_px: Height of that image.

    Raises:
        ValueError: The arrays disagree in length or shape.
    """

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    class_id: NDArray[np.int64]
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        count = len(self.score)
        if self.xyxy.shape != (count, 4) or self.class_id.shape != (count,) or self.score.shape != (count,):
            raise ValueError(
                f"expected xyxy (N, 4), score (N,), class_id (N,); "
                f"got {self.xyxy.shape}, {self.score.shape}, {self.class_id.shape}"
            )

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls, *, width_px: int, height_px: int) -> Self:
        """No detection on an image of this size."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), width_px, height_px)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Detections":
        """The rows picked by a mask `(N,)` or by indices `(K,)`, in that order."""
        return Detections(self.xyxy[rows], self.score[rows], self.class_id[rows], self.width_px, self.height_px)

    def to_records(self, names: Sequence[str]) -> list[dict[str, object]]:
        """Rows as `{"class", "score", "box": [x1, y1, x2, y2]}`, best score first, boxes in pixels of the image."""
        order = np.argsort(-self.score, kind="stable")
        return [
            {
                "class": names[int(self.class_id[row])],
                "score": round(float(self.score[row]), 5),
                "box": [round(float(value), 2) for value in self.xyxy[row]],
            }
            for row in order
        ]
