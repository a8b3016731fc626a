"""The operating curve of a card as a drawing: sensitivity against false marks per film (FROC)."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xray_chest_detection.core.model_card import CurvePoint, ModelCard

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 32, 64  # around the axes
FALSE_MARKS = (1 / 64, 8.0)  # the axis shows no more, and as a logarithm no zero
_FRACTIONS = {1 / 2: "½", 1 / 4: "¼", 1 / 8: "⅛"}


@dataclass(frozen=True)
class Tick:
    """A line of the grid: where it is and what stands there."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """The tuned point: where it is and what it stands for."""

    x: float
    y: float
    point: CurvePoint


@dataclass(frozen=True)
class CurveDrawing:
    """A curve in the pixels of a drawing of `WIDTH` x `HEIGHT`.

    Attributes:
        line: Path of the curve.
        band: Path around its intervals; empty without intervals.
        across: Ticks of the false marks per film, a power of two each.
        up: Ticks of the sensitivity.
        tuned: The point at the card's threshold; None where the thresholds differ by class.
    """

    line: str
    band: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    tuned: Dot | None


def draw_curve(card: ModelCard) -> CurveDrawing | None:
    """The curve of a card; None where it has none, or no point within the axis."""
    points = [] if card.operating_curve is None else [point for point in card.operating_curve.points if _shown(point)]
    if not points:
        return None
    low, high = _range(point.false_positives_per_image for point in points)

    def across(false_marks: float) -> float:
        return round(LEFT + (math.log2(false_marks) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    points.sort(key=lambda point: (point.false_positives_per_image, point.sensitivity))
    columns = [across(point.false_positives_per_image) for point in points]
    tuned = tuned_point(card)
    return CurveDrawing(
        line=_path(zip(columns, (_up(point.sensitivity) for point in points), strict=True)),
        band=_band(columns, points),
        across=tuple(Tick(across(2.0**power), _tick(2.0**power)) for power in range(low, high + 1)),
        up=tuple(Tick(_up(percent / 100), f"{percent} %") for percent in range(0, 101, 20)),
        tuned=Dot(across(tuned.false_positives_per_image), _up(tuned.sensitivity), tuned)
        if tuned is not None and _shown(tuned)
        else None,
    )


def curve_words(card: ModelCard) -> str:
    """What the curve says at the card's threshold, and on how many boxes it rests; empty without a curve."""
    curve, point = card.operating_curve, tuned_point(card)
    if curve is None:
        return ""
    ground = f"{curve.n_boxes} boxes on {curve.n_images} films of {curve.n_patients} patients, split {curve.split}."
    if point is None or point.sensitivity is None:
        return f"One score for all classes; the tuned thresholds differ by class. {ground}"
    found = with_interval(point.sensitivity, point.sensitivity_low, point.sensitivity_high, percent=True)
    false_marks = with_interval(
        point.false_positives_per_image, point.false_positives_per_image_low, point.false_positives_per_image_high
    )
    return f"From score {point.conf:.2f} it finds {found} of the boxes at {false_marks} false marks per film: {ground}"


def tuned_point(card: ModelCard) -> CurvePoint | None:
    """The point of the curve at the card's threshold; None without a curve or where thresholds differ by class."""
    thresholds = card.thresholds
    if card.operating_curve is None or set(thresholds.per_class.values()) - {thresholds.conf}:
        return None
    return min(card.operating_curve.points, key=lambda point: abs(point.conf - thresholds.conf), default=None)


def with_interval(value: float, low: float | None, high: float | None, *, percent: bool = False) -> str:
    """A number with its interval, for example `0.21 (0.10–0.34)` or `24 % (12–38)`."""
    scale, digits, unit = (100, 0, " %") if percent else (1, 2, "")
    interval = "" if low is None or high is None else f" ({scale * low:.{digits}f}–{scale * high:.{digits}f})"
    return f"{scale * value:.{digits}f}{unit}{interval}"


def _shown(point: CurvePoint) -> bool:
    lowest, highest = FALSE_MARKS
    return point.sensitivity is not None and lowest <= point.false_positives_per_image <= highest


def _range(false_marks: Iterable[float]) -> tuple[int, int]:
    """The powers of two around all values, at least one apart."""
    values = list(false_marks)
    low, high = math.floor(math.log2(min(values))), math.ceil(math.log2(max(values)))
    return low, max(high, low + 1)


def _up(sensitivity: float | None) -> float:
    return round(TOP + (1 - (sensitivity or 0.0)) * (HEIGHT - TOP - BOTTOM), 1)


def _band(columns: Sequence[float], points: Sequence[CurvePoint]) -> str:
    edges = [
        (column, _up(point.sensitivity_low), _up(point.sensitivity_high))
        for column, point in zip(columns, points, strict=True)
        if point.sensitivity_low is not None and point.sensitivity_high is not None
    ]
    lower = [(x, low) for x, low, _ in edges]
    upper = [(x, high) for x, _, high in edges]
    return f"{_path([*upper, *reversed(lower)])}Z" if edges else ""


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _tick(false_marks: float) -> str:
    if false_marks >= 1:
        return f"{false_marks:g}"
    return _FRACTIONS.get(false_marks, f"1/{1 / false_marks:g}")
