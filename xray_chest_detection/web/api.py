"""The API: `POST /api/v1/predict`, `GET /api/v1/models`, and what a load balancer asks."""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.core.images import Radiograph
from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.palette import marks
from xray_chest_detection.inference.predict import detect_radiograph, predict_radiograph
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.inference.render import four_panel, operating_point
from xray_chest_detection.web import films, options, uploads
from xray_chest_detection.web.gallery import Gallery
from xray_chest_detection.web.hub import ModelHub


def blueprint(config: DemoConfig, hub: ModelHub, gallery: Gallery) -> Blueprint:
    """The routes of the API."""
    api = Blueprint("api", __name__)

    @api.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}

    @api.get("/_ah/warmup")
    @api.get("/readyz")
    def readyz() -> ResponseReturnValue:
        cards = hub.cards()
        body = {"status": "ready" if cards else "no model", "models": list(cards), "errors": hub.errors()}
        return body, HTTPStatus.OK if cards else HTTPStatus.SERVICE_UNAVAILABLE

    @api.get("/api/v1/models")
    def models() -> ResponseReturnValue:
        return {
            "models": [describe(card) for card in hub.cards().values()],
            "errors": hub.errors(),
            "notice": NOT_A_DEVICE,
        }

    @api.post("/api/v1/predict")
    def predict() -> ResponseReturnValue:
        started = time.perf_counter()
        wish = options.options_of(request, hub.names)
        names, conf = wish.models, wish.conf
        film = uploads.film_of(request, gallery, max_pixels=config.max_pixels)
        registry = _registry_with(hub, names)
        ready = [name for name in names if name in registry.names]
        if wish.format == "png":
            return _picture(registry, film.radiograph, ready, conf)
        body, failed = _predict(registry, film.radiograph, ready, conf)
        body["errors"] = {name: text for name, text in hub.errors().items() if name in names} | failed
        body["image"] = _facts(film.radiograph)
        if wish.preview and not films.browser_shows_it(film.content):
            body["preview"] = films.data_url(films.as_png(film.radiograph.pixels))
        body["notice"] = NOT_A_DEVICE
        body["elapsed_ms"] = round(1000 * (time.perf_counter() - started))
        return body

    return api


def describe(card: ModelCard) -> dict[str, object]:
    """A card as the API shows it: with the mark of every class and the operating point in words."""
    body = card.model_dump(mode="json")
    body["classes"] = marks(card.classes)
    body["operating_point"] = operating_point(card)
    return body


def _registry_with(hub: ModelHub, names: Sequence[str]) -> Registry:
    registry = hub.registry()
    if registry is None or not any(name in registry.names for name in names):
        reasons = "; ".join(f"{name}: {text}" for name, text in hub.errors().items() if name in names)
        raise ServiceUnavailable(f"none of the models asked for is loaded ({reasons})")
    return registry


def _predict(
    registry: Registry, radiograph: Radiograph, names: Sequence[str], conf: Mapping[str, float]
) -> tuple[dict[str, object], dict[str, str]]:
    """Predict with all models at once; when that fails, one by one, so that one bad model costs only itself."""
    try:
        return dict(predict_radiograph(registry, radiograph, models=names, conf=conf)), {}
    except ModelError:
        pass
    body = dict(predict_radiograph(registry, radiograph, models=[], conf=conf))
    found: dict[str, object] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            found[name] = predict_radiograph(registry, radiograph, models=[name], conf=conf)["models"][name]
        except ModelError as error:
            failed[name] = str(error)
    return body | {"models": found}, failed


def _picture(registry: Registry, radiograph: Radiograph, names: Sequence[str], conf: Mapping[str, float]) -> Response:
    found = detect_radiograph(registry, radiograph, models=names, conf=conf)
    sheet = four_panel(radiograph, found, {name: registry.get(name).card for name in names})
    return Response(films.picture_png(sheet), content_type="image/png")


def _facts(radiograph: Radiograph) -> dict[str, object]:
    """What is said about the film: nothing that identifies a person."""
    return {
        "format": radiograph.format,
        "view": radiograph.view,
        "laterality": radiograph.laterality,
        "notes": list(radiograph.notes),
    }
