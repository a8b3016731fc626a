"""The grid of thresholds as heat maps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="torch is not installed")
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.detect.thresholds import FoldChoice, OutOfFold, TunedThresholds
from xray_chest_detection.detect.tuning.grid import GRIDS, Axes, GridPoint
from xray_chest_detection.report.tuning_figures import draw_grid

SMALL = Axes((0.1, 0.2, 0.3), (0.3, 0.5))


def points_of(axes: Axes, *, modes: tuple[bool, ...] = (False, True), quiet_from: float = 0.0) -> list[GridPoint]:
    return [
        GridPoint(*(0.1,) * 8, conf=conf, iou=iou, agnostic=mode, score=conf * iou, allowed=conf >= quiet_from)
        for conf in axes.confs
        for iou in axes.ious
        for mode in modes
    ]


def tuned_to(conf: float, iou: float, *, agnostic: bool = False, folds: int = 5) -> TunedThresholds:
    choices = tuple(FoldChoice(conf=conf, iou=iou, agnostic=agnostic) for _ in range(folds))
    honest = OutOfFold(folds=choices, score=0.1, optimism=0.05, false_alarms_per_image=0.4) if folds else None
    return TunedThresholds(
        thresholds=Thresholds(conf=conf, iou=iou, agnostic=agnostic, objective="F1 of all boxes"),
        score=0.15,
        weights_sha256="",
        n_images=10,
        n_boxes=8,
        out_of_fold=honest,
    )


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - colour).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("axes", [SMALL, GRIDS["original"], GRIDS["fine"]])
@pytest.mark.parametrize("modes", [(False,), (False, True)])
def test_every_grid_is_drawn_with_its_choice_framed(axes: Axes, modes: tuple[bool, ...], tmp_path: Path) -> None:
    tuned = tuned_to(axes.confs[1], axes.ious[0])
    pixels = pixels_of(draw_grid(tuned, points_of(axes, modes=modes), tmp_path / "grid.png"))
    assert min(pixels.shape[:2]) > 500
    assert pixels.shape[1] > 1200 or modes == (False,)
    assert count(pixels, (213, 94, 0)) > 300


def test_points_over_the_limit_are_grey(tmp_path: Path) -> None:
    tuned = tuned_to(0.3, 0.3)
    every = pixels_of(draw_grid(tuned, points_of(SMALL), tmp_path / "a.png"))
    some = pixels_of(draw_grid(tuned, points_of(SMALL, quiet_from=0.2), tmp_path / "b.png"))
    assert count(some, (200, 200, 200)) > count(every, (200, 200, 200)) + 20_000


def test_choices_of_folds_are_dots_and_left_out_without_folds(tmp_path: Path) -> None:
    with_dots = draw_grid(tuned_to(0.3, 0.3), points_of(SMALL), tmp_path / "a.png").read_bytes()
    again = draw_grid(tuned_to(0.3, 0.3), points_of(SMALL), tmp_path / "b.png").read_bytes()
    without = draw_grid(tuned_to(0.3, 0.3, folds=0), points_of(SMALL), tmp_path / "c.png").read_bytes()
    assert with_dots == again
    assert with_dots != without
