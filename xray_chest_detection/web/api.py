"""The API: `POST /api/v1/predict`, `GET /api/v1/models`, and what a load balancer asks."""

import time
from collections.abc import Sequence
from http import HTTPStatus

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.images import Radiograph
from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.chest_gate import check_record
from xray_chest_detection.inference.palette import marks
from xray_chest_detection.inference.predict import detect_radiograph, to_record
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.inference.render import four_panel, operating_point
from xray_chest_detection.web import films, uploads
from xray_chest_detection.web.chest import ChestWatch
from xray_chest_detection.web.coco import to_coco
from xray_chest_detection.web.gallery import Gallery
from xray_chest_detection.web.hub import ModelHub
from xray_chest_detection.web.openapi import document
from xray_chest_detection.web.options import Options, options_of


def blueprint(config: DemoConfig, hub: ModelHub, gallery: Gallery) -> Blueprint:
    """The routes of the API."""
    api = Blueprint("api", __name__)
    watch = ChestWatch(hub.folder)

    @api.get("/healthz")
    def healthz() -> ResponseReturnValue:
        return {"status": "ok"}

    @api.get("/_ah/warmup")
    @api.get("/readyz")
    def readyz() -> ResponseReturnValue:
        cards = hub.cards()
        gate = watch.error()
        errors = hub.errors() | ({} if gate is None else {"chest_gate": hub.plain(gate)})
        body = {"status": "ready" if cards else "no model", "models": list(cards), "errors": errors}
        return body, HTTPStatus.OK if cards else HTTPStatus.SERVICE_UNAVAILABLE

    @api.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        return document(hub.names, [sample.key for sample in gallery.samples], max_bytes=config.max_upload_mib * MIB)

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
        wish = options_of(request, hub.names)
        film = uploads.film_of(request, gallery, max_pixels=config.max_pixels)
        registry = _registry_with(hub, wish.models)
        found, failed = _detect(hub, registry, film.radiograph, wish)
        reasons = hub.errors() | failed
        errors = {name: text for name, text in reasons.items() if name in wish.models}
        chest = watch.check(film.radiograph)
        notes = [chest.message] if chest is not None and chest.message else []
        if wish.format == "png":
            notes += [f"{name} is missing: {text}" for name, text in errors.items()]
            cards = hub.cards()
            sheet = four_panel(film.radiograph, found, cards, conf=wish.conf, notes=notes, order=hub.names)
            return Response(films.picture_png(sheet), content_type="image/png")
        record = to_record(registry, film.radiograph, found)
        if wish.format == "coco":
            return to_coco(record, hub.cards(), notes=notes)
        body = record | {"errors": errors, "image": _facts(film.radiograph)}
        body["chest"] = None if chest is None else check_record(chest)
        if wish.preview and not films.browser_shows_it(film.content):
            body["preview"] = films.data_url(films.as_png(film.radiograph.pixels))
        return body | {"notice": NOT_A_DEVICE, "elapsed_ms": round(1000 * (time.perf_counter() - started))}

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


def _detect(
    hub: ModelHub, registry: Registry, film: Radiograph, wish: Options
) -> tuple[dict[str, Detections], dict[str, str]]:
    """Detect with all models at once; when that fails, one by one, so that one bad model costs only itself.

    Raises:
        ServiceUnavailable: All of them fail.
    """
    names = [name for name in wish.models if name in registry.names]
    try:
        return detect_radiograph(registry, film, models=names, conf=wish.conf), {}
    except ModelError:
        pass
    found: dict[str, Detections] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            found |= detect_radiograph(registry, film, models=[name], conf=wish.conf)
        except ModelError as error:
            failed[name] = hub.plain(str(error))
    if not found:
        reasons = "; ".join(f"{name}: {text}" for name, text in failed.items())
        raise ServiceUnavailable(f"none of the models asked for could be run ({reasons})")
    return found, failed


def _facts(radiograph: Radiograph) -> dict[str, object]:
    """What is said about the film: nothing that identifies a person."""
    return {
        "format": radiograph.format,
        "view": radiograph.view,
        "laterality": radiograph.laterality,
        "notes": list(radiograph.notes),
    }
