"""Configuration of reading VinBigData."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.config.data import find_root
from xray_chest_detection.errors import ConfigError


class VinBigDataConfig(StrictModel):
    """Read what several readers drew on the images of VinBigData, and choose the images a detector is trained on.

    Attributes:
        root: Folder with `train.csv` and the images, in any sub-folders. When it is not given: the environment variable
            XRAY_VINBIGDATA_ROOT, then `datasets/raw/vinbigdata`.
        out: Folder the tables are written to.
        copies: Folder with PNG or JPEG copies of the DICOM files to be used in their place; not given: copies under
            `root`, if there are any. Where there is no copy, the DICOM file is used.
        train_meta: Table `image_id,dim0,dim1` with the size of every original (rows, columns). Copies that were
            resized need it, unless the DICOM files are under `root` too. Not given: `train_meta.csv` in the folder of
            the copies or of `train.csv`, if there is one.
        background: Number of images on which no reader found anything to add; fewer when fewer exist.
        missing: What to do with an image with findings that is not on disk: stop, or leave it out and count it.
        group_copies: Give images that are copies of each other one `patient_id`, so that they are never in different
            splits. This decodes every image once.
        seed: Seed of the choice of finding-free images.
    """

    root: Path | None = None
    out: Path = Path("datasets/interim/vinbigdata")
    copies: Path | None = None
    train_meta: Path | None = None
    background: int = Field(4400, ge=0)
    missing: Literal["error", "drop"] = "error"
    group_copies: bool = True
    seed: int = 0

    def resolved_root(self) -> Path:
        """The data root: given, or found through the environment.

        Raises:
            ConfigError: There is no such folder.
        """
        return find_root(self.root, variable="XRAY_VINBIGDATA_ROOT", default=Path("datasets/raw/vinbigdata"))

    def resolved_copies(self) -> Path:
        """The folder in which copies are looked for.

        Raises:
            ConfigError: There is no such folder.
        """
        if self.copies is not None and not self.copies.is_dir():
            raise ConfigError(f"copies: no folder {self.copies}; make them with data_prep.dicom_to_png")
        return self.copies or self.resolved_root()
