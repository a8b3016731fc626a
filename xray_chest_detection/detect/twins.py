"""Twins: a run on all films, whose weights are shipped, and a run of the same recipe on a split, which is measured.

Weights trained on all films should be a little better than those that left the test patients out, but nothing is left
to measure them on. What the split run is worth is then said of both.
"""

from typing import Any

from xray_chest_detection.data.yolo import read_classes
from xray_chest_detection.detect.results import read_kept
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.errors import ModelError

_NO_RECIPE = ("data", "name", "title", "runs", "weights", "device", "workers", "cache", "comet", "after")


def require_twin(run: Run, measured_by: Run) -> None:
    """Make sure that a run was trained by the recipe of another one that was measured.

    The recipe is the configuration without the data, names and folders, where training starts, the machine, tracking
    and the steps after training.

    Raises:
        ModelError: The two are one run, a setting or the classes differ, or the other run was not measured.
    """
    if run.folder.resolve() == measured_by.folder.resolve():
        raise ModelError(f"{run.folder}: is no twin of itself; leave --measured-by out")
    mine, other = (one.config.model_dump(mode="json", exclude=set(_NO_RECIPE)) for one in (run, measured_by))
    differing = _first_difference(mine, other)
    if differing is not None:
        name, first, second = differing
        raise ModelError(
            f"{run.folder}: no twin of {measured_by.folder}: {name} is {first} here and {second} there; "
            "train both by one recipe"
        )
    classes, measured = read_classes(run.config.data), read_classes(measured_by.config.data)
    if classes != measured:
        raise ModelError(
            f"{run.folder}: no twin of {measured_by.folder}: its classes are {', '.join(classes)}, "
            f"not {', '.join(measured)}; build both data sets from one scheme"
        )
    if not read_kept(measured_by).metrics:
        raise ModelError(
            f"{measured_by.folder}: was not measured with its present weights and thresholds; "
            f"run `xray evaluate {measured_by.folder}` first"
        )


def _first_difference(mine: dict[str, Any], other: dict[str, Any], prefix: str = "") -> tuple[str, Any, Any] | None:
    for name, value in mine.items():
        place = f"{prefix}{name}"
        if isinstance(value, dict) and isinstance(other[name], dict):
            found = _first_difference(value, other[name], f"{place}.")
            if found is not None:
                return found
        elif value != other[name]:
            return place, value, other[name]
    return None
