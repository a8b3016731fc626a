"""The API described for programs: an OpenAPI 3.1 document. The page `/api` shows the same document to people.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Iterable, Sequence

from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.web.openapi_examples import COCO, PREDICTION
from xray_chest_detection.web.openapi_schemas import Schema, a_score, a_text, an_object, reasons, ref, schemas
from xray_chest_detection.web.options import CONF_OF, FORMATS, SWITCH
from xray_chest_detection.web.problems import CONTENT_TYPE
from xray_chest_detection.web.uploads import FORM

RAW_TYPES = (
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/webp",
    "image/bmp",
    "application/dicom",
    "application/octet-stream",
)
_RETRY = {"Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}}}
_PROBLEMS = {
    400: ("Bad request", "An option is unknown or has a value that is not allowed, or no film was sent.", False),
    404: ("Unknown sample", "The form names a sample that this server does not have.", False),
    413: ("Too large", "The request is larger than this server takes.", False),
    415: ("Unknown content", "The content type is neither a form nor an image.", False),
    422: ("Not an image", "The bytes are no image that can be read, or it has too many or too few pixels.", False),
    429: ("Too many requests", "This client asks too often.", True),
    500: ("Failure", "The server failed; it says nothing about its inside.", False),
    503: ("Unavailable", "Too many films are being read or wait, or none of the models asked for is loaded.", True),
    504: ("Too late", "The film was not done in time.", False),
}


def document(models: Sequence[str], samples: Sequence[str], *, max_bytes: int) -> Schema:
    """The OpenAPI document of a server.

    Args:
        models: Names of the served models.
        samples: Keys of the sample films.
        max_bytes: Largest request.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "X-ray findings",
            "version": "1",
            "summary": "Detectors of findings on chest X-rays.",
            "description": f"{NOT_A_DEVICE} Nothing that is sent is stored or logged. Send no films of identifiable "
            "people to a server that is not yours.",
            "license": {"name": "AGPL-3.0-only", "identifier": "AGPL-3.0-only"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/api/v1/predict": {"post": _predict(models, samples, max_bytes=max_bytes)},
            "/api/v1/models": {"get": _models()},
            "/healthz": {"get": _healthz()},
            "/readyz": {"get": _readyz()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {"schemas": schemas(models), "responses": dict(map(_problem, _PROBLEMS))},
    }


def _predict(models: Sequence[str], samples: Sequence[str], *, max_bytes: int) -> Schema:
    options = _options(models)
    form = an_object(
        {
            "file": {"type": "string", "format": "binary", "description": "The film. Its content decides its format."},
            "sample": a_text("Instead of a file: a sample film of this server.", enum=list(samples)),
        }
        | options,
        required=(),
    )
    if samples:
        form["oneOf"] = [{"required": ["file"]}, {"required": ["sample"]}]
    else:
        del form["properties"]["sample"]
        form["required"] = ["file"]
    content: Schema = {
        FORM: {
            "schema": form,
            "encoding": {"file": {"contentType": ", ".join(RAW_TYPES[:-1])}}
            | {"models": {"style": "form", "explode": False}},
        }
    }
    return {
        "operationId": "predict",
        "summary": "What the models mark on a film",
        "description": "Send one film (PNG, JPEG, TIFF, WebP, BMP or DICOM) as the field `file` of a form, or as the "
        "body itself. Options stand in the address or, with a form, in its fields, which count more. "
        f"A request may have up to {max_bytes:,} bytes.",
        "parameters": [
            {"name": name, "in": "query", "description": schema["description"], "schema": _without_text(schema)}
            | ({"style": "form", "explode": False} if name == "models" else {})
            for name, schema in options.items()
        ],
        "requestBody": {"required": True, "content": content | {kind: {"schema": {}} for kind in RAW_TYPES}},
        "responses": {
            "200": {
                "description": "What was found.",
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [ref("Prediction"), ref("Coco")]},
                        "examples": {
                            "json": {"summary": "format=json", "value": PREDICTION},
                            "coco": {"summary": "format=coco", "value": COCO},
                        },
                    },
                    "image/png": {"schema": {}},
                },
            }
        }
        | _refusals(_PROBLEMS),
    }


def _options(models: Sequence[str]) -> dict[str, Schema]:
    """The options of a prediction, by name."""
    own = {
        CONF_OF + name: a_score(f"Score from which a box of the model `{name}` is returned; counts more than `conf`.")
        for name in models
    }
    return {
        "models": {
            "type": "array",
            "items": {"type": "string", "enum": list(models)},
            "minItems": 1,
            "uniqueItems": True,
            "description": "Models to ask, joined by commas; all when left out.",
        },
        "conf": a_score("Score from which a box is returned; when left out, each model's tuned threshold."),
        **own,
        "format": a_text(
            "Form of the answer: `json`, `png` (the film with the marks of each model drawn) or `coco`.",
            enum=list(FORMATS),
        ),
        "preview": a_text(
            "Whether `json` carries the film as PNG where a browser would show it differently or not at all.",
            enum=list(SWITCH),
        ),
    }


def _models() -> Schema:
    answer = an_object(
        {
            "models": {"type": "array", "items": ref("Model"), "description": "One card for each loaded model."},
            "errors": reasons("Why a model is not loaded, by name."),
            "notice": a_text("Shown wherever a finding is shown."),
        }
    )
    return {
        "operationId": "models",
        "summary": "The model cards",
        "responses": {"200": _json("The cards of the loaded models.", answer)} | _refusals((500,)),
    }


def _healthz() -> Schema:
    answer = an_object({"status": a_text("The process answers.", enum=["ok"])})
    return {
        "operationId": "healthz",
        "summary": "Whether the process answers",
        "responses": {
            "200": _json("It does.", answer, {"status": "ok"}),
            "503": _refusal(503, "Stuck", "Every place is taken by a film that does not end; restart the process."),
        }
        | _refusals((500,)),
    }


def _readyz() -> Schema:
    answer = an_object(
        {
            "status": a_text("Whether films can be read.", enum=["ready", "no model"]),
            "models": {"type": "array", "items": {"type": "string"}, "description": "Names of the loaded models."},
            "errors": reasons("What is not loaded and why, by name; the others keep working."),
        }
    )
    damaged = "multi.onnx: sha256 0123456789ab... is not the card's ba9876543210...; fetch or export the model again"
    example = {"status": "ready", "models": ["binary"], "errors": {"multi": damaged}}
    return {
        "operationId": "readyz",
        "summary": "Which models are loaded, and why others are not",
        "responses": {
            "200": _json("At least one model is loaded.", answer, example),
            "503": _json("No model is loaded.", answer, example | {"status": "no model", "models": []}),
        }
        | _refusals((500,)),
    }


def _openapi() -> Schema:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "responses": {"200": _json("OpenAPI 3.1.", {"type": "object"})} | _refusals((500,)),
    }


def _problem(status: int) -> tuple[str, Schema]:
    return f"Problem{status}", _refusal(status, *_PROBLEMS[status])


def _refusal(status: int, title: str, description: str, retry: bool = False) -> Schema:
    example = {"type": "about:blank", "title": title, "status": status, "detail": description}
    content = {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}
    return {"description": description, "content": content} | ({"headers": _RETRY} if retry else {})


def _refusals(statuses: Iterable[int]) -> Schema:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def _json(description: str, schema: Schema, example: object = None) -> Schema:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": description, "content": {"application/json": content}}


def _without_text(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}
