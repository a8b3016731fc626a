"""Errors as problem+json for programs and as a page for people (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Request, json, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from xray_chest_detection.config.demo import MIB
from xray_chest_detection.errors import ImageError

CONTENT_TYPE = "application/problem+json"
_LIST = "The page /api lists the addresses of the API, their methods and the samples."
_CURES = {
    404: _LIST,
    405: _LIST,
    500: "Try again; if it happens with every film, restart the demo.",
}
_CURES_ON_PAGES = _CURES | {404: "The address may be mistyped; the page and the models have links at the top."}
_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/openapi.json", "/_ah/")
_HEADERS = ("Allow", "Retry-After")


def problem(status: int, title: str, detail: str, *, retry_after: str | None = None) -> Response:
    """One error: what happened, why, and what to do about it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    cure = _cure(_CURES, status, retry_after)
    if cure:
        body["cure"] = cure
    return Response(json.dumps(body, sort_keys=False), status=status, content_type=CONTENT_TYPE)


def unreadable(error: ImageError) -> ResponseReturnValue:
    """An upload that is not an image this program reads; the error itself says what to do."""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "This file could not be read as an image", str(error))


def refused(error: HTTPException) -> ResponseReturnValue:
    """Any HTTP error: problem+json where programs ask, a page elsewhere."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if error.response is not None or status < HTTPStatus.BAD_REQUEST:
        return error.get_response()
    phrase, detail = HTTPStatus(status).phrase, error.description or ""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        phrase, detail = _too_large(request)
    headers = {name: value for name, value in error.get_headers() if name in _HEADERS}
    retry_after = headers.get("Retry-After")
    if request.path.startswith(_FOR_PROGRAMS):
        response = problem(status, phrase, detail, retry_after=retry_after)
    else:
        page = render_template(
            "error.html",
            status=int(status),
            title=phrase,
            detail=detail,
            cure=_cure(_CURES_ON_PAGES, status, retry_after),
        )
        response = Response(page, status=status, content_type="text/html; charset=utf-8")
    response.headers.update(headers)
    return response


def _cure(cures: Mapping[int, str], status: int, retry_after: str | None) -> str | None:
    return f"Try again in {retry_after} seconds." if retry_after else cures.get(status)


def _too_large(refused: Request) -> tuple[str, str]:
    """Title and detail: too large as a whole, or its form is not one of a film and its options."""
    limit, length = refused.max_content_length or 0, refused.content_length
    if length is not None and length <= limit:
        parts = refused.max_form_parts
        return (
            "This form is too large",
            f"the form has more than {parts} fields or a long text; send a film and options",
        )
    return (
        "This file is too large",
        f"the request is larger than {limit // MIB} MiB, the most this server takes; "
        "export the image with fewer pixels or as PNG or JPEG",
    )
