"""The wishes that come with a film: parameters of the address, or fields of the form it is sent with."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from xray_chest_detection.web.uploads import is_raw, one_line

FORMATS = ("json", "png", "coco")
SWITCH = {"true": True, "false": False, "1": True, "0": False}
CONF_OF = "conf_"  # conf_multi is the threshold of the model multi alone
FILM_FIELDS = ("file", "sample")
# Only one way to read any text: with two, a long row of digits would be tried in as many ways as its length squared.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Options:
    """What a request asks for.

    Attributes:
        models: Names of models, in the order of the panels.
        conf: Score from which a box is returned, by model; a model without one uses its own thresholds.
        format: `json`, `png` or `coco`.
        preview: Whether JSON carries the film as PNG where a browser would show it differently or not at all.
    """

    models: tuple[str, ...]
    conf: Mapping[str, float]
    format: str
    preview: bool


def option_names(known_models: Iterable[str]) -> tuple[str, ...]:
    """All options of a prediction, for the models that are served."""
    return ("models", "conf", *(CONF_OF + name for name in known_models), "format", "preview")


def options_of(request: Request, known_models: Sequence[str]) -> Options:
    """The options of a request. What stands in its form counts more than what stands in its address.

    Raises:
        BadRequest: An option is unknown, given twice, or has a value that is not allowed.
        UnsupportedMediaType: The content is neither a form nor an image.
    """
    names = option_names(known_models)
    wished = _values(request.args, known_models, allowed=names)
    if not is_raw(request):
        form = MultiDict([*request.form.items(multi=True), *((name, "") for name in request.files)])
        wished |= _values(form, known_models, allowed=(*FILM_FIELDS, *names))
    scores = {name: wished.get(CONF_OF + name, wished.get("conf")) for name in known_models}
    return Options(
        models=wished.get("models", tuple(known_models)),
        conf={name: score for name, score in scores.items() if score is not None},
        format=wished.get("format", "json"),
        preview=wished.get("preview", False),
    )


def _values(given: MultiDict[str, str], known_models: Sequence[str], *, allowed: Sequence[str]) -> dict[str, Any]:
    """The options of one place, each with its value."""
    values: dict[str, Any] = {}
    for name in given:
        texts = [text.strip() for text in given.getlist(name)]
        if name not in allowed:
            raise BadRequest(_unknown(name, allowed))
        if name == "models":
            values[name] = _models(texts, known_models)
        elif name not in FILM_FIELDS:
            values[name] = _value(name, texts)
    return values


def _unknown(name: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"unknown option '{one_line(name)}' ({hint}known here: {', '.join(allowed)})"


def _models(texts: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The models of `models=multi,binary`, also repeated, in the order of the panels."""
    wished = [name.strip() for text in texts for name in text.split(",")]
    unknown = next((name for name in wished if name not in known), None)
    if unknown is not None:
        raise BadRequest(f"models: unknown model '{one_line(unknown)}' (known: {', '.join(known)}; leave out for all)")
    if len(set(wished)) < len(wished):
        raise BadRequest(f"models: a model is named twice in '{one_line(','.join(wished))}'; name each once")
    return tuple(name for name in known if name in wished)


def _value(name: str, texts: Sequence[str]) -> object:
    if len(texts) > 1:
        raise BadRequest(f"{name}: given {len(texts)} times; give it once")
    (text,) = texts
    if name == "format":
        return _choice(name, text, FORMATS)
    if name == "preview":
        return SWITCH[_choice(name, text, tuple(SWITCH))]
    score = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= score <= 1:
        raise BadRequest(f"{name}: expected a number from 0 to 1, got '{one_line(text)}'; leave out for the tuned one")
    return score


def _choice(name: str, text: str, allowed: Sequence[str]) -> str:
    if text not in allowed:
        raise BadRequest(f"{name}: expected one of {', '.join(allowed)}, got '{one_line(text)}'")
    return text
