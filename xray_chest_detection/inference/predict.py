"""Several models on one radiograph."""

from collections.abc import Mapping, Sequence
from typing import Any

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.radiograph import Radiograph
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.inference.registry import Registry
from xray_chest_detection.inference.views import Prepared


def detect_radiograph(
    registry: Registry,
    radiograph: Radiograph,
    *,
    models: Sequence[str],
    conf: float | Mapping[str, float] | None = None,
    tiles: Tiles | None = None,
) -> dict[str, Detections]:
    """Findings of one radiograph by each of the named models; models that look at the same share the scaled image.

    Args:
        registry: The models.
        radiograph: The image.
        models: Names of models.
        conf: Score from which a box is returned, for all or by name of a model; else its own thresholds.
        tiles: Parts of the image that are looked at beside the whole; None: those of each model's card.

    Raises:
        ModelError: A model is not known.
    """
    sessions = {name: registry.get(name) for name in models}
    asked = conf if isinstance(conf, Mapping) else dict.fromkeys(sessions, conf)
    kinds = {name: (session.card.image_size_px, tiles or session.card.tiles) for name, session in sessions.items()}
    prepared: dict[tuple[int, Tiles | None], Prepared] = {}
    for name, session in sessions.items():
        if kinds[name] not in prepared:
            prepared[kinds[name]] = session.prepare(radiograph.pixels, tiles=tiles)

    def detect(name: str) -> Detections:
        return sessions[name].detect_prepared(prepared[kinds[name]], conf=asked.get(name))

    return dict(zip(sessions, registry.each(detect, sessions), strict=True))


def predict_radiograph(
    registry: Registry,
    radiograph: Radiograph,
    *,
    models: Sequence[str],
    conf: float | Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """`detect_radiograph` as what JSON files and the API say of one image.

    Returns:
        `{"file", "width", "height", "models": {name: [{"class", "score", "box": [x1, y1, x2, y2]}]}}`, best first,
        boxes in pixels of the radiograph.

    Raises:
        ModelError: A model is not known.
    """
    return to_record(registry, radiograph, detect_radiograph(registry, radiograph, models=models, conf=conf))


def to_record(registry: Registry, radiograph: Radiograph, found: Mapping[str, Detections]) -> dict[str, Any]:
    """What `predict_radiograph` returns, for detections that are already there."""
    return {
        "file": radiograph.name,
        "width": radiograph.width_px,
        "height": radiograph.height_px,
        "models": {name: marks.to_records(registry.get(name).card.classes) for name, marks in found.items()},
    }
