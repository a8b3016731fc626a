"""The pages for people, and the sample films."""

from flask import Blueprint, Response, render_template
from werkzeug.exceptions import NotFound

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.core.model_card import NOT_A_DEVICE
from xray_chest_detection.errors import ImageError
from xray_chest_detection.inference.palette import mark_of, marks
from xray_chest_detection.inference.render import operating_point
from xray_chest_detection.web.gallery import Gallery, Sample
from xray_chest_detection.web.hub import ModelHub

NOTICE = "Research demo, not a medical device"


def blueprint(config: DemoConfig, hub: ModelHub, gallery: Gallery) -> Blueprint:
    """The routes of the pages."""
    pages = Blueprint("pages", __name__)

    @pages.app_context_processor
    def words() -> dict[str, object]:
        return {
            "notice": NOTICE,
            "long_notice": NOT_A_DEVICE,
            "operating_point": operating_point,
            "mark_of": mark_of,
            "marks": lambda card: marks(card.classes),
        }

    @pages.app_template_filter()
    def capitalize_first(text: str) -> str:
        return text[:1].upper() + text[1:]

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
        return render_template("models.html", cards=hub.cards(), errors=hub.errors())

    @pages.get("/about")
    def about() -> str:
        return render_template("about.html", names=hub.names, max_upload_mib=config.max_upload_mib)

    @pages.get("/samples/<key>/thumb")
    def thumb(key: str) -> Response:
        return _image(gallery.thumb(_sample(gallery, key)), "image/jpeg")

    @pages.get("/samples/<key>/film")
    def film(key: str) -> Response:
        return _image(gallery.film(_sample(gallery, key)), "image/png")

    @pages.errorhandler(ImageError)
    def unreadable(error: ImageError) -> tuple[str, int]:
        return render_template("error.html", status=404, title="This sample cannot be shown", detail=str(error)), 404

    return pages


def _sample(gallery: Gallery, key: str) -> Sample:
    sample = gallery.get(key)
    if sample is None:
        raise NotFound("there is no such sample")
    return sample


def _image(content: bytes, kind: str) -> Response:
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response
