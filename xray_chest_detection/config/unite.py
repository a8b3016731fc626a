"""How the tables of several sources become one."""

from pathlib import Path

from pydantic import Field, model_validator

from xray_chest_detection.config.base import StrictModel
from xray_chest_detection.config.consensus import ConsensusConfig


class UniteConfig(StrictModel):
    """Join the tables of several sources in the classes of one scheme, one set of boxes an image.

    Attributes:
        sources: Folders with the `images.csv` and `annotations.csv` of one source each; one is enough.
        scheme: Class scheme that maps the sources' labels to classes. Labels it maps to one class are one class to the
            consensus as well, so a scheme decides which classes readers may confuse.
        consensus: How the boxes of several readers become one set; sources that name no readers stay as they are.
        background: At most this many images without a box of each source, finding-free ones first; not given: all.
        out: Folder the tables are written to.
        seed: Seed of the choice of images without a box.
    """

    sources: tuple[Path, ...] = Field((Path("datasets/interim/nih"), Path("datasets/interim/vinbigdata")), min_length=1)
    scheme: Path = Path("configs/schemes/united7.yaml")
    consensus: ConsensusConfig = ConsensusConfig()
    background: int | None = Field(None, ge=0)
    out: Path = Path("datasets/interim/united")
    seed: int = 0

    @model_validator(mode="after")
    def _out_is_no_source(self) -> "UniteConfig":
        if self.out.resolve() in {source.resolve() for source in self.sources}:
            raise ValueError(f"out is a source, whose tables would be replaced: {self.out}; give another folder")
        return self
