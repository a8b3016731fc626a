"""What patches are worth for small findings: `python -m benchmarks.patches [RUN] [--train OUT]`.

Without `--train`, a trained run is asked about the films of val and test twice: as whole films, and with overlapping
tiles beside them. With `--train`, two runs are made from the same weights with the same seed, one of whole films, one
of whole films and their patches, and both are asked both ways. The run of whole films gets more epochs, so that both
see about as many images. What is finished in OUT is used again, and a training that was cut goes on.

Prints AP50 and the sensitivity at one false positive per image (IoU 0.4), means over the classes, and what tiles
change, with 95 % intervals of a paired bootstrap by patient. Boxes are suppressed at IoU 0.5.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.runs import trained
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import read_config, validate
from xray_chest_detection.config.data import YoloConfig
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core import metrics
from xray_chest_detection.core.intervals import patient_weights, percentile_interval
from xray_chest_detection.core.matching import match_classes
from xray_chest_detection.core.scene import LOW_IOU
from xray_chest_detection.core.tiling import Tiles
from xray_chest_detection.data.build import build_dataset
from xray_chest_detection.data.yolo import read_index
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.predict import predict_split, require_boxes
from xray_chest_detection.detect.runs import Run, open_trained_run
from xray_chest_detection.inference.decode import FLOOR

NMS_IOU, RATE, RESAMPLES = 0.5, 1.0, 2000


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, after training where that is asked for, and print a row per run and split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/detect/mass_nodule"))
    parser.add_argument("--train", type=Path, metavar="OUT", help="folder of the data sets and runs of a comparison")
    parser.add_argument("--data", type=Path, default=Path("configs/data/yolo_mass_nodule_patches.yaml"))
    parser.add_argument("--recipe", type=Path, default=Path("configs/detect/mass_nodule_cpu.yaml"))
    parser.add_argument("--epochs", type=int, default=8, help="epochs of the training on patches")
    parser.add_argument("--side", type=float, default=0.5, help="of the tiles, as a share of the film")
    parser.add_argument("--overlap", type=float, default=0.25, help="of the tiles, as a share of a tile")
    options = parser.parse_args(argv)
    tiles = validate(Tiles, {"side": options.side, "overlap": options.overlap}, place="tiles")
    if options.train is None:
        runs = [open_trained_run(options.run)]
    else:
        data, recipe = read_config(YoloConfig, options.data), read_config(DetectConfig, options.recipe)
        runs = train_both(data, recipe, options.train, epochs=options.epochs)
    rows = []
    for run in runs:
        rows += [compare(run, read_labelled_split(run.config.data, name), tiles) for name in ("val", "test")]
        print(table(rows), flush=True)


def train_both(data: YoloConfig, recipe: DetectConfig, out: Path, *, epochs: int) -> list[Run]:
    """The run of whole films and the run of patches, trained as far as they are not."""
    sets = {
        "whole": data.model_copy(update={"patches": None, "out": out / "whole"}),
        "patches": data.model_copy(update={"out": out / "patches"}),
    }
    images = {}
    for name, config in sets.items():
        build_dataset(config)
        images[name] = int((read_index(config.out)["split"] == "train").sum())
    runs = []
    for name, config in sets.items():
        seen = {"epochs": round(epochs * images["patches"] / images[name]), "patience": 10_000}
        place = {"name": name, "data": config.out, "runs": out / "runs", "comet": {"mode": "off"}}
        runs.append(trained(validate(DetectConfig, recipe.model_dump() | seen | place, place=str(out))))
    return runs


def compare(run: Run, split: LabelledSplit, tiles: Tiles) -> dict[str, object]:
    """A row: both numbers without and with tiles, and the differences with their intervals."""
    require_boxes(split, purpose="this benchmark")
    weights = np.concatenate(
        [np.ones((1, len(split.image_id))), patient_weights(split.patient, resamples=RESAMPLES, seed=0)]
    )
    whole, tiled = (measure(run, split, grid, weights) for grid in (None, tiles))
    row: dict[str, object] = {"run": run.folder.name, "split": split.name, "boxes": len(split.truth)}
    for name in whole:
        change = tiled[name] - whole[name]
        low, high = percentile_interval(change[1:])
        interval = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
        row |= {name: f"{whole[name][0]:.3f}", f"{name}, tiles": f"{tiled[name][0]:.3f}"}
        row |= {f"{name}, change": f"{change[0]:+.3f}{interval}"}
    return row


def measure(
    run: Run, split: LabelledSplit, tiles: Tiles | None, weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Mean AP50 over the classes and sensitivity at one false positive per image, under each row of image weights."""
    asked = replace(run, config=run.config.model_copy(update={"tiles": tiles}))
    found = predict_split(asked, split, device=run.config.device).table(conf=FLOOR, iou=NMS_IOU, agnostic=False)
    at_half, at_low = (
        [one for one in match_classes(split.truth, found, n_classes=len(split.classes), ious=(iou,)) if one.n_positives]
        for iou in (0.5, LOW_IOU)
    )
    precision = [metrics.average_precision(one, weights=weights)[:, 0] for one in at_half]
    sensitivity = [metrics.sensitivity_at(one, (RATE,), weights=weights)[:, 0] for one in at_low]
    return {"AP50": np.mean(precision, axis=0), "sensitivity": np.mean(sensitivity, axis=0)}


if __name__ == "__main__":
    main()
