"""Configurations of the data preparation steps. One file under `configs/data/` is one step's input."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.errors import ConfigError

SPLITS = ("train", "val", "test")


class NihConfig(StrictModel):
    """Read the NIH ChestX-ray14 tables and choose the images a detector is trained on.

    Attributes:
        root: Folder with the two tables and the images, in any sub-folders. When it is not given: the environment
            variable XRAY_NIH_ROOT, then `$XRAY_DATA_PACK/nih`, then `datasets/raw/nih`.
        out: Folder the tables are written to.
        background: Number of finding-free images to add, one per patient first; fewer when fewer exist.
        unboxed: Number of images to add that are labelled with a finding other images have boxes of, but have no box,
            chosen likewise; for `xray pseudo-label`.
        missing: What to do with a boxed image that is not on disk: stop, or leave it out and count it.
        seed: Seed of the choice of images without a box.
    """

    root: Path | None = None
    out: Path = Path("datasets/interim/nih")
    background: int = Field(2000, ge=0)
    unboxed: int = Field(0, ge=0)
    missing: Literal["error", "drop"] = "error"
    seed: int = 0

    def resolved_root(self) -> Path:
        """The data root: given, or found through the environment.

        Raises:
            ConfigError: There is no such folder.
        """
        return find_root(self.root, variable="XRAY_NIH_ROOT", pack_folder="nih", default=Path("datasets/raw/nih"))


class SplitConfig(StrictModel):
    """Split images by patient, stratified over the classes; every source by itself, with the same shares.

    Attributes:
        tables: Folder with `images.csv` and `annotations.csv`.
        out: Folder of `split.csv` and its manifest.
        train: Share of the patients for training.
        val: Share for choosing thresholds.
        test: Share for the reported numbers.
        official_test_list: NIH's `test_list.txt`: its images become the test split, NIH's others are split into
            training and validation.
        keep: Folder of an existing split whose patients keep their part; only new patients are drawn. With it, a larger
            download never moves the test patients of trained models into training.
        overwrite: Replace a split in `out` even when patients change their part.
        seed: Seed of the shuffle.
    """

    tables: Path = Path("datasets/interim/nih")
    out: Path = Path("datasets/splits/nih")
    train: float = Field(0.8, gt=0, lt=1)
    val: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    official_test_list: Path | None = None
    keep: Path | None = None
    overwrite: bool = False
    seed: int = 0

    @model_validator(mode="after")
    def _ratios_sum_to_one(self) -> "SplitConfig":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, got {total:g}")
        if self.keep is not None and self.official_test_list is not None:
            raise ValueError("keep and official_test_list exclude each other: both say who is tested; set keep to None")
        return self


class PatchesConfig(Tiles):
    """Parts of the training films as further training images: small findings, seen larger.

    Attributes:
        side: Side of a patch as a share of the longer side of the film.
        overlap: What two neighbours share at least, as a share of the patch.
        min_visible: A finding keeps its box, cut at the border, where at least this share of its area is in the patch;
            where less of it is, its class is unknown in the patch.
        empty_per_boxed: At most this many patches without a box per patch with one, seeded; not given: all.
    """

    min_visible: float = Field(0.5, gt=0, le=1)
    empty_per_boxed: float | None = Field(1.0, ge=0)


class YoloConfig(StrictModel):
    """Write one view of a split as a YOLO data set.

    Attributes:
        tables: Folder with `images.csv` and `annotations.csv`.
        split: Folder with `split.csv`.
        scheme: Class scheme that maps the source's labels to classes.
        kind: `multi` keeps the scheme's classes, `binary` makes every finding one class, `one_class` keeps one.
        class_name: The class of a `one_class` data set.
        out: Folder of the data set.
        longest_side_px: Images with a longer side are reduced to it; not given: files are linked as they are.
        weights: What a box counts in training: `agreement`, the share of the image's readers who drew it;
            `probability`, of the consensus rule `em`; `none`, all the same. Boxes without the value count fully.
        train_negatives_per_positive: At most this many box-free training images per training image with a box,
            seeded; not given: all. Validation and test always keep all.
        patches: Parts of the training films as further training images; not given: whole films only. Validation and
            test have whole films only.
        everything_but: Train on all patients, those of val and test too, but this many of val, who stay there for the
            training's log; test is empty. For weights to be shipped, after the same recipe was measured on the split.
        seed: Seed of the choice of box-free training images, patches, and the patients that stay in val.
    """

    tables: Path = Path("datasets/interim/nih")
    split: Path = Path("datasets/splits/nih")
    scheme: Path = Path("configs/schemes/united7.yaml")
    kind: Literal["multi", "binary", "one_class"] = "multi"
    class_name: str | None = None
    out: Path
    longest_side_px: int | None = Field(None, ge=64)
    weights: Literal["none", "agreement", "probability"] = "none"
    train_negatives_per_positive: float | None = Field(None, ge=0)
    patches: PatchesConfig | None = None
    everything_but: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _class_only_for_one_class(self) -> "YoloConfig":
        if (self.kind == "one_class") != (self.class_name is not None):
            raise ValueError("class_name is needed for kind 'one_class' and only there")
        return self


def find_root(given: Path | None, *, variable: str, default: Path, pack_folder: str | None = None) -> Path:
    """The folder of a public data set: given, or found through the environment, or the default.

    Args:
        given: The configured folder.
        variable: Environment variable that names the folder when none is given.
        default: Where it is looked for last.
        pack_folder: Its folder under XRAY_DATA_PACK, which is asked after `variable`; None: it is not there.

    Raises:
        ConfigError: There is no such folder.
    """
    if given is not None:
        place, root = "root", given
    elif variable in os.environ:
        place, root = variable, Path(os.environ[variable])
    elif pack_folder is not None and "XRAY_DATA_PACK" in os.environ:
        place, root = "XRAY_DATA_PACK", Path(os.environ["XRAY_DATA_PACK"]) / pack_folder
    else:
        place, root = "default root", default
    if not root.is_dir():
        raise ConfigError(
            f"{place}: no folder {root}; see datasets/README.md on how to get the data, or set {variable}"
        )
    return root
