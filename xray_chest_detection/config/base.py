"""One strict base for all configurations; YAML plus dotted overrides become a validated model, or one clear line."""

import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import tyro
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from xray_chest_detection.config.overrides import merged, nested_model, parse_overrides
from xray_chest_detection.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Base of every configuration: unknown keys are errors, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def read_yaml(path: Path) -> dict[str, object]:
    """Parse a YAML file that holds a mapping; an empty file is an empty one.

    Raises:
        ConfigError: The file is missing, unreadable, not YAML or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {place}not valid YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, got {type(content).__name__}")
    return content


def read_config(model: type[Model], path: Path) -> Model:
    """Read and validate one configuration file.

    Raises:
        ConfigError: Names the file, the key, the value and what is allowed.
    """
    return validate(model, read_yaml(path), place=str(path))


def validate(model: type[Model], values: Mapping[str, object], *, place: str) -> Model:
    """Validate a mapping against a configuration model.

    Raises:
        ConfigError: One line for the first wrong key, and the number of further ones.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{place}: {_first_line(model, error)}") from None


def from_command_line(model: type[Model], argv: Sequence[str] | None = None, *, prog: str, description: str) -> Model:
    """Build a configuration from an optional YAML path (first argument) and `--dotted.overrides`.

    `--help` prints the keys and ends the process.

    Raises:
        UsageError: An option is unknown or lacks its value.
        ConfigError: A file or a value is wrong.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if {"-h", "--help"} & set(arguments):
        tyro.cli(model, args=["--help"], prog=f"{prog} [CONFIG.yaml]", description=description)
    path = Path(arguments.pop(0)) if arguments and not arguments[0].startswith("-") else None
    values = {} if path is None else read_yaml(path)
    changes = parse_overrides(model, arguments)
    if path is not None:
        place = f"{path} with the command line's changes" if changes else str(path)
    else:
        place = "command line"
    return validate(model, merged(values, changes), place=place)


def _first_line(model: type[BaseModel], error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        line = f"unknown key '{key}'{_nearest(model, first['loc'])}"
    elif first["type"] == "missing":
        line = f"missing key '{key}'"
    else:
        message = first["msg"].removeprefix("Value error, ")
        shown = "" if isinstance(first["input"], dict | BaseModel) else f", got {first['input']!r}"
        line = f"{key + ': ' if key else ''}{message[0].lower() + message[1:]}{shown}"
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more)"


def _nearest(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """A suggestion for an unknown key, looked up in the (nested) model the key stands in."""
    owner = model
    for part in location[:-1]:
        field = owner.model_fields.get(str(part))
        owner = (nested_model(field.annotation) if field else None) or owner
    close = difflib.get_close_matches(str(location[-1]), owner.model_fields, n=1)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(owner.model_fields)})"
