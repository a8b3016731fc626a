"""One colour and one letter per finding, shared by the page and by the rendered pictures.

The colours are those of Okabe and Ito, which are told apart with any colour vision and on grey films; the letter says
the same without colour.

Source: Okabe M, Ito K, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

from collections.abc import Sequence
from typing import NamedTuple

from xray_chest_detection.core.schemes import FINDING


class Mark(NamedTuple):
    """How a finding is drawn: a letter and a colour as `#rrggbb`."""

    letter: str
    colour: str


MARKS: dict[str, Mark] = {
    "Atelectasis": Mark("A", "#56b4e9"),
    "Cardiomegaly": Mark("C", "#e69f00"),
    "Effusion": Mark("E", "#009e73"),
    "Infiltrate": Mark("I", "#f0e442"),
    "Mass/Nodule": Mark("M", "#d55e00"),
    "Mass": Mark("M", "#d55e00"),
    "Nodule": Mark("N", "#ffffff"),
    "Pneumonia": Mark("P", "#cc79a7"),
    "Pneumothorax": Mark("T", "#0072b2"),
    FINDING: Mark("F", "#e8e8e8"),
}
_OTHER_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7")


def mark_of(class_name: str) -> Mark:
    """The mark of a class; a class nobody foresaw gets its first letter and a colour that depends on its name only.

    >>> mark_of("Cardiomegaly")
    Mark(letter='C', colour='#e69f00')
    >>> mark_of("Fracture").letter
    'F'
    """
    known = MARKS.get(class_name)
    if known is not None:
        return known
    return Mark(class_name[:1].upper() or "?", _OTHER_COLOURS[sum(class_name.encode()) % len(_OTHER_COLOURS)])


def marks(class_names: Sequence[str]) -> list[dict[str, str]]:
    """The marks of classes as plain values, in the same order: `name`, `letter`, `colour`."""
    return [{"name": name, **mark_of(name)._asdict()} for name in class_names]
