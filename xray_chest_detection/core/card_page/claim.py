"""The 44 items of CLAIM 2024, answered from a model card as far as it knows, and left open where it does not.

The items are named in this project's own words.

Source: Tejani AS et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update. Radiology:
Artificial Intelligence 2024;6(4):e240300, https://doi.org/10.1148/ryai.240300
"""

from dataclasses import dataclass
from typing import Literal

from xray_chest_detection.core.model_card import SYNTHETIC_DATA, Metric, ModelCard

Status = Literal["reported", "in part", "not reported", "not applicable"]
Answers = dict[int, tuple[Status, str]]

ITEMS = (
    *("The kind of AI is named", "Summary of design, methods, results and conclusions"),
    *("Background, intended use and role of the AI", "Aims and hypotheses"),
    *("Prospective or retrospective", "Goal of the study"),
    *(
        "Where the data come from",
        "Who was included and excluded",
        "Preparation of the images",
        "Choice of parts of the data",
    ),
    *("Removal of personal data", "Missing data", "How the images were acquired"),
    *(
        "How the reference standard was made",
        "Why this reference standard",
        "Who annotated",
        "Annotation of the test data",
    ),
    "Variability between and within annotators",
    *("How data were dealt to the splits", "Level at which the splits are disjoint", "Planned size of the test data"),
    *("Description of the model", "Software and versions", "Where the weights start"),
    *("Training", "How the final model was selected", "Ensembles"),
    *("Measures of performance", "Significance and uncertainty", "Robustness", "Explanations", "Internal testing"),
    *("External testing", "Registration as a clinical trial"),
    *("Numbers included and excluded", "Patients' characteristics in each split"),
    *("Performance with uncertainty", "Diagnostic performance with precision", "Analysis of failures"),
    *("Limitations", "Implications for practice"),
    *("Protocol and further technical details", "Availability of software, model and data", "Funding"),
)
SECTIONS = (
    *((1, "Title and abstract"), (3, "Introduction"), (5, "Study design"), (7, "Data"), (14, "Reference standard")),
    *((19, "Splits"), (21, "Test data"), (22, "Model"), (25, "Training"), (28, "Evaluation"), (35, "Results: data")),
    *((37, "Results: performance"), (40, "Discussion"), (42, "Other information")),
)


@dataclass(frozen=True)
class ClaimAnswer:
    """What a card says to one item.

    Attributes:
        number: 1 to 44.
        section: The part of the check list it stands in.
        item: What is asked.
        status: How far it is answered.
        text: The answer; what is missing where it is not reported.
    """

    number: int
    section: str
    item: str
    status: Status
    text: str


def claim_answers(card: ModelCard) -> tuple[ClaimAnswer, ...]:
    """All 44 items in their order. What the card does not know is `not reported`."""
    found = _study(card) | _data(card) | _reference(card) | _model(card) | _evaluation(card) | _rest(card)
    if card.training_data.name == SYNTHETIC_DATA:
        found |= dict.fromkeys((5, 11, 13, 36), ("not applicable", "Drawings; there are no patients."))
    answers = []
    for number, item in enumerate(ITEMS, start=1):
        section = next(name for first, name in reversed(SECTIONS) if number >= first)
        answers.append(ClaimAnswer(number, section, item, *found.get(number, ("not reported", ""))))
    return tuple(answers)


def _study(card: ModelCard) -> Answers:
    return {
        1: ("reported", f"Deep learning: the object detector {card.architecture} on frontal chest radiographs."),
        2: ("reported", "This card.") if card.metrics else ("in part", "This card; nothing was measured."),
        3: ("in part", "Intended use: see above. The clinical background is not reported."),
        5: ("reported", "Retrospective: images and boxes that others had published."),
        6: ("reported", "To build a detector and to measure it on held-out patients of the same data."),
    }


def _data(card: ModelCard) -> Answers:
    data = card.training_data
    counts = split_counts(card)
    sizes = ", ".join(f"{name} {values['patients']}" for name, values in counts.items() if "patients" in values)
    answers: Answers = {
        7: ("reported", f"{data.name}; {data.source}."),
        8: ("in part", f"{data.name}. Whom the sources included is for their publications to say."),
        9: (
            "reported",
            f"Decoded to 8-bit grey, bone bright; scaled and padded to {card.image_size_px} x {card.image_size_px} px; "
            "values from 0 to 1.",
        ),
        10: ("in part", "The table of the data counts images with and without boxes in each split."),
        11: ("in part", "By the publishers of the data; how is for their publications to say."),
    }
    if card.recipe.get("mask_unknown"):
        answers[12] = ("in part", "A class that a source never labelled is neither learnt as absent nor scored there.")
    if data.split_sha256:
        answers[19] = ("reported", f"At random by patient, classes spread evenly; patients: {sizes or 'not counted'}.")
        answers[20] = ("reported", "Patient. A split with a patient in two parts is refused.")
    if sizes:
        answers[35] = ("in part", f"Patients: {sizes}. How many the sources excluded is not known.")
    return answers


def _reference(card: ModelCard) -> Answers:
    readers = card.training_data.readers
    if not readers:
        return {}
    answers: Answers = {
        14: ("reported", readers),
        16: ("in part", "Readers of the data's publishers; for their qualifications see the publications."),
        17: ("reported", "The same readers and the same rule as for training."),
    }
    if "one reader" in readers.lower():
        answers[18] = ("not reported", "Cannot be measured where one reader saw each image.")
    return answers


def _model(card: ModelCard) -> Answers:
    recipe = card.recipe
    answers: Answers = {
        22: (
            "reported",
            f"{card.architecture}; takes one grey image of {card.image_size_px} px, gives boxes with a score for "
            f"{_classes(card)}, after non-maximum suppression.",
        ),
        27: ("not applicable", "One network."),
    }
    if card.versions:
        answers[23] = ("reported", ", ".join(f"{name} {version}" for name, version in card.versions.items()) + ".")
    if recipe.get("weights"):
        answers[24] = ("reported", f"{recipe['weights']}.")
    if recipe.get("epochs"):
        answers[25] = ("reported", f"{recipe['epochs']} epochs, seed {recipe.get('seed', 'unknown')}; see Training.")
    point = f"Score and overlap thresholds were chosen on {card.thresholds.chosen_on}."
    if recipe.get("checkpoint"):
        answers[26] = ("reported", f"Weights of the {recipe['checkpoint']} epoch. {point}")
    else:
        answers[26] = ("in part", point)
    return answers


def _evaluation(card: ModelCard) -> Answers:
    metrics = [metric for metric in card.metrics if metric.value is not None]
    answers: Answers = {
        31: ("in part", "The answer is a box on the image; nothing else explains it."),
        34: ("not applicable", "No trial: no patient was treated or recruited."),
        33: ("not reported", "Not tested on data of other sources."),
    }
    if any("useless" in sentence for sentence in card.limits):
        answers[39] = ("in part", "Limits names the classes that fail. No film was looked at one by one.")
    if not metrics:
        return answers
    first = metrics[0]
    answers[28] = ("reported", "Average precision, free-response sensitivity, precision and recall; see Results.")
    on = f"The split {first.split}: {_count(first.n_images, 'images')}, {_count(first.n_boxes, 'boxes')}."
    answers[32] = ("in part", f"{on} Measured on {card.measured_on}.") if card.measured_on else ("reported", on)
    with_interval = [metric for metric in metrics if metric.low is not None]
    if with_interval:
        answers[29] = ("reported", "95 % intervals by a bootstrap over patients. No test of significance.")
        answers[37] = ("reported", f"{_value(with_interval[0])}; see Results.")
    else:
        answers[37] = ("in part", f"{_value(first)}, without intervals.")
    sensitivity = next((metric for metric in metrics if metric.name.startswith("sensitivity at 1 ")), None)
    if sensitivity:
        answers[38] = ("reported", f"{_value(sensitivity)}.")
    return answers


def _rest(card: ModelCard) -> Answers:
    return {
        40: ("reported", "See Limits.") if card.limits else ("not reported", ""),
        41: ("reported", card.notice),
        42: ("in part", "Configuration, split and commands are in the repository. There is no registered protocol."),
        43: ("reported", f"Software and weights: {card.licence}. Data: {card.training_data.licence}."),
    }


def split_counts(card: ModelCard) -> dict[str, dict[str, int]]:
    """Counts of each split in the order train, val, test; other things a data set counts are left out."""
    counts = card.training_data.counts
    return {name: counts[name] for name in ("train", "val", "test") if isinstance(counts.get(name), dict)}


def _classes(card: ModelCard) -> str:
    return card.classes[0] if len(card.classes) == 1 else f"{len(card.classes)} classes"


def _count(number: int | None, what: str) -> str:
    return f"{'unknown' if number is None else number} {what}"


def _value(metric: Metric) -> str:
    interval = "" if metric.low is None or metric.high is None else f" ({metric.low:.3f}-{metric.high:.3f})"
    return f"{metric.name} {metric.value:.3f}{interval}"
