"""What each augmentation is worth: `python -m benchmarks.augmentations OUT [CONFIG] [--epochs 40 --seeds 0 1 ...]`.

Trains CONFIG as it is, then once for each augmentation with only that changed: left out where CONFIG has it, else
switched on as the original recipe has it. Weights, seed, epochs and data are the same; the numbers are of the
validation split, so that the test split stays unseen, and of the network alone: a mirrored view at prediction would
hide what a flip in training does. A run that was cut goes on; what is complete in OUT is used again.

A flip turns the body's sides around, which can cost most where a class lies on one side. The classes with the middle of
at least 80 % of their training boxes in the same half of the film have a column of their own, "lateral AP50". In the
training split of NIH ChestX-ray14 this is Cardiomegaly (95 % of 97 boxes); all other classes are between 44 and 57 %.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.runs import trained
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import read_config, validate
from xray_chest_detection.config.detect import AugmentConfig, DetectConfig
from xray_chest_detection.core.files import write_text
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit, read_labelled_split
from xray_chest_detection.detect.evaluate import evaluate

# The original recipe; what it does not have is taken as it is usual.
ON = {
    **{"mosaic": 1.0, "mixup": 0.5, "brightness": 0.4, "translate": 0.1, "rescale": 0.5, "flip_horizontal": 0.5},
    **{"erasing": 0.4, "copy_paste": 0.8},
    **{"rotate_deg": 5.0, "clahe": 0.1, "gamma": 0.5, "noise": 0.5},
}
ONE_SIDED = 0.8
MEASURES = {
    "mAP50": "mAP50",
    "mAP40": "mAP@0.4",
    "sensitivity at 1 false positives per image, IoU 0.4": "sens. at 1 FP",
}
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
    base |= {key: str(value) if key == "data" else value for key, value in given.items() if value is not None}
    base |= {"runs": str(options.out / "runs"), "comet": {"mode": "off"}, "patience": base["epochs"]} | NETWORK_ALONE
    rows: list[dict[str, object]] = []
    for seed in options.seeds:
        for name, augment in variants(AugmentConfig(**base["augment"]), options.only).items():
            changes = {"name": f"{name.replace(' ', '-')}-{base['epochs']}-epochs-seed-{seed}", "seed": seed}
            config = validate(DetectConfig, base | changes | {"augment": augment.model_dump()}, place="benchmark")
            rows.append({"variant": name, "seed": seed} | measure(config, options.out / "results"))
            print(table(summary(rows)), flush=True)
    print("\nvalidation split; mean over the seeds, and the difference to the base in brackets")


def variants(base: AugmentConfig, keys: Sequence[str]) -> dict[str, AugmentConfig]:
    """The base, and for each key the base with this augmentation left out or switched on."""
    found = {"base": base}
    for key in keys:
        value = 0.0 if getattr(base, key) > 0 else ON[key]
        name = f"with {key} {value:g}" if value else f"without {key}"
        found[name] = base.model_copy(update={key: value})
    return found


def measure(config: DetectConfig, kept: Path) -> dict[str, float]:
    """Train one variant, unless it is trained, and measure it, unless its numbers are kept."""
    path = kept / f"{config.name}.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    found = evaluate(trained(config), "val", thresholds=ANY_POINT, resamples=0)
    numbers = {title: found.value(name) or 0.0 for name, title in MEASURES.items()}
    sided = lateral_classes(read_labelled_split(config.data, "train"))
    precision = {row.name: row.ap50 for row in found.per_class if row.ap50 is not None}
    for title, wanted in (("lateral AP50", True), ("other AP50", False)):
        values = [value for name, value in precision.items() if (name in sided) == wanted]
        numbers[title] = float(np.mean(values)) if values else float("nan")
    write_text(path, json.dumps(numbers, indent=1) + "\n")
    return numbers


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


def summary(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """One row a variant: means over the seeds, with the difference to the base in the same seeds."""
    frame = pd.DataFrame(rows).set_index(["variant", "seed"])
    gains = frame - frame.xs("base").reindex(frame.index.get_level_values("seed")).to_numpy()
    means, gains = (values.groupby("variant", sort=False).mean() for values in (frame, gains))
    return [
        {"variant": name}
        | {column: f"{means.loc[name, column]:.3f} ({gains.loc[name, column]:+.3f})" for column in frame.columns}
        for name in means.index
    ]


if __name__ == "__main__":
    main()
