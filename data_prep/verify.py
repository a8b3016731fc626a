"""Check data sets on disk: `python -m data_prep.verify datasets/yolo/multi [more ...]`; exit status 1 on an error."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import tyro

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.data.integrity import compare_splits, verify_dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of checks for every folder; 1 when one of them is an error."""
    folders = tyro.cli(
        tyro.conf.Positional[tuple[Path, ...]],
        args=sys.argv[1:] if argv is None else list(argv),
        prog="python -m data_prep.verify",
        description=__doc__,
    )
    if not folders:
        print("error: give at least one data set folder, for example datasets/yolo/multi", file=sys.stderr)
        return 2
    failed = []
    for folder in folders:
        report = verify_dataset(folder, progress=partial(bar, title=folder.name))
        print(f"{folder}: {report.images} images, {report.boxes} boxes")
        print(table([check.to_row() for check in report.checks]), end="\n\n")
        failed += [str(folder)] if report.failed else []
    if len(folders) > 1:
        together = compare_splits(folders)
        print(table([together.to_row()]), end="\n\n")
        failed += ["these data sets together"] if together.result == "error" else []
    print(f"errors in {', '.join(failed)}" if failed else "no errors")
    return 1 if failed else 0


if __name__ == "__main__":
    with exit_on_error():
        raise SystemExit(main())
