"""The schemas of what the API answers, and short words for writing schemas down."""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from xray_chest_detection.core.model_card import ModelCard

Schema = dict[str, Any]

_SCHEMAS = "#/components/schemas/"


def schemas(models: Sequence[str]) -> dict[str, Schema]:
    """Everything the API answers, by name. `models` are the names of the served models."""
    marks = _list(ref("Mark"), "Its marks, best first.")
    return {
        "Prediction": an_object(
            {
                "file": a_text("Name of the film as it was sent."),
                "width": _count("Of the film, px."),
                "height": _count("Of the film, px."),
                "models": {
                    "type": "object",
                    "properties": dict.fromkeys(models, marks),
                    "additionalProperties": False,
                    "description": "The marks of each model.",
                },
                "errors": reasons("Why a model that was asked for is missing, by name."),
                "image": ref("Image"),
                "chest": {"anyOf": [ref("Chest"), {"type": "null"}], "description": "Null when nothing checks it."},
                "preview": a_text("The film as a data URL, PNG; only with `preview`."),
                "notice": a_text("Shown wherever a finding is shown."),
                "elapsed_ms": {"type": "integer", "minimum": 0, "description": "Time of the server."},
            },
            optional=("preview",),
        ),
        "Mark": an_object(
            {
                "class": a_text("Class of the finding."),
                "score": a_score("Orders the marks of one model; no probability."),
                "box": numbers(4, "x1, y1, x2, y2 in pixels of the film, from its top left corner."),
            }
        ),
        "Image": an_object(
            {
                "format": a_text("What the content is, for example PNG or DICOM."),
                "view": nullable("DICOM view position, for example PA."),
                "laterality": nullable("DICOM laterality, L or R."),
                "notes": _list({"type": "string"}, "What was changed on the way to 8-bit grey."),
            }
        ),
        "Chest": an_object(
            {
                "score": {"type": "number", "description": "How much the film looks like a chest X-ray."},
                "passed": {"type": "boolean", "description": "Whether it looks like one; marks are given anyway."},
                "message": nullable("What to tell a person when it does not."),
            }
        ),
        **_coco(),
        "Problem": an_object(
            {
                "type": a_text("Always `about:blank`: the status says what kind of problem it is."),
                "title": a_text("What happened."),
                "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
                "detail": a_text("The place, the value, what is allowed and the cure, in one line."),
                "cure": a_text("What else to do about it."),
            },
            optional=("cure",),
        ),
        **_model_schemas(),
    }


def _coco() -> dict[str, Schema]:
    image = an_object(
        {
            "id": _count("Always 1."),
            "file_name": a_text("Name of the film as it was sent."),
            "width": _count("Of the film, px."),
            "height": _count("Of the film, px."),
        }
    )
    annotation = an_object(
        {
            "id": _count("Its number."),
            "image_id": _count("Always 1."),
            "category_id": _count("Which of the categories."),
            "bbox": numbers(4, "x, y, width, height in pixels of the film."),
            "area": {"type": "number", "minimum": 0, "description": "Width times height."},
            "iscrowd": {"type": "integer", "enum": [0], "description": "A box is no crowd."},
            "score": a_score("Orders the marks of one model; no probability."),
            "model": a_text("Name of the model that marks it."),
        }
    )
    category = an_object(
        {
            "id": _count("Its number."),
            "name": a_text("Class name, the same whichever model marks it."),
            "supercategory": a_text("Always `finding`."),
        }
    )
    model = an_object(
        {
            "title": a_text("Name for people."),
            "sha256": a_text("Digest of the model file."),
            "created": a_text("Date of training, ISO 8601."),
        }
    )
    info = an_object(
        {
            "description": a_text("The notice, and what else must be said about the film."),
            "models": {"type": "object", "additionalProperties": model, "description": "What was asked, by name."},
        }
    )
    licences = {"type": "array", "maxItems": 0, "description": "None: the film is the sender's."}
    return {
        "Coco": an_object(
            {
                "info": info | {"description": "What made this document."},
                "licenses": licences,
                "images": _list(image, "The film.") | {"minItems": 1, "maxItems": 1},
                "annotations": _list(annotation, "The marks, model after model, best first."),
                "categories": _list(category, "The classes of all models."),
            }
        )
    }


def _model_schemas() -> dict[str, Schema]:
    """The schema of a card and of its parts, from the code that reads cards."""
    card = ModelCard.model_json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")
    parts: dict[str, Schema] = card.pop("$defs", {})
    mark = an_object(
        {"name": a_text("Class name."), "letter": a_text("Drawn for it."), "colour": a_text("As #rrggbb.")}
    )
    card["properties"]["classes"] = _list(mark, "The classes by class id, and how each is drawn.")
    card["properties"]["operating_point"] = a_text("The thresholds in words.")
    card["required"] = list(card["properties"])
    found = {"Model": card} | parts
    named: dict[str, type[BaseModel]] = {"Model": ModelCard} | {part.__name__: part for part in _parts_of(ModelCard)}
    for name, kind in named.items():
        schema = found[name]
        schema.pop("description", None)
        for attribute, text in attribute_texts(kind).items():
            schema["properties"][attribute].setdefault("description", text)
    return found


def _parts_of(model: type[BaseModel]) -> Iterable[type[BaseModel]]:
    """The models that the fields of a model hold, however deep."""
    for field in model.model_fields.values():
        for kind in re.findall(r"\w+", str(field.annotation)):
            part = getattr(inspect.getmodule(model), kind, None)
            if inspect.isclass(part) and issubclass(part, BaseModel) and part is not model:
                yield part
                yield from _parts_of(part)


def attribute_texts(kind: type) -> dict[str, str]:
    """What the docstring of a class says about each attribute.

    >>> from xray_chest_detection.core.model_card import Metric
    >>> attribute_texts(Metric)["low"]
    'Lower end of the interval.'
    """
    _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def an_object(
    properties: dict[str, Schema], *, required: Iterable[str] | None = None, optional: Sequence[str] = ()
) -> Schema:
    """An object without further properties; all of them are required but the optional ones."""
    needed = [name for name in properties if name not in optional] if required is None else list(required)
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def a_text(description: str, *, enum: list[str] | None = None) -> Schema:
    """A string; with `enum` one of these."""
    return {"type": "string", "description": description} | ({} if enum is None else {"enum": enum})


def nullable(description: str) -> Schema:
    """A string or null."""
    return {"type": ["string", "null"], "description": description}


def a_score(description: str) -> Schema:
    """A number from 0 to 1."""
    return {"type": "number", "minimum": 0, "maximum": 1, "description": description}


def numbers(count: int, description: str) -> Schema:
    """A list of so many numbers."""
    return {
        "type": "array",
        "items": {"type": "number"},
        "minItems": count,
        "maxItems": count,
        "description": description,
    }


def reasons(description: str) -> Schema:
    """Messages by name."""
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description}


def ref(name: str) -> Schema:
    """One of `schemas`."""
    return {"$ref": _SCHEMAS + name}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "minimum": 1, "description": description}
