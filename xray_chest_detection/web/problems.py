"""Errors as problem+json for programs and as a page for people (RFC 9457)."""

from http import HTTPStatus

from flask import json, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from xray_chest_detection.config.demo import MIB
from xray_chest_detection.errors import ImageError

CONTENT_TYPE = "application/problem+json"
_CURES = {
    404: "The address may be mistyped; the page and the models have links at the top.",
    405: "See the About page for the addresses of the API and their methods.",
    413: "Export the image with fewer pixels or as PNG or JPEG.",
    500: "Try again; if it happens with every film, restart the demo.",
    503: "Put <model>.onnx and <model>.card.yaml into the checkpoints folder and restart the demo.",
}


def problem(status: int, title: str, detail: str) -> Response:
    """One error: what happened, why, and what to do about it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if status in _CURES:
        body["cure"] = _CURES[status]
    return Response(json.dumps(body, sort_keys=False), status=status, content_type=CONTENT_TYPE)


def unreadable(error: ImageError) -> ResponseReturnValue:
    """An upload that is not an image this program reads; the error itself says what to do."""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "This file could not be read as an image", str(error))


def refused(error: HTTPException) -> ResponseReturnValue:
    """Any HTTP error: problem+json below `/api/`, a page elsewhere."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if error.response is not None or status < HTTPStatus.BAD_REQUEST:
        return error.get_response()
    phrase, detail = HTTPStatus(status).phrase, error.description or ""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        limit = (request.max_content_length or 0) // MIB
        phrase, detail = "This file is too large", f"the request is larger than {limit} MiB, the most this server takes"
    if request.path.startswith("/api/"):
        response = problem(status, phrase, detail)
        response.headers.extend(header for header in error.get_headers() if header[0] in ("Allow", "Retry-After"))
        return response
    return render_template(
        "error.html", status=int(status), title=phrase, detail=detail, cure=_CURES.get(status)
    ), status
