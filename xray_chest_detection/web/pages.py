"""The pages for people, and the sample films."""

from flask import Blueprint, Response, render_template, url_for
from markupsafe import Markup
from werkzeug.exceptions import NotFound, ServiceUnavailable

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.core.card_page.blocks import blocks_html
from xray_chest_detection.core.card_page.page import card_page
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.errors import ImageError
from xray_chest_detection.inference.palette import mark_of, marks
from xray_chest_detection.inference.render import operating_point
from xray_chest_detection.web.api_page import operations, schema_tables
from xray_chest_detection.web.cards import section_key, summary_of
from xray_chest_detection.web.curve import curve_words, draw_curve
from xray_chest_detection.web.gallery import Gallery, Sample
from xray_chest_detection.web.hub import ModelHub
from xray_chest_detection.web.openapi import RAW_TYPES, document

NOTICE = "Research demo, not a medical device"


def blueprint(config: DemoConfig, hub: ModelHub, gallery: Gallery) -> Blueprint:
    """The routes of the pages."""
    pages = Blueprint("pages", __name__)
    _add_words(pages)
    _add_samples(pages, gallery)

    @pages.get("/")
    def index() -> str:
        limit = config.max_upload_mib
        return render_template(
            "index.html",
            panels=[(name, hub.cards().get(name), hub.errors().get(name)) for name in hub.names],
            samples=gallery.samples,
            max_upload_mib=limit,
            max_upload_bytes=limit * MIB,
        )

    @pages.get("/models")
    def models() -> str:
        return render_template(
            "models.html", rows=[summary_of(card) for card in hub.cards().values()], errors=hub.errors()
        )

    @pages.get("/models/<name>")
    def model(name: str) -> str:
        card = hub.cards().get(name)
        if card is None and name in hub.names:
            raise ServiceUnavailable(f"the model {name} is not loaded: {hub.errors().get(name)}")
        if card is None:
            raise NotFound(f"there is no such model (known: {', '.join(hub.names)})")
        page = card_page(card)
        sections = [(section_key(one.title), one.title, Markup(blocks_html(one.blocks))) for one in page.sections]
        return render_template("model.html", card=card, row=summary_of(card), sections=sections, curve=draw_curve(card))

    @pages.get("/about")
    def about() -> str:
        return render_template("about.html", max_upload_mib=config.max_upload_mib, max_pixels=config.max_pixels)

    @pages.get("/api")
    def api() -> str:
        described = document(
            hub.names, [sample.key for sample in gallery.samples], max_bytes=config.max_upload_mib * MIB
        )
        return render_template(
            "api.html",
            document=described,
            operations=operations(described),
            schemas=schema_tables(described),
            raw_types=RAW_TYPES,
            address=url_for("api.predict", _external=True),
        )

    return pages


def _add_words(pages: Blueprint) -> None:
    """What the templates of all pages know."""

    @pages.app_context_processor
    def words() -> dict[str, object]:
        return {
            "notice": NOTICE,
            "long_notice": NOT_A_DEVICE,
            "operating_point": operating_point,
            "mark_of": mark_of,
            "curve_words": curve_words,
            "marks": lambda card: marks(card.classes),
        }

    @pages.app_template_filter()
    def capitalize_first(text: str) -> str:
        return text[:1].upper() + text[1:]


def _add_samples(pages: Blueprint, gallery: Gallery) -> None:
    """The sample films as pictures."""

    @pages.get("/samples/<key>/thumb")
    def thumb(key: str) -> Response:
        return _image(gallery.thumb(_sample(gallery, key)), "image/jpeg")

    @pages.get("/samples/<key>/film")
    def film(key: str) -> Response:
        return _image(gallery.film(_sample(gallery, key)), "image/png")

    @pages.errorhandler(ImageError)
    def unreadable(error: ImageError) -> tuple[str, int]:
        return render_template("error.html", status=404, title="This sample cannot be shown", detail=str(error)), 404


def _sample(gallery: Gallery, key: str) -> Sample:
    sample = gallery.get(key)
    if sample is None:
        raise NotFound("there is no such sample")
    return sample


def _image(content: bytes, kind: str) -> Response:
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response
