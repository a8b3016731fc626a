"""The wishes that come with a film: form fields of a multipart request, or parameters of its address."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from xray_chest_detection.web.uploads import is_raw, one_line

FORMATS = ("json", "png")
SWITCH = {"true": True, "1": True, "false": False, "0": False}
CONF_OF = "conf_"  # conf_multi is the threshold of the model multi alone
FILM_FIELDS = ("file", "sample")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Options:
    """What a request asks for.

    Attributes:
        models: Names of models, in the order of the panels.
        conf: Score from which a box is returned, by model; a model without one uses its own thresholds.
        format: `json` or `png`.
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
    """The options of a request, from its form and its address together.

    Raises:
        BadRequest: An option is unknown, given twice, or has a value that is not allowed.
        UnsupportedMediaType: The content is neither a form nor an image.
    """
    given: MultiDict[str, str] = MultiDict(request.args)
    film_fields: tuple[str, ...] = ()
    if not is_raw(request):
        given.update(request.form)
        given.update(dict.fromkeys(request.files, ""))
        film_fields = FILM_FIELDS
        _refuse_film_in_address(request)
    _refuse_unknown(given, (*film_fields, *option_names(known_models)))
    return Options(
        models=_models(given, known_models),
        conf=_conf(given, known_models),
        format=_choice(given, "format", FORMATS, default="json"),
        preview=SWITCH[_choice(given, "preview", tuple(SWITCH), default="false")],
    )


def _refuse_film_in_address(request: Request) -> None:
    wrong = next((name for name in FILM_FIELDS if name in request.args), None)
    if wrong:
        raise BadRequest(f"{wrong}: belongs into the form, not into the address; with curl: -F {wrong}=...")


def _refuse_unknown(given: MultiDict[str, str], known: Sequence[str]) -> None:
    unknown = next((name for name in given if name not in known), None)
    if unknown is None:
        return
    close = difflib.get_close_matches(unknown, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise BadRequest(f"unknown option '{one_line(unknown)}' ({hint}known: {', '.join(known)})")


def _models(given: MultiDict[str, str], known: Sequence[str]) -> tuple[str, ...]:
    """The models of `models=multi,binary`, also repeated; all when it is not given."""
    if "models" not in given:
        return tuple(known)
    wished = [name.strip() for value in given.getlist("models") for name in value.split(",")]
    unknown = next((name for name in wished if name not in known), None)
    if unknown is not None:
        raise BadRequest(
            f"models: unknown model '{one_line(unknown)}' (known: {', '.join(known)}; leave it out for all)"
        )
    return tuple(name for name in known if name in wished)


def _conf(given: MultiDict[str, str], known: Sequence[str]) -> dict[str, float]:
    """Thresholds by model: `conf` for all, replaced by `conf_<model>` where that is given."""
    scores = {option: _score(given, option) for option in ("conf", *(CONF_OF + name for name in known))}
    chosen = {name: own if (own := scores[CONF_OF + name]) is not None else scores["conf"] for name in known}
    return {name: score for name, score in chosen.items() if score is not None}


def _score(given: MultiDict[str, str], option: str) -> float | None:
    text = _single(given, option)
    if text is None:
        return None
    score = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= score <= 1:
        raise BadRequest(
            f"{option}: expected a number from 0 to 1, got '{one_line(text)}'; leave it out for the tuned one"
        )
    return score


def _choice(given: MultiDict[str, str], option: str, allowed: Sequence[str], *, default: str) -> str:
    text = _single(given, option)
    if text is None:
        return default
    if text not in allowed:
        raise BadRequest(f"{option}: expected one of {', '.join(allowed)}, got '{one_line(text)}'")
    return text


def _single(given: MultiDict[str, str], option: str) -> str | None:
    """The value of an option that may be given once; None when it is not given."""
    values = given.getlist(option)
    if len(values) > 1:
        raise BadRequest(f"{option}: given {len(values)} times; give it once")
    return values[0].strip() if values else None
