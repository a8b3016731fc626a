"""What each augmentation is worth: `python -m benchmarks.augmentations OUT [CONFIG] [--epochs 40 --seeds 0 1 ...]`.

Trains CONFIG as it is, then once for each augmentation with only that changed: left out where CONFIG has it, else
switched on as the original recipe has it. Weights, seed, epochs and data are the same; the numbers are of the
validation split, so that the test split stays unseen, and of the network alone: a mirrored view at prediction would
hide what a flip in training does. With other epochs than CONFIG has, the last ones without mosaic keep their share.
A run that was cut goes on; what is complete in OUT is used again.

The intervals of the differences are of a paired bootstrap by patient: what other films would have changed. They know
nothing of what another seed would have; for that, give several.

A flip turns the body's sides around, which can cost most where a class lies on one side. The classes with the middle of
at least 80 % of their training boxes in the same half of the film have a column of their own, "lateral AP50". In the
training split of NIH ChestX-ray14 this is Cardiomegaly (95 % of 97 boxes); all other classes are between 44 and 57 %.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.runs import trained
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import read_config, validate
from xray_chest_detection.config.detect import AugmentConfig, DetectConfig
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.core.numbers import FloatArray, mean_over_classes, with_interval
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.evaluate import evaluate

# The original recipe; what it does not have is taken as it is usual.
ON = {
    **{"mosaic": 1.0, "mixup": 0.5, "brightness": 0.4, "translate": 0.1, "rescale": 0.5, "flip_horizontal": 0.5},
    **{"erasing": 0.4, "copy_paste": 0.8},
    **{"rotate_deg": 5.0, "clahe": 0.1, "gamma": 0.5, "noise": 0.5},
}
ONE_SIDED = 0.8
BASE = "base"
MEASURES = {
    "mAP50": "mAP50",
    "mAP40": "mAP@0.4",
    "sensitivity at 1 false positives per image, IoU 0.4": "sens. at 1 FP",
}
RESAMPLES = 1000
NETWORK_ALONE = {"tiles": None, "flip_views": False, "calibrate": False}
ANY_POINT = Thresholds(conf=0.25, iou=0.5)  # the measures here do not depend on the score threshold


def main(argv: Sequence[str] | None = None) -> None:
    """Train every variant with every seed, and print the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for everything")
    parser.add_argument("config", type=Path, nargs="?", default=Path("configs/detect/multi_cpu.yaml"))
    parser.add_argument("--data", type=Path, help="data set, in place of that of the configuration")
    parser.add_argument("--weights", help="weights or architecture, in place of those of the configuration")
    parser.add_argument("--epochs", type=int, help="epochs, in place of those of the configuration")
    parser.add_argument("--image-size-px", type=int, help="input size, in place of that of the configuration")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=ON, default=list(ON), help="these augmentations and the base")
    options = parser.parse_args(argv)
    given = {key: getattr(options, key) for key in ("data", "weights", "epochs", "image_size_px")}
    base = read_config(DetectConfig, options.config).model_dump(mode="json")
    if options.epochs:
        base["augment"]["close_mosaic"] = round(base["augment"]["close_mosaic"] * options.epochs / base["epochs"])
    base |= {key: str(value) if key == "data" else value for key, value in given.items() if value is not None}
    base |= {"runs": str(options.out / "runs"), "comet": {"mode": "off"}, "patience": base["epochs"]} | NETWORK_ALONE
    found: dict[tuple[str, int], dict[str, FloatArray]] = {}
    for seed in options.seeds:
        for name, augment in variants(AugmentConfig(**base["augment"]), options.only).items():
            changes = {"name": f"{name.replace(' ', '-')}-{base['epochs']}-epochs-seed-{seed}", "seed": seed}
            config = validate(DetectConfig, base | changes | {"augment": augment.model_dump()}, place="benchmark")
            found[name, seed] = measure(config, options.out / "results")
            print(table(summary(found)), flush=True)
    print("\nvalidation split; mean over the seeds, and the difference to the base with its 95 % interval")


def variants(base: AugmentConfig, keys: Sequence[str]) -> dict[str, AugmentConfig]:
    """The base, and for each key the base with this augmentation left out or switched on."""
    found = {BASE: base}
    for key in keys:
        value = 0.0 if getattr(base, key) > 0 else ON[key]
        name = f"with {key} {value:g}" if value else f"without {key}"
        found[name] = base.model_copy(update={key: value})
    return found


def measure(config: DetectConfig, kept: Path) -> dict[str, FloatArray]:
    """Train one variant, unless it is trained, and measure it, unless its numbers are kept.

    Returns:
        Per column `(1 + R,)`: the number, then its resamples, the same patients for every variant.
    """
    path = kept / f"{config.name}.json"
    if path.is_file():
        return {name: np.array(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    evaluation = evaluate(trained(config), "val", thresholds=ANY_POINT, resamples=RESAMPLES)
    numbers = {number.name: number.values for number in evaluation.evidence.scores.numbers}
    columns = {title: numbers[name] for name, title in MEASURES.items()}
    sided = lateral_classes(read_labelled_split(config.data, "train"))
    for title, wanted in (("lateral AP50", True), ("other AP50", False)):
        names = [row.name for row in evaluation.per_class if (row.name in sided) == wanted]
        values = [numbers.get(f"AP50 {name}", numbers["mAP50"]) for name in names]  # the mean alone, of one class
        columns[title] = mean_over_classes(np.array(values)) if values else np.full(1 + RESAMPLES, np.nan)
    write_text(path, json.dumps({title: values.round(5).tolist() for title, values in columns.items()}) + "\n")
    return columns


def lateral_classes(split: LabelledSplit) -> list[str]:
    """Classes with the middle of their boxes in the same half of the film in at least `ONE_SIDED` of the boxes."""
    width = np.array([width for width, _ in split.sizes_px])[split.truth.image]
    right = split.truth.xyxy[:, [0, 2]].mean(axis=1) > width / 2
    found = []
    for class_id, name in enumerate(split.classes):
        sides = right[split.truth.class_id == class_id]
        if len(sides) and max(sides.mean(), 1 - sides.mean()) >= ONE_SIDED:
            found.append(name)
    return found


def summary(found: Mapping[tuple[str, int], Mapping[str, FloatArray]]) -> list[dict[str, object]]:
    """One row a variant: means over the seeds, with the difference to the base in the same seeds and its interval."""
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        seeds = [seed for variant, seed in found if variant == name]
        row: dict[str, object] = {"variant": name}
        for column in found[name, seeds[0]]:
            own, base = (np.mean([found[key, seed][column] for seed in seeds], axis=0) for key in (name, BASE))
            row[column] = f"{own[0]:.3f}" if name == BASE else f"{own[0]:.3f} ({_signed(own - base)})"
        rows.append(row)
    return rows


def _signed(values: FloatArray) -> str:
    difference, low, high = (np.nan if value is None else value for value in with_interval(values))
    return f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
