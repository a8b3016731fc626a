"""Configuration of the step that turns a folder of DICOM files into 8-bit PNG."""

import os
from pathlib import Path

from pydantic import Field

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.errors import ConfigError


class DicomToPngConfig(StrictModel):
    """Turn a folder of DICOM radiographs into 8-bit grey PNG.

    Attributes:
        root: Folder with the DICOM files, in any sub-folders. When it is not given: the environment variable
            XRAY_VINBIGDATA_ROOT, then `datasets/raw/vinbigdata`.
        out: Folder of the PNG files, with the sub-folders of the root, and of `train_meta.csv`.
        longest_side_px: Images with a longer side are reduced to it, never enlarged; not given: original size.
        clahe_clip_limit: Contrast limit of an adaptive histogram equalisation over 8 x 8 tiles, 2 is usual; not given:
            none. Models trained on such images need it at prediction time as well, which neither `xray predict` nor
            the page does.
        workers: Number of processes; not given: one per core.
        overwrite: Replace PNG files that were made with other settings, or by something else.
    """

    root: Path | None = None
    out: Path = Path("datasets/raw/vinbigdata_png")
    longest_side_px: int | None = Field(None, ge=64)
    clahe_clip_limit: float | None = Field(None, gt=0, le=100)
    workers: int | None = Field(None, ge=1)
    overwrite: bool = False

    def resolved_root(self) -> Path:
        """The folder with the DICOM files: given, or found through the environment.

        Raises:
            ConfigError: There is no such folder.
        """
        variable = "XRAY_VINBIGDATA_ROOT"
        root = self.root or Path(os.environ.get(variable, "datasets/raw/vinbigdata"))
        if not root.is_dir():
            raise ConfigError(
                f"root: no folder {root}; give the folder of the DICOM files with --root, or set {variable}"
            )
        return root
