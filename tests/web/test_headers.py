"""What every answer says to the browser, whatever it is an answer to."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

PATHS = [
    *("/", "/models", "/models/multi", "/about", "/api", "/healthz", "/readyz", "/_ah/warmup", "/openapi.json"),
    *("/api/v1/models", "/samples/chest-cr/thumb", "/samples/chest-cr/film", "/static/main.js", "/static/page.css"),
    *("/nothing", "/static/nothing.js", "/api/v1/nothing", "/api/v1/predict", "/samples/nothing/film"),
]
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
Ask = Callable[[FlaskClient, bytes], object]
POSTS: dict[str, Ask] = {
    "a film": lambda client, png: client.post("/api/v1/predict", data=png, content_type="image/png"),
    "a picture": lambda client, png: client.post("/api/v1/predict?format=png", data=png, content_type="image/png"),
    "no film": lambda client, _: client.post("/api/v1/predict", data=b"hello", content_type="image/png"),
    "a wrong type": lambda client, _: client.post("/api/v1/predict", data=b"hello", content_type="text/plain"),
    "too large": lambda client, _: client.post("/api/v1/predict", headers={"Content-Length": "99999999"}),
    "a wrong method": lambda client, _: client.delete("/"),
}


def get(path: str) -> Ask:
    return lambda client, _: client.get(path, buffered=True)


@pytest.mark.parametrize("ask", [get(path) for path in PATHS] + list(POSTS.values()), ids=PATHS + list(POSTS))
def test_every_answer_is_guarded(client: FlaskClient, png: bytes, ask: Ask) -> None:
    response = ask(client, png)
    headers = response.headers
    directives = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert directives == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in headers["Cache-Control"] or may_be_kept(response)
    assert "Set-Cookie" not in headers
    assert "Strict-Transport-Security" not in headers
    assert not re.search(r"Python|Werkzeug|Flask", str(headers))
    if response.mimetype == "text/html":
        assert not re.findall(r"<script(?![^>]*\bsrc=)", response.text), "inline script"
        assert not re.findall(r"\s(?:style|on[a-z]+)=", response.text), "inline style or handler"


def may_be_kept(response: object) -> bool:
    """Only what is the same for everybody: static files and the samples."""
    return response.status_code == 200 and response.request.path.startswith(("/static/", "/samples/"))


def test_every_route_is_in_the_list(app: Flask) -> None:
    shown = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if not any(re.fullmatch(re.sub(r"<[^>]+>", ".+", rule.rule), path) for path in PATHS)
    }
    assert shown == set()


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/nothing"])
def test_over_https_browsers_are_told_to_stay_there(client: FlaskClient, path: str) -> None:
    secure = client.get(path, base_url="https://localhost", buffered=True).headers
    assert secure["Strict-Transport-Security"] == "max-age=31536000"
