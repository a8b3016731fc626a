"""What a model card says to people, section by section."""

import math
from collections.abc import Iterable
from typing import Any

from xray_chest_detection.core.card_page.blocks import Block, Bullets, Page, Section, Table, Text
from xray_chest_detection.core.card_page.claim import ClaimAnswer, claim_answers, split_counts
from xray_chest_detection.core.model_card import Metric, ModelCard

NOT_MEASURED = "Not measured."
NOT_REPORTED = "Not reported."
_INTENDED = (
    "For research and teaching: to study how such detectors are trained, measured and served.",
    "Not for diagnosis, triage, treatment or any decision about a patient, nor as a second reader.",
    "For frontal chest radiographs only. Anything else gives boxes without meaning.",
)
_COUNTS = {"patients": "patients", "images": "images", "without_box": "without a box", "boxes": "boxes"}
_CALIBRATION = ("ECE", "calibration")
_CURVE_SCORES = {5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90}  # hundredths; the page is to be read
_PARITY = {
    "n_images": "images of val",
    "n_boxes": "boxes compared, score from 0.05",
    "without_partner": "boxes the exported model lacks",
    "largest_box_px": "largest difference of a coordinate, px",
    "largest_score": "largest difference of a score",
    "map50_torch": "mAP50 of the torch model",
    "map50_exported": "mAP50 of this file",
    "map50_onnx": "mAP50 of this file",  # its name on cards from before there were other formats
}


def card_page(card: ModelCard) -> Page:
    """A model card as a page. What the card does not know is said to be not measured or not reported."""
    sections: dict[str, tuple[Block, ...]] = {
        "Model": (_facts(card),),
        "Intended use": (Bullets(_INTENDED),),
        "Limits": (Bullets(card.limits) if card.limits else Text(NOT_REPORTED),),
        "Results": _results(card),
        "Operating point": _operating_point(card),
        "Operating curve": _operating_curve(card),
        "Calibration": _calibration(card),
        "Data": _data(card),
        "Training": _training(card),
        "Export": _export(card),
        "CLAIM 2024 check list": _claim(claim_answers(card)),
    }
    return Page(
        title=f"Model card: {card.title}",
        notice=card.notice,
        sections=tuple(Section(title, blocks) for title, blocks in sections.items()),
    )


def _facts(card: ModelCard) -> Table:
    files = {card.file: card.sha256} | card.companions
    rows = {
        "key": card.name,
        "task": "detection: boxes with a class and a score",
        "architecture": card.architecture,
        "input": f"one grey image, scaled and padded to {card.image_size_px} x {card.image_size_px} px",
        "looks at": _looks_at(card),
        "classes": ", ".join(card.classes),
        "trained": card.created or NOT_REPORTED,
        "licence of the weights": card.licence,
        **{f"sha256 of {name}": digest for name, digest in files.items()},
    }
    return _pairs(("model", card.title), rows)


def _results(card: ModelCard) -> tuple[Block, ...]:
    metrics = [metric for metric in card.metrics if not _is_calibration(metric)]
    if not metrics:
        return (Text(NOT_MEASURED),)
    on = (
        f"Measured on the split {metrics[0].split}, on patients that neither training nor the choice of thresholds saw."
    )
    if card.measured_on:
        on = f"Measured on {card.measured_on}, on the split {metrics[0].split}; not on these weights."
    note = f"{on} In brackets: 95 % intervals by a bootstrap over patients."
    return Text(note), _metric_table(metrics)


def _operating_point(card: ModelCard) -> tuple[Block, ...]:
    point = card.thresholds
    suppression = "boxes of all classes" if point.agnostic else "boxes of one class"
    text = (
        f"Non-maximum suppression among {suppression} from an overlap (IoU) of {point.iou:g}. Thresholds were chosen "
        f"on {point.chosen_on}" + (f" by {point.objective}." if point.objective else ".")
    )
    if point.score is not None:
        text += f" There it is {point.score:.3f}, which flatters"
        honest = point.out_of_fold_score
        text += "." if honest is None else f"; {honest:.3f} on patients left out of the choice, in turns."
        if honest is not None and card.score_maps:
            text += " The score maps had seen these patients, so that this number flatters a little, too."
    counts = point.n_boxes or split_counts(card).get(point.chosen_on, {})
    only = {card.classes[0]: counts["boxes"]} if len(card.classes) == 1 and "boxes" in counts else {}
    rows = tuple(
        (name, f"{point.per_class.get(name, point.conf):g}", str(counts.get(name, only.get(name, NOT_REPORTED))))
        for name in card.classes
    )
    return Text(text), Table(("class", "shown from score", f"boxes in {point.chosen_on}"), rows)


def _operating_curve(card: ModelCard) -> tuple[Block, ...]:
    curve = card.operating_curve
    if curve is None:
        return (Text(NOT_MEASURED),)
    note = (
        f"What happens when boxes of every class are shown from one score: share of the {curve.n_boxes} findings that "
        f"are found (IoU {curve.iou:g}), and wrong boxes per film, on {curve.n_images} films of {curve.n_patients} "
        f"patients (split {curve.split}). In brackets: 95 % intervals. The card has a point at every hundredth."
    )
    rows = tuple(
        (
            f"{point.conf:g}",
            _number(point.sensitivity, point.sensitivity_low, point.sensitivity_high),
            _number(
                point.false_positives_per_image,
                point.false_positives_per_image_low,
                point.false_positives_per_image_high,
            ),
            _number(point.precision, None, None),
        )
        for point in curve.points
        if round(100 * point.conf) in _CURVE_SCORES
    )
    return Text(note), Table(("shown from score", "sensitivity", "false positives per film", "precision"), rows)


def _calibration(card: ModelCard) -> tuple[Block, ...]:
    maps = _score_maps(card)
    metrics = [metric for metric in card.metrics if _is_calibration(metric)]
    if metrics:
        note = (
            "Expected calibration error (ECE): how far the score of a box is from the share of boxes of such scores "
            "that are right, 0 at best. Boxes are those of the model here."
        )
        return Text(note), _metric_table(metrics), *maps
    return (Text(f"{NOT_MEASURED} Scores order the boxes of this model; they are not probabilities."), *maps)


def _score_maps(card: ModelCard) -> tuple[Block, ...]:
    if not card.score_maps:
        return ()
    note = (
        f"Scores are mapped by a line on their logit, fitted on {card.thresholds.chosen_on}, before the thresholds: "
        "the network's score of 0.5 becomes the one shown here."
    )
    rows = tuple(
        (name, f"{slope:.3f}", f"{offset:.3f}", f"{1 / (1 + math.exp(-offset)):.3f}")
        for name, (slope, offset) in card.score_maps.items()
    )
    return Text(note), Table(("class", "slope", "offset", "0.5 becomes"), rows)


def _data(card: ModelCard) -> tuple[Block, ...]:
    data, counts = card.training_data, split_counts(card)
    rows = {
        "source": data.source,
        "licence of the data": data.licence,
        "readers": data.readers or NOT_REPORTED,
        "sha256 of the split": data.split_sha256 or NOT_REPORTED,
    }
    facts = _pairs(("data", data.name), rows)
    if not counts:
        return (facts,)
    named = {name: name for name in card.classes if any(name in values for values in counts.values())}
    lines = {label: key for key, label in (_COUNTS | named).items()}
    cells = tuple((label, *(str(values.get(key, "-")) for values in counts.values())) for label, key in lines.items())
    return facts, Table(("count", *counts), cells)


def _training(card: ModelCard) -> tuple[Block, ...]:
    settings = {name: value for name, value in card.recipe.items() if name != "export"}
    if not settings:
        return (Text(NOT_REPORTED),)
    versions = {f"version of {name}": version for name, version in card.versions.items()}
    return (_pairs(("setting", "value"), dict(_flat(settings)) | versions),)


def _export(card: ModelCard) -> tuple[Block, ...]:
    export = dict(card.recipe.get("export") or {})
    if not export:
        return (Text("Not exported: this card describes the checkpoint of the training."),)
    parity = export.pop("parity_on_val", None) or {}
    rows = dict(_flat(export)) | {_PARITY[name]: f"{value:g}" for name, value in parity.items() if name in _PARITY}
    note = "The file against the torch model, through the same letterbox and suppression."
    return Text(note), _pairs(("property", "value"), rows)


def _claim(answers: tuple[ClaimAnswer, ...]) -> tuple[Block, ...]:
    kinds = ("reported", "in part", "not reported", "not applicable")
    counts = ", ".join(f"{sum(answer.status == kind for answer in answers)} {kind}" for kind in kinds)
    note = (
        f"{counts}. Filled from this card; the items in this project's words, after Tejani et al., Radiology: "
        "Artificial Intelligence 2024;6(4):e240300, https://doi.org/10.1148/ryai.240300."
    )
    rows = tuple(
        (str(answer.number), answer.section, answer.item, answer.status, answer.text or NOT_REPORTED)
        for answer in answers
    )
    return Text(note), Table(("item", "part", "asked", "status", "answer"), rows, numeric=5)


def _metric_table(metrics: Iterable[Metric]) -> Table:
    rows = tuple(
        (metric.name, _value(metric), *(str(n) if n is not None else "-" for n in (metric.n_images, metric.n_boxes)))
        for metric in metrics
    )
    return Table(("metric", "value", "images", "boxes"), rows)


def _value(metric: Metric) -> str:
    return _number(metric.value, metric.low, metric.high)


def _number(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    interval = "" if low is None or high is None else f" ({low:.3f}-{high:.3f})"
    return f"{value:.3f}{interval}"


def _looks_at(card: ModelCard) -> str:
    tiles = "" if card.tiles is None else f", and overlapping tiles of {card.tiles.side:g} of its longer side"
    mirror = ", and the same mirrored; boxes of both are fused" if card.flip else ""
    return f"the whole film{tiles}{mirror}"


def _pairs(header: tuple[str, str], rows: dict[str, str]) -> Table:
    return Table(header, tuple(rows.items()), numeric=2)


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{label}: ")
        else:
            yield label, "chosen by the optimizer" if name == "learning_rate" and value is None else _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _is_calibration(metric: Metric) -> bool:
    return metric.name.startswith(_CALIBRATION)
