"""Train a model: `python train.py CONFIG.yaml [--epochs 5 ...]`, or go on: `python train.py --resume RUN`."""

import sys
from functools import partial
from pathlib import Path

from xray_chest_detection.cli.dependencies import missing_package
from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.detect.runs import open_run
from xray_chest_detection.detect.tracking import make_tracker


def main() -> int:
    """Read the configuration, train, run the steps after training, print the result table; 1 when a step failed."""
    arguments = sys.argv[1:]
    folder = Path(arguments[1]) if arguments[:1] == ["--resume"] and len(arguments) == 2 else None
    if folder is None:
        config = from_command_line(DetectConfig, prog="python train.py", description=__doc__)
    else:
        config = open_run(folder).config
    tracker = make_tracker(config.comet)  # before torch is imported
    from xray_chest_detection.cli.progress import bar
    from xray_chest_detection.detect.after import finish_run
    from xray_chest_detection.detect.train import resume, train
    from xray_chest_detection.report.run import run_report

    if tracker.note:
        print(tracker.note)
    try:
        run = train(config, tracker, say=_note) if folder is None else resume(folder, tracker, say=_note)
        outcome = finish_run(run, run_report(), progress=partial(bar, title="after training"))
        print(outcome.text)
        for error in outcome.errors:
            print(f"error: {error}", file=sys.stderr)
        return 1 if outcome.errors else 0
    except KeyboardInterrupt as error:
        raise type(error)(f"go on with `python train.py --resume {folder or config.runs / config.name}`") from None
    finally:
        tracker.finish()


def _note(remark: str) -> None:
    print(f"note: {remark}")


if __name__ == "__main__":
    with exit_on_error():
        try:
            raise SystemExit(main())
        except ModuleNotFoundError as error:
            raise (missing_package(error, command="train.py") or error) from None
