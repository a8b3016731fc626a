"""The pages for people, and the sample films."""

from collections.abc import Mapping

from flask import Blueprint, Response, render_template
from werkzeug.exceptions import NotFound

from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard
from xray_chest_detection.errors import ImageError
from xray_chest_detection.inference.palette import mark_of, marks
from xray_chest_detection.inference.render import operating_point
from xray_chest_detection.web.gallery import Gallery, Sample
from xray_chest_detection.web.hub import ModelHub

NOTICE = "Research demo, not a medical device"
SPLITS = ("train", "val", "test")
COUNT_NAMES = {"patients": "Patients", "images": "Films", "without_box": "Films without a box", "boxes": "Boxes"}


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
            "counts_table": counts_table,
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


def counts_table(card: ModelCard) -> tuple[list[str], list[tuple[str, list[object]]]]:
    """The counts of a card as a table: names of the splits, and per row a name and its count in each split.

    Empty when the counts are not given per split.
    """
    splits = {name: value for name, value in card.training_data.counts.items() if isinstance(value, Mapping)}
    columns = sorted(splits, key=lambda name: SPLITS.index(name) if name in SPLITS else len(SPLITS))
    known = dict.fromkeys(str(key) for name in columns for key in splits[name])
    rows = [key for key in COUNT_NAMES if key in known] + [key for key in known if key not in COUNT_NAMES]
    return columns, [(COUNT_NAMES.get(key, key), [splits[name].get(key, 0) for name in columns]) for key in rows]


def _sample(gallery: Gallery, key: str) -> Sample:
    sample = gallery.get(key)
    if sample is None:
        raise NotFound("there is no such sample")
    return sample


def _image(content: bytes, kind: str) -> Response:
    response = Response(content, content_type=kind)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response
