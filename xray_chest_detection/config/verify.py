"""What the leak auditor is asked to look at."""

from collections.abc import Sequence
from pathlib import Path

from xray_chest_detection.config.base import StrictModel, from_command_line
from xray_chest_detection.errors import UsageError

_PROG = "python -m data_prep.verify DATASET [DATASET ...]"
_DESCRIPTION = "Check data sets on disk, each for itself and all together; exit status 1 on an error."


class VerifyConfig(StrictModel):
    """Check data sets and look for leaks within and between them.

    Attributes:
        datasets: Folders of the data sets; the ones whose models share weights belong together.
        split: Folder of the split all of them must be views of; not given: the one each manifest names, if it is there.
        official_test_list: NIH's `test_list.txt`, when a classifier will be tested on it: films of the list in train or
            val are an error.
        out: JSON file for every finding; not given: only the tables are printed, with one example each.
    """

    datasets: tuple[Path, ...]
    split: Path | None = None
    official_test_list: Path | None = None
    out: Path | None = None


def verify_from_command_line(argv: Sequence[str]) -> VerifyConfig:
    """Read `DATASET [DATASET ...] [--options]`.

    Raises:
        UsageError: No data set comes first, or an option is unknown.
        ConfigError: A value is wrong.
    """
    arguments = list(argv)
    wants_help = bool({"-h", "--help"} & set(arguments))
    if not wants_help and (not arguments or arguments[0].startswith("-")):
        raise UsageError("give at least one data set folder first, for example datasets/yolo/multi")
    arguments = arguments if wants_help else ["--datasets", *arguments]
    return from_command_line(VerifyConfig, arguments, prog=_PROG, description=_DESCRIPTION)
