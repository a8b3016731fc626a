"""The `xray` program: one line per command; a command's code is imported when it is called."""

import difflib
import importlib
import sys
from collections.abc import Sequence

from xray_chest_detection import __version__
from xray_chest_detection.cli.dependencies import missing_package
from xray_chest_detection.cli.errors import exit_on_error

COMMANDS = {
    "predict": "find abnormalities on images and write them to a JSON file",
    "tune-nms": "choose a run's thresholds on its validation split",
    "evaluate": "measure a run on a split with the thresholds chosen before",
    "compare": "compare two runs on the same test images",
    "cross-validate": "train a recipe once per fold of the patients and measure it on the patients left out",
    "filter-normals": "weaken a run's marks on images that look normal, and measure whether that helps",
    "export": "write a run's model with its card, or compare the formats it can be written in",
    "card": "write a model card as a page, with the CLAIM 2024 check list",
    "pseudo-label": "guess the boxes of findings that labels name and nobody located, for self-training",
    "agreement": "measure how far the readers of a data set agree, and show where they do not",
    "augmentations": "draw a training film under each augmentation of a training",
    "chest-gate": "train and measure the gate that knows chest films from other pictures",
    "figures": "draw the curves, confusion matrix and panels of a run, or what is in tables of boxes",
    "pipeline": "synthetic data, from raw files to a served model, in a few minutes",
    "deploy-check": "try on this machine what `gcloud app deploy` would upload, within the memory it has there",
    "env": "show the versions and the hardware this installation uses",
}


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Args:
        argv: The command and its arguments, without the program's name.

    Returns:
        The exit status: 0, or 1 when the command could do only a part of its work.

    Raises:
        SystemExit: With status 1 for an error the user can cause, 2 for wrong usage.
    """
    if not argv:
        print(_help(), file=sys.stderr)
        return 2
    command, *arguments = argv
    if command in ("-h", "--help"):
        print(_help())
        return 0
    if command == "--version":
        print(f"xray {__version__}")
        return 0
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(COMMANDS)}"
        print(f"error: unknown command '{command}' ({hint})", file=sys.stderr)
        return 2
    with exit_on_error():
        return _run(command, arguments)


def _run(command: str, arguments: Sequence[str]) -> int:
    try:
        module = importlib.import_module(f"xray_chest_detection.cli.{command.replace('-', '_')}")
        return int(module.main(arguments))
    except ModuleNotFoundError as error:
        missing = missing_package(error, command=f"xray {command}")
        if missing is None:
            raise
        raise missing from None


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: xray COMMAND [OPTIONS]",
            "",
            "Chest X-ray abnormality detection. Research software, not a medical device.",
            "",
            *lines,
            "",
            "`xray COMMAND --help` shows the options of a command.",
        ]
    )
