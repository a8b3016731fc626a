"""Train a model: `python train.py CONFIG.yaml [--epochs 5 ...]`, or go on: `python train.py --resume RUN`."""

import sys
from pathlib import Path

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.detect import DetectConfig


def main() -> None:
    """Read the configuration, train, run the steps after training, print the result table."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--resume"] and len(arguments) == 2:
        from xray_chest_detection.detect.after import finish_run
        from xray_chest_detection.detect.train import resume

        print(finish_run(resume(Path(arguments[1]))))
        return
    config = from_command_line(DetectConfig, prog="python train.py", description=__doc__)
    from xray_chest_detection.detect.after import finish_run
    from xray_chest_detection.detect.train import train

    print(finish_run(train(config)))


if __name__ == "__main__":
    with exit_on_error():
        main()
