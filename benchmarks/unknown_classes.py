"""What masking unknown classes is worth: `python -m benchmarks.unknown_classes OUT [--patients 400 --epochs 20 ...]`.

Draws synthetic films, whose findings are all known, and removes the boxes of some classes from half of the training and
validation patients. The same network is trained from the same weights with the same random choices

- with these films taken as they are,
- with the mask where the source did not label the classes: on all films of these patients (`not_labelled`),
- with the mask where a finding is known but has no box: only on the films that lost one (`not_located`),

and measured on the test split, which keeps all its boxes. With `--full` it is also trained on the films as drawn: the
most that any treatment of the missing labels can reach.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.runs import trained
from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.base import validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.side_files import UNKNOWN_COLUMNS, UNKNOWN_FILE, Reason
from xray_chest_detection.data.yolo import read_classes, read_index
from xray_chest_detection.detect.evaluate import evaluate
from xray_chest_detection.detect.weights import resolve_weights

HIDDEN = ("Cardiomegaly", "Effusion", "Mass/Nodule")
REASONS: tuple[Reason, ...] = ("not_labelled", "not_located")
RECIPE = {
    "image_size_px": 256,
    "batch": 16,
    "optimizer": "AdamW",
    "learning_rate": 0.001,
    "warmup_epochs": 1,
    "checkpoint": "last",
    "precision": "bf16",
    "device": "cpu",
    "workers": 1,
    "cache": True,
    "augment": {"mosaic": 0.5, "close_mosaic": 3, "rescale": 0.2},
    "comet": {"mode": "off"},
}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the data, train every variant with every seed, print average precision per class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for everything; what is complete in it is used again")
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--share", type=float, default=0.5, help="share of patients without labels of some classes")
    parser.add_argument("--full", action="store_true", help="also train with all labels")
    options = parser.parse_args(argv)
    full = draw(options.out, patients=options.patients)
    data = {reason: options.out / reason for reason in REASONS}
    for reason, folder in data.items():
        if not folder.is_dir():
            hide(full, folder, share=options.share, reason=reason)
    variants = {"no mask": {"data": str(data["not_labelled"]), "mask_unknown": False}}
    variants |= {reason: {"data": str(folder)} for reason, folder in data.items()}
    if options.full:
        variants["all labels"] = {"data": str(full)}
    rows = []
    for seed in options.seeds:
        for name, changes in variants.items():
            config = changes | {"name": f"{name.replace(' ', '_')}-{seed}", "seed": seed}
            rows.append({"variant": name, "seed": seed} | measure(config, options.out, epochs=options.epochs))
            print(table(rows), flush=True)
    means = pd.DataFrame(rows).drop(columns="seed").groupby("variant", sort=False).mean().round(3).reset_index()
    print(f"\nmean over the seeds; {', '.join(HIDDEN)} are missing on {options.share:.0%} of the training patients")
    print(table(means.to_dict("records")))


def draw(out: Path, *, patients: int) -> Path:
    """A synthetic data set with all its labels, made by the steps a user would type."""
    raw, tables, split, full = (out / name for name in ("raw", "tables", "split", "full"))
    if full.is_dir():
        return full
    drawn = ["--patients", str(patients), "--size-px", "384", "--vinbigdata-images", "0", "--unboxed-share", "0"]
    shares = ["--keep", "None", "--train", "0.3", "--val", "0.05", "--test", "0.65"]
    from_split = ["--tables", str(tables), "--split", str(split), "--out", str(full)]
    for step in (
        ["sample", str(raw), *drawn],
        ["nih", "configs/data/nih.yaml", "--root", str(raw / "nih"), "--out", str(tables)],
        ["split", "configs/data/split.yaml", "--tables", str(tables), "--out", str(split), *shares],
        ["build_yolo", "configs/data/yolo_multi.yaml", *from_split],
    ):
        subprocess.run([sys.executable, "-m", f"data_prep.{step[0]}", *step[1:]], check=True)
    return full


def hide(full: Path, out: Path, *, share: float, reason: Reason, seed: int = 0) -> None:
    """Copy a data set, take the boxes of `HIDDEN` from a share of its training and validation patients, and say so."""
    shutil.copytree(full, out)
    classes, index = read_classes(out), read_index(out)
    hidden = {classes.index(name) for name in HIDDEN}
    patients = index.loc[index["split"] != "test", "patient_id"].drop_duplicates().sort_values()
    poor = np.random.default_rng(seed).choice(patients, round(share * len(patients)), replace=False)
    rows = []
    for _, film in index[index["patient_id"].isin(poor)].iterrows():
        labels = out / "labels" / film["split"] / f"{film['image_id']}.txt"
        lines = labels.read_text(encoding="utf-8").splitlines(keepends=True)
        labels.write_text("".join(line for line in lines if int(line.split()[0]) not in hidden), encoding="utf-8")
        lost = hidden & {int(line.split()[0]) for line in lines}
        unknown = hidden if reason == "not_labelled" else lost
        rows += [(film["file"], classes[class_id], reason) for class_id in sorted(unknown)]
    pd.DataFrame(rows, columns=UNKNOWN_COLUMNS).to_csv(out / UNKNOWN_FILE, index=False)


def measure(changes: dict[str, object], out: Path, *, epochs: int) -> dict[str, object]:
    """Train one variant; AP50 of every class on the test split, and its mean over the hidden and the other classes."""
    weights = str(resolve_weights("yolov8n.pt"))
    values = RECIPE | {"weights": weights, "runs": str(out / "runs"), "epochs": epochs, "patience": epochs} | changes
    config = validate(DetectConfig, values, place="benchmark")
    found = evaluate(trained(config), thresholds=Thresholds(conf=0.25, iou=0.5), resamples=0)
    precision = {row.name: row.ap50 or 0.0 for row in found.per_class}
    hidden = [precision[name] for name in HIDDEN]
    others = [value for name, value in precision.items() if name not in HIDDEN]
    means = {"hidden classes": np.mean(hidden).round(3), "other classes": np.mean(others).round(3)}
    return means | {name: round(value, 3) for name, value in precision.items()}


if __name__ == "__main__":
    main()
