"""Write one view of a split as a YOLO data set: `python -m data_prep.build_yolo configs/data/yolo_multi.yaml`."""

from collections.abc import Sequence
from functools import partial

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.data import SPLITS, YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.manifest import Manifest, hash_inputs, is_up_to_date, versions_of, write_manifest
from xray_chest_detection.data.splits import SPLIT_FILE, read_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables
from xray_chest_detection.data.views import make_view
from xray_chest_detection.data.yolo import is_complete, product_files, stamp_of_images, write_yolo


def main(argv: Sequence[str] | None = None) -> None:
    """Write images, labels, `data.yaml`, `index.csv` and the manifest; stop early when they are up to date."""
    config = from_command_line(YoloConfig, argv, prog="python -m data_prep.build_yolo", description=__doc__ or "")
    images, annotations = read_tables(config.tables)
    view = make_view(images, annotations, read_split(config.split), read_scheme(config.scheme), config)
    tables = (config.tables / IMAGES_FILE, config.tables / ANNOTATIONS_FILE)
    plan = Manifest(
        step="data_prep.build_yolo",
        config=config.model_dump(mode="json"),
        inputs=hash_inputs(*tables, config.split / SPLIT_FILE, config.scheme) | {"images": stamp_of_images(view)},
        counts=view.counts() | {"equal_boxes_merged": view.merged},
        seed=config.seed,
        versions=versions_of("pandas", "pillow"),
    )
    if is_up_to_date(config.out, plan) and is_complete(config.out):
        print(f"{config.out} is up to date")
    else:
        write_yolo(view, config.out, longest_side_px=config.longest_side_px, progress=partial(bar, title="images"))
        outputs = hash_inputs(*product_files(config.out))
        write_manifest(config.out, plan.model_copy(update={"outputs": outputs}))
        print(f"wrote {config.out}")
    if view.merged:
        print(f"{view.merged} boxes were merged with an equal one of the same class and image")
    print(table([{"split": name, **view.counts()[name]} for name in SPLITS]))


if __name__ == "__main__":
    with exit_on_error():
        main()
