"""`xray augmentations CONFIG`: draw one training film under each augmentation of a training."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.detect import DetectConfig


def main(argv: Sequence[str]) -> int:
    """Draw the figure and print its name."""
    parser = argparse.ArgumentParser(
        prog="xray augmentations",
        description="Draw one training film under each augmentation of a training alone, and under all of them.",
        epilog="Further options change the configuration, as with train.py: --data DIR, --augment.mosaic 0.5, ...",
        allow_abbrev=False,
    )
    parser.add_argument("config", type=Path, help="configuration of a training, such as configs/detect/multi.yaml")
    parser.add_argument("--out", type=Path, default=Path("augmentations.png"), help="the PNG file to write")
    parser.add_argument("--film", help="image id of a training film; the first with a finding when not given")
    options, changes = parser.parse_known_args(argv)
    config = from_command_line(DetectConfig, [str(options.config), *changes], prog="xray augmentations", description="")
    from xray_chest_detection.data.yolo import read_classes
    from xray_chest_detection.detect.augment.preview import preview
    from xray_chest_detection.report.augmentation_figure import draw_augmentations

    print(draw_augmentations(preview(config, film=options.film), read_classes(config.data), options.out))
    return 0
