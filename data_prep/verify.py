"""Check data sets on disk: `python -m data_prep.verify datasets/yolo/multi [more ...]`; exit status 1 on an error."""

import sys
from collections.abc import Sequence

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.cli.progress import bar, table
from xray_chest_detection.config.verify import verify_from_command_line
from xray_chest_detection.data.audit import audit
from xray_chest_detection.data.checks import write_reports


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of checks for every data set and one of leaks; 1 when a check is an error."""
    config = verify_from_command_line(sys.argv[1:] if argv is None else argv)
    reports = audit(config.datasets, split=config.split, official_test_list=config.official_test_list, progress=bar)
    for report in reports:
        print(f"{report.subject}: {', '.join(f'{count} {what}' for what, count in report.counts.items())}")
        print(table([check.to_row() for check in report.checks]))
        print("".join(f"{line}\n" for line in report.advice))
    if config.out is not None:
        write_reports(config.out, reports)
        print(f"wrote {config.out}")
    failed = [report.subject for report in reports if report.failed]
    print(f"errors in {', '.join(failed)}" if failed else "no errors")
    return 1 if failed else 0


if __name__ == "__main__":
    with exit_on_error():
        raise SystemExit(main())
