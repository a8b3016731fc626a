"""How the boxes of several readers become one set of boxes."""

from typing import Literal

from pydantic import Field

from xray_chest_detection.config.base import StrictModel

Rule = Literal["most_frequent_reader", "union", "wbf", "quorum", "em"]


class ConsensusConfig(StrictModel):
    """A consensus rule and its parameters.

    Attributes:
        rule: `most_frequent_reader` keeps, per image and class, the boxes of the reader who drew most of that class.
            `union` keeps every reader's boxes, overlapping ones joined. `wbf` is weighted boxes fusion with one list
            per reader. `quorum` keeps what `quorum` readers drew. `em` weighs the readers by how good they turn out to
            be and gives every finding a probability.
        iou: Overlap from which boxes of two readers are one finding.
        quorum: Readers who must have drawn a finding, for `quorum`.
        min_probability: `em` keeps findings of at least this probability. F1 is best at half of what it then is
            (Lipton, Elkan, Naryanaswamy 2014), which for F1 of .8 to .9 is a little over .4.
        min_agreement: Keep only boxes that at least this share of the image's readers drew; 0 keeps all.
    """

    rule: Rule = "most_frequent_reader"
    iou: float = Field(0.4, gt=0, lt=1)
    quorum: int = Field(2, ge=1)
    min_probability: float = Field(0.4, ge=0, le=1)
    min_agreement: float = Field(0.0, ge=0, le=1)
