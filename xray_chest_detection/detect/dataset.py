"""Training images read and scaled exactly as the demo does it, with what is unknown on them.

ultralytics scales with OpenCV's bilinear filter, which skips pixels when it shrinks; `core.letterbox` averages them. A
model trained on the one and used with the other loses one to two points of mAP50.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from ultralytics.data import YOLODataset, build

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.letterbox import scale_to_fit
from xray_chest_detection.detect.augment.erasing import BoxSafeErasing
from xray_chest_detection.detect.augment.pasting import FindingPaster
from xray_chest_detection.detect.masks import WEIGHT
from xray_chest_detection.detect.regions import UNKNOWN, Regions, follow
from xray_chest_detection.detect.side_labels import SideLabels


class XrayDataset(YOLODataset):  # type: ignore[misc]
    """A `YOLODataset` with the demo's decoder and filter.

    With side labels a sample also has the parts of the image where classes are unknown (`Regions.encoded`) and the
    weights of its boxes; the labels themselves, which ultralytics keeps, counts and plots, are left alone. Without side
    labels nothing is added.
    """

    def __init__(self, *arguments: Any, side: SideLabels | None = None, **options: Any) -> None:  # noqa: ANN401
        self.side = side
        super().__init__(*arguments, **options)
        self.box_weights: dict[str, NDArray[np.float32]] = {}
        if side is not None:
            for label in self.labels:
                rows = np.hstack([label["cls"], label["bboxes"]])
                self.box_weights[label["im_file"]] = side.weights_of(Path(label["im_file"]), rows)

    def build_transforms(self, hyp: Any = None) -> Any:  # noqa: ANN401 -- the signature of ultralytics
        """The augmentation, with erasing and copy-paste made real; it takes the unknown parts along."""
        transforms = super().build_transforms(hyp)
        self.paster = None
        if self.augment and hyp.erasing > 0:
            transforms.insert(-1, BoxSafeErasing(hyp.erasing))  # the last step makes tensors
        if self.augment and hyp.copy_paste > 0:
            self.paster = FindingPaster(self, probability=hyp.copy_paste, mirror=hyp.fliplr > 0)
        if self.side is not None:
            follow(transforms)
        return transforms

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """One film; weights travel as a second column of `cls`, which every step filters and joins with the boxes."""
        sample = self._with_side(super().get_image_and_label(index))
        return sample if self.paster is None else self.paster(sample, index)

    def _with_side(self, sample: dict[str, Any]) -> dict[str, Any]:
        if self.side is None:
            return sample
        height, width = sample["resized_shape"]
        file, n_classes = sample["im_file"], self.side.n_classes
        ids = self.side.unknown_on(Path(file))
        sample[UNKNOWN] = Regions.whole(ids, n_classes=n_classes, width_px=width, height_px=height)
        sample["cls"] = np.column_stack([sample["cls"], self.box_weights[file]])
        return sample

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One augmented image as tensors."""
        sample: dict[str, Any] = super().__getitem__(index)
        if self.side is None:
            return sample
        height, width = sample["img"].shape[1:]
        rows = sample[UNKNOWN].encoded(width_px=width, height_px=height)
        classes = sample["cls"]  # without boxes it has one column
        return sample | {UNKNOWN: torch.from_numpy(rows), "cls": classes[:, :1], WEIGHT: classes[:, 1:].flatten()}

    @staticmethod
    def collate_fn(batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Samples to a batch: unknown parts `(B, R, 6 + C)` filled up with zeros, weights `(N,)` like the boxes."""
        joined: dict[str, Any] = YOLODataset.collate_fn(batch)
        if UNKNOWN in joined:
            joined[UNKNOWN] = pad_sequence(joined[UNKNOWN], batch_first=True)
            joined[WEIGHT] = torch.cat(joined[WEIGHT])
        return joined

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
def reading_like_the_demo(side: SideLabels | None = None) -> Iterator[None]:
    """Let ultralytics build its data sets with `XrayDataset`."""
    original = build.YOLODataset
    build.YOLODataset = partial(XrayDataset, side=side)
    try:
        yield
    finally:
        build.YOLODataset = original
