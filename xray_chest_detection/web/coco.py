"""What the models mark on a film as a COCO document, which other annotation tools read."""

from collections.abc import Mapping, Sequence
from typing import Any

from xray_chest_detection.core.model_card import NOT_A_DEVICE, ModelCard


def to_coco(record: Mapping[str, Any], cards: Mapping[str, ModelCard], *, notes: Sequence[str] = ()) -> dict[str, Any]:
    """The answer of a prediction as one COCO document.

    A category is a class, whichever model marks it; the model stands at each annotation as `model`, which COCO tools
    pass over. Categories are those of all the cards, so that their ids do not depend on what was found or asked for.

    Args:
        record: As `predict_radiograph` returns it.
        cards: The models that are served, by name.
        notes: What else must be said about the film, one sentence each.

    Returns:
        `info`, `licenses`, `images`, `annotations` (`bbox` is x, y, width, height in pixels, with `score`, best first
        within each model) and `categories`.

    Source: https://cocodataset.org/#format-data and #format-results (for `score`)
    """
    names = dict.fromkeys(name for card in cards.values() for name in card.classes)
    category = {name: number for number, name in enumerate(names, start=1)}
    found = [(model, mark) for model, marks in record["models"].items() for mark in marks]
    return {
        "info": {
            "description": " ".join([NOT_A_DEVICE, *notes]),
            "models": {
                name: {"title": cards[name].title, "sha256": cards[name].sha256, "created": cards[name].created}
                for name in record["models"]
            },
        },
        "licenses": [],
        "images": [{"id": 1, "file_name": record["file"], "width": record["width"], "height": record["height"]}],
        "annotations": [
            _annotation(number, model, mark, category[mark["class"]])
            for number, (model, mark) in enumerate(found, start=1)
        ],
        "categories": [{"id": number, "name": name, "supercategory": "finding"} for name, number in category.items()],
    }


def _annotation(number: int, model: str, mark: Mapping[str, Any], category_id: int) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = mark["box"]
    width, height = round(x_max - x_min, 2), round(y_max - y_min, 2)
    return {
        "id": number,
        "image_id": 1,
        "category_id": category_id,
        "bbox": [x_min, y_min, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        "score": mark["score"],
        "model": model,
    }
