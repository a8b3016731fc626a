"""The OpenAPI document as tables for people."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A parameter or a field.

    Attributes:
        name: Its name; what stands inside another field follows a point, in a list `[]`.
        kind: What it may be, in words.
        schema: Name of the schema it is described by; None when `kind` says it all.
        required: Whether it must be there.
        text: What it means.
    """

    name: str
    kind: str
    schema: str | None
    required: bool
    text: str


@dataclass(frozen=True)
class Answer:
    """What a status means, in which content types it comes, and examples by name, as JSON."""

    status: str
    text: str
    kinds: tuple[str, ...]
    examples: dict[str, str]


@dataclass(frozen=True)
class Operation:
    """One thing to ask for.

    Attributes:
        key: Its anchor.
        method: `GET` or `POST`.
        path: Its address.
        summary: What it is for.
        text: The rest of its description.
        parameters: Parameters of the address.
        bodies: Fields of the body by content type; none where the body is the film itself.
        answers: What comes back.
    """

    key: str
    method: str
    path: str
    summary: str
    text: str
    parameters: tuple[Row, ...]
    bodies: dict[str, tuple[Row, ...]]
    answers: tuple[Answer, ...]


def operations(document: Schema) -> list[Operation]:
    """All operations of a document, in its order."""
    return [
        Operation(
            key=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            text=operation.get("description", ""),
            parameters=tuple(_parameter(parameter) for parameter in operation.get("parameters", ())),
            bodies={
                kind: tuple(_rows(content["schema"]))
                for kind, content in operation.get("requestBody", {}).get("content", {}).items()
            },
            answers=tuple(_answer(document, status, answer) for status, answer in operation["responses"].items()),
        )
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def schema_tables(document: Schema) -> dict[str, tuple[Row, ...]]:
    """The fields of every schema of a document, by its name."""
    return {name: tuple(_rows(schema)) for name, schema in document["components"]["schemas"].items()}


def kind_of(schema: Schema) -> tuple[str, str | None]:
    """What a value may be, in words, and the name of the schema they point at.

    >>> kind_of({"type": "number", "minimum": 0, "maximum": 1})
    ('number, 0 to 1', None)
    >>> kind_of({"type": "array", "items": {"$ref": "#/components/schemas/Mark"}})
    ('list of Mark', 'Mark')
    """
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return name, name
    if "anyOf" in schema:
        kinds = [kind_of(choice) for choice in schema["anyOf"]]
        return _either([words for words, _ in kinds]), next((name for _, name in kinds if name), None)
    if "enum" in schema:
        return _either([str(value) for value in schema["enum"]]), None
    if "const" in schema:
        return str(schema["const"]), None
    if schema.get("type") == "array":
        words, target = kind_of(schema["items"]) if "items" in schema else ("anything", None)
        return f"list of {words}", target
    if isinstance(schema.get("additionalProperties"), Mapping):
        words, target = kind_of(schema["additionalProperties"])
        return f"{words} by name", target
    return _plain_kind(schema), None


def _either(words: Sequence[str]) -> str:
    """The words joined by commas, the last by `or`."""
    return ", ".join(words[:-1]) + " or " * (len(words) > 1) + words[-1]


def _plain_kind(schema: Schema) -> str:
    types = schema.get("type", "anything")
    words = _either(types) if isinstance(types, list) else str(types)
    if schema.get("format") == "binary":
        return "file"
    if "minimum" in schema and "maximum" in schema:
        return f"{words}, {schema['minimum']:g} to {schema['maximum']:g}"
    return f"{words}, from {schema['minimum']:g}" if "minimum" in schema else words


def _parameter(parameter: Schema) -> Row:
    kind, name = kind_of(parameter["schema"])
    return Row(parameter["name"], kind, name, bool(parameter.get("required")), parameter["description"])


def _rows(schema: Schema, prefix: str = "") -> Iterator[Row]:
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        kind, target = kind_of(inner)
        yield Row(prefix + name, kind, target, name in required, inner.get("description", ""))
        item = inner.get("items", inner)
        if isinstance(item, Mapping) and "properties" in item and target is None:
            yield from _rows(item, f"{prefix}{name}{'[]' if item is not inner else ''}.")


def _answer(document: Schema, status: str, answer: Schema) -> Answer:
    if "$ref" in answer:
        answer = document["components"]["responses"][str(answer["$ref"]).rpartition("/")[2]]
    content = answer.get("content", {})
    examples = {
        name: json.dumps(example["value"], indent=1, ensure_ascii=False)
        for body in content.values()
        for name, example in _examples(body).items()
    }
    return Answer(status, answer["description"], tuple(content), examples)


def _examples(body: Schema) -> dict[str, Any]:
    if "example" in body:
        return {"example": {"value": body["example"]}}
    return dict(body.get("examples", {}))
