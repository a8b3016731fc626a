"""Building a data set from its configuration: one view of a split on disk, with its manifest."""

from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.config.schemes import read_scheme
from xray_chest_detection.core.manifest import Manifest, hash_inputs, is_up_to_date, versions_of, write_manifest
from xray_chest_detection.data.patches import cut_patches
from xray_chest_detection.data.splits import SPLIT_FILE, read_split
from xray_chest_detection.data.tables import ANNOTATIONS_FILE, IMAGES_FILE, read_tables
from xray_chest_detection.data.views import View, make_view
from xray_chest_detection.data.yolo import Progress, is_complete, product_files, stamp_of_images, write_yolo

STEP = "data_prep.build_yolo"


def build_dataset(config: YoloConfig, *, progress: Progress | None = None) -> tuple[View, bool]:
    """Write images, labels, `data.yaml`, `index.csv` and the manifest, unless they are up to date.

    Args:
        config: The view.
        progress: Wraps the images while they are written.

    Returns:
        The view, and whether it was written.

    Raises:
        DataError: The tables, the split or the scheme are missing or disagree, or the folder cannot be written.
        ConfigError: The scheme is wrong.
        ImageError: An image cannot be read.
    """
    images, annotations = read_tables(config.tables)
    view = make_view(images, annotations, read_split(config.split), read_scheme(config.scheme), config)
    patches = None if config.patches is None else cut_patches(view, config.patches, seed=config.seed)
    tables = (config.tables / IMAGES_FILE, config.tables / ANNOTATIONS_FILE)
    plan = Manifest(
        step=STEP,
        config=config.model_dump(mode="json"),
        inputs=hash_inputs(*tables, config.split / SPLIT_FILE, config.scheme) | {"images": stamp_of_images(view)},
        counts=view.counts() | {"equal_boxes_merged": view.merged} | _patch_counts(patches),
        seed=config.seed,
        versions=versions_of("pandas", "pillow"),
    )
    if is_up_to_date(config.out, plan) and is_complete(config.out):
        return view, False
    write_yolo(view, config.out, longest_side_px=config.longest_side_px, patches=patches, progress=progress)
    write_manifest(config.out, plan.model_copy(update={"outputs": hash_inputs(*product_files(config.out))}))
    return view, True


def _patch_counts(patches: View | None) -> dict[str, dict[str, int]]:
    return {} if patches is None else {"patches": patches.counts()["train"]}
