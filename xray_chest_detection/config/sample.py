"""Configuration of the step that draws the synthetic data set."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from xray_chest_detection.config.base import StrictModel, from_command_line
from xray_chest_detection.errors import ConfigError

_PROG = "python -m data_prep.sample [OUT]"
_DESCRIPTION = "Draw synthetic chest radiographs with true boxes, in the formats of NIH ChestX-ray14 and VinBigData."


class SampleConfig(StrictModel):
    """Draw a synthetic data set in both public formats.

    Attributes:
        out: Folder to write `nih/` and `vinbigdata/` into; empty, or an older synthetic set with `overwrite`.
        seed: Seed of everything that is drawn; the same seed gives the same pixels and tables.
        patients: Number of patients in the NIH format.
        max_visits: Each patient is X-rayed once up to this many times.
        vinbigdata_images: Number of images in the VinBigData format.
        size_px: Side of the square images on disk. Boxes of the NIH table always refer to 1024 pixels.
        healthy_share: Share of patients who never have a finding.
        unboxed_share: Share of NIH images whose findings are named in the label table but have no boxes.
        overwrite: Replace a synthetic data set that stands in `out`.
        figure: Also write a contact sheet with the true boxes to this PNG file.
        examples: Also write the example pictures of the web page into this folder.
    """

    out: Path | None = None
    seed: int = Field(0, ge=0)
    patients: int = Field(60, ge=1, le=100_000)
    max_visits: int = Field(4, ge=1, le=200)
    vinbigdata_images: int = Field(60, ge=0, le=100_000)
    size_px: int = Field(512, ge=128, le=4096)
    healthy_share: float = Field(0.4, ge=0, le=1)
    unboxed_share: float = Field(0.1, ge=0, le=1)
    overwrite: bool = False
    figure: Path | None = None
    examples: Path | None = None


def sample_from_command_line(argv: Sequence[str]) -> SampleConfig:
    """Read `[OUT] [CONFIG.yaml] [--overrides]`; a first argument that is not a YAML file is the output folder.

    Raises:
        ConfigError: A file or a value is wrong, or there is nothing to write.
    """
    arguments = list(argv)
    if arguments and not arguments[0].startswith("-") and Path(arguments[0]).suffix not in (".yaml", ".yml"):
        folder = arguments.pop(0)
        place = 1 if arguments and not arguments[0].startswith("-") else 0
        arguments[place:place] = ["--out", folder]
    config = from_command_line(SampleConfig, arguments, prog=_PROG, description=_DESCRIPTION)
    if config.out is None and config.figure is None and config.examples is None:
        raise ConfigError("out, figure, examples: nothing to write; give a folder: python -m data_prep.sample OUT")
    return config
