"""Write one view of a split as a YOLO data set: `python -m data_prep.build_yolo configs/data/yolo_multi.yaml`."""

from collections.abc import Sequence
from functools import partial

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import SPLITS, YoloConfig
from xray_chest_detection.data.build import build_dataset


def main(argv: Sequence[str] | None = None) -> None:
    """Write images, labels, `data.yaml`, `index.csv` and the manifest; stop early when they are up to date."""
    config = from_command_line(YoloConfig, argv, prog="python -m data_prep.build_yolo", description=__doc__ or "")
    view, written = build_dataset(config, progress=partial(bar, title="images"))
    print(f"wrote {config.out}" if written else f"{config.out} is up to date")
    if view.merged:
        print(f"{view.merged} boxes were merged with an equal one of the same class and image")
    print(table([{"split": name, **view.counts()[name]} for name in SPLITS]))


if __name__ == "__main__":
    with exit_on_error():
        main()
