"""Command-line options as changes to a configuration: `--epochs 5`, `--augment.mosaic=0`, `--no-cache`, `--a b c`."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from xray_chest_detection.errors import UsageError

_NONE = ("None", "null")


def parse_overrides(model: type[BaseModel], arguments: Sequence[str]) -> dict[str, Any]:
    """Options as a nested mapping of raw values; the configuration's model turns them into numbers and paths.

    Raises:
        UsageError: Not an option, an unknown one, or one without its value.
    """
    changes: dict[str, Any] = {}
    for option, values in _options(arguments):
        path, annotation, negated = _find(model, option)
        if not values:
            if not _holds(annotation, bool):
                raise UsageError(f"--{option}: needs a value")
            value: Any = not negated
        elif negated:
            raise UsageError(f"--{option}: takes no value, got '{values[0]}'")
        elif _holds(annotation, tuple):
            value = values
        elif len(values) > 1:
            raise UsageError(f"--{option}: takes one value, got {' '.join(values)}")
        else:
            value = None if values[0] in _NONE else values[0]
        _put(changes, path, value)
    return changes


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes laid over values, mapping by mapping."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        result[key] = merged(old, change) if isinstance(change, Mapping) and isinstance(old, Mapping) else change
    return result


def nested_model(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 -- any annotation
    """The model a field holds, optional or not; None when it holds a plain value."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    rest = list(arguments)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--") or token == "--":
            raise UsageError(f"unexpected argument '{token}'; options start with --, see --help")
        name, equals, first = token[2:].partition("=")
        values = [first] if equals else []
        while rest and not equals and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        yield name, values


def _find(model: type[BaseModel], option: str) -> tuple[list[str], Any, bool]:
    """Keys from the top, the annotation of the last one, and whether the option is `--no-<flag>`."""
    path = option.replace("-", "_").split(".")
    owner: type[BaseModel] | None = model
    for depth, key in enumerate(path):
        if owner is None:
            break
        last, fields = depth == len(path) - 1, owner.model_fields
        if last and key not in fields and key.startswith("no_") and key[3:] in fields:
            return [*path[:-1], key[3:]], fields[key[3:]].annotation, True
        if key not in fields:
            known = [".".join([*path[:depth], name]).replace("_", "-") for name in fields]
            close = difflib.get_close_matches(option, known, n=1)
            raise UsageError(f"--{option}: unknown option" + (f" (did you mean --{close[0]}?)" if close else ""))
        if last:
            return path, fields[key].annotation, False
        owner = nested_model(fields[key].annotation)
    raise UsageError(f"--{option}: unknown option; '{path[-2]}' has no parts")


def _holds(annotation: Any, kind: type) -> bool:  # noqa: ANN401
    return any(part is kind or get_origin(part) is kind for part in (annotation, *get_args(annotation)))


def _put(changes: dict[str, Any], path: Sequence[str], value: object) -> None:
    for key in path[:-1]:
        changes = changes.setdefault(key, {})
    changes[path[-1]] = value
