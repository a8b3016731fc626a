"""Answers of the API, as its document shows them."""

from typing import Any

from xray_chest_detection.core.model_card import NOT_A_DEVICE

Example = dict[str, Any]

PREDICTION: Example = {
    "file": "chest.png",
    "width": 1024,
    "height": 1024,
    "models": {"multi": [{"class": "Cardiomegaly", "score": 0.81, "box": [301.5, 433.25, 823.0, 790.5]}], "binary": []},
    "errors": {},
    "image": {"format": "PNG", "view": None, "laterality": None, "notes": []},
    "chest": {"score": 0.99, "passed": True, "message": None},
    "notice": NOT_A_DEVICE,
    "elapsed_ms": 180,
}
COCO: Example = {
    "info": {
        "description": NOT_A_DEVICE,
        "models": {"multi": {"title": "Multiclass", "sha256": "9f" * 32, "created": "2026-01-31T12:00:00+00:00"}},
    },
    "licenses": [],
    "images": [{"id": 1, "file_name": "chest.png", "width": 1024, "height": 1024}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [301.5, 433.25, 521.5, 357.25],
            "area": 186305.88,
            "iscrowd": 0,
            "score": 0.81,
            "model": "multi",
        }
    ],
    "categories": [{"id": 1, "name": "Cardiomegaly", "supercategory": "finding"}],
}
