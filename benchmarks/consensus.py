"""Time of every consensus rule on the whole table of VinBigData: `python -m benchmarks.consensus [TABLE.csv]`.

Beside it, in the same run, ensemble-boxes called image by image. Without a table and without the package
torchxrayvision, which carries it, simulated readings of about the same size stand in, and the first line says so.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

from xray_chest_detection.cli.progress import table
from xray_chest_detection.config.consensus import ConsensusConfig, Rule
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.reader_simulation import SCENARIOS, simulate
from xray_chest_detection.data.readings import Readings
from xray_chest_detection.data.vinbigdata_table import read_readings_csv

# So many films give about as many boxes as the real table has.
SIMULATED_IMAGES = 6300
LARGEST_SIDE_PX = 4096.0  # of a film; a power of two, so that scaling changes no digit


def main(argv: Sequence[str] | None = None) -> None:
    """Time all rules and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?", help="VinBigData's train.csv, plain or gzipped")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many runs counts")
    options = parser.parse_args(argv)
    readings, name = find_readings(options.table)
    print(f"{name}: {len(readings)} boxes on {len(np.unique(readings.image))} of {len(readings.images)} images")
    lists = lists_of(readings)
    reference, count = best_time(lambda: fuse_by_image(lists), options.repeats)
    rows = [{"rule": "ensemble-boxes", "seconds": f"{reference:.3f}", "boxes": count, "times faster": "1.0"}]
    for rule in get_args(Rule):
        config = ConsensusConfig(rule=rule)
        seconds, count = best_time(lambda config=config: len(merge(readings, config)), options.repeats)
        ratio = f"{reference / seconds:.1f}"
        rows.append({"rule": rule, "seconds": f"{seconds:.3f}", "boxes": count, "times faster": ratio})
    print(table(rows))


def find_readings(path: Path | None) -> tuple[Readings, str]:
    """The real table where there is one, and what to call it."""
    spec = importlib.util.find_spec("torchxrayvision")
    if path is None and spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "data" / "vinbigdata-train.csv.gz"
    if path is not None:
        return read_readings_csv(path), path.name
    return simulate(SCENARIOS["like VinBigData"], n_images=SIMULATED_IMAGES, seed=0)[0], "simulated, no real table"


def best_time(run: Callable[[], int], repeats: int) -> tuple[float, int]:
    """Seconds of the fastest run, and what it returned."""
    seconds, result = [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def lists_of(readings: Readings) -> list[tuple[list[list[list[float]]], list[list[float]], list[list[int]]]]:
    """What ensemble-boxes wants of each image with a box: boxes, scores, labels, one list per reader, silent or not."""
    lists = []
    for image in np.unique(readings.image):
        rows = np.arange(*np.searchsorted(readings.image, (image, image + 1)))
        parts = [rows[readings.reader[rows] == reader] for reader in np.flatnonzero(readings.read[image])]
        boxes = [(readings.xyxy[part] / LARGEST_SIDE_PX).tolist() for part in parts]
        lists.append(
            (boxes, [[1.0] * len(part) for part in parts], [readings.class_id[part].tolist() for part in parts])
        )
    return lists


def fuse_by_image(lists: list[tuple[list[list[list[float]]], list[list[float]], list[list[int]]]]) -> int:
    """Number of boxes of ensemble-boxes, called once an image; preparing its lists is not timed."""
    iou = ConsensusConfig().iou
    return sum(len(weighted_boxes_fusion(*one, iou_thr=iou, skip_box_thr=0.0)[0]) for one in lists)


if __name__ == "__main__":
    main()
