"""Training images read and scaled exactly as the demo does it.

ultralytics scales with OpenCV's bilinear filter, which skips pixels when it shrinks; `core.letterbox` averages them. A
model trained on the one and used with the other loses one to two points of mAP50.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.data import YOLODataset, build

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import scale_to_fit


class XrayDataset(YOLODataset):  # type: ignore[misc]
    """A `YOLODataset` with the demo's decoder and filter."""

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]:
        """Image `i` as `(H, W, 3)` uint8 with its longer side scaled to the input size, its first and its new size."""
        if self.ims[i] is not None or not rect_mode or resize_short:
            loaded: Any = super().load_image(i, rect_mode, resize_short)
            return loaded  # type: ignore[no-any-return]
        pixels = read_image(Path(self.im_files[i])).pixels
        scaled = scale_to_fit(pixels, self.imgsz)
        image = np.ascontiguousarray(np.repeat(scaled[..., None], self.channels, axis=2))
        if self.augment and self.cache != "ram":
            self._remember(i, image, (pixels.shape[0], pixels.shape[1]))
        return image, (pixels.shape[0], pixels.shape[1]), (image.shape[0], image.shape[1])

    def _remember(self, i: int, image: NDArray[np.uint8], first_size: tuple[int, int]) -> None:
        """Keep the latest images in memory: mosaic and mixup draw their partners from them."""
        self.ims[i], self.im_hw0[i], self.im_hw[i] = image, first_size, image.shape[:2]
        self.buffer.append(i)
        if 1 < len(self.buffer) >= self.max_buffer_length:
            oldest = self.buffer.pop(0)
            self.ims[oldest], self.im_hw0[oldest], self.im_hw[oldest] = None, None, None


@contextmanager
def reading_like_the_demo() -> Iterator[None]:
    """Let ultralytics build its data sets with `XrayDataset`."""
    original = build.YOLODataset
    build.YOLODataset = XrayDataset
    try:
        yield
    finally:
        build.YOLODataset = original
