"""The page against the original's way, and under load: `python -m benchmarks.page [--seconds 120]`.

1. Four YOLOv8s with random weights at 800 px on the same images: ultralytics in a process of its own, which loads four
   checkpoints for each request, predicts and stitches a PNG; then one HTTP request to this server, once with each
   runtime that is installed. Time of a request (median, 95th percentile), processor time, peak memory of the processes,
   time from the start of the process to the first answer.
2. The shipped models: the same of the page as it is, then 16 clients at once.
3. Whether the shipped files find the boxes of their checkpoints (`runs/detect/*`), where these are at hand.

Goals stand beside the numbers and are never enforced: they hold for two cores that do nothing else, and the load of the
machine is printed.
"""

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import numpy as np
import yaml

from benchmarks.page_boxes import compare_boxes
from benchmarks.page_models import N_CLASSES, write_models
from xray_chest_detection.cli.progress import table
from xray_chest_detection.core.machine import cpu_name, usable_cores
from xray_chest_detection.deploy.memory import family, memory_of
from xray_chest_detection.deploy.server import Server
from xray_chest_detection.detect.trainer import switch_off_integrations
from xray_chest_detection.errors import DeployError
from xray_chest_detection.inference.network import Runtime

ROOT = Path(__file__).parents[1]
IMAGES = sorted((ROOT / "images_for_inference").glob("*.png"))
PREDICT = "/api/v1/predict"
CLIENTS = 16
NO_ANSWER = "no answer"
GOALS = (
    "goals: a tenth of the original's time, a third of its memory, first answer within 3 s; "
    "the shipped models' page within 300 ms on two cores"
)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """Requests to one way of answering: their times, and what its processes took."""

    way: str
    seconds: tuple[float, ...]
    processor: float
    first: float
    peak_bytes: int

    def row(self, original: "Measured | None" = None) -> dict[str, object]:
        """A row of the table; times are relative to the original's way where it is given."""
        row: dict[str, object] = {
            "way": self.way,
            "median ms": round(1000 * statistics.median(self.seconds)),
            "p95 ms": round(1000 * float(np.percentile(self.seconds, 95))),
            "processor ms": round(1000 * self.processor),
            "first answer s": round(self.first, 1),
            "peak MB": round(self.peak_bytes / 1e6),
        }
        if original is None:
            return row
        return row | {
            "times faster": round(statistics.median(original.seconds) / statistics.median(self.seconds), 1),
            "share of memory": round(self.peak_bytes / original.peak_bytes, 2),
        }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10, help="timed requests of each way")
    parser.add_argument("--seconds", type=float, default=120, help="length of the load test")
    parser.add_argument("--architecture", default="yolov8s.yaml", help="of the random models")
    parser.add_argument("--size", type=int, default=800, help="side of their input in pixels")
    options = parser.parse_args(argv)
    switch_off_integrations()
    print(f"{cpu_name()}, {usable_cores()} cores; {load()}")
    print(GOALS)
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        folder = Path(scratch)
        weights, exports = write_models(folder, architecture=options.architecture, image_size_px=options.size)
        print(f"four {Path(options.architecture).stem}, random weights, {options.size} px, {options.requests} requests")
        original = measure_original(weights, size_px=options.size, requests=options.requests)
        ways = [measure_page(folder, exports, runtime, requests=options.requests) for runtime in runtimes()]
        print(table([original.row(original), *(way.row(original) for way in ways)]), flush=True)
        print(f"the shipped models; {load()}")
        print(table([measure_page(folder, ROOT / "checkpoints", "onnxruntime", requests=3 * options.requests).row()]))
        print(load_test(folder, seconds=options.seconds), flush=True)
    print(compare_boxes(ROOT, IMAGES))


def runtimes() -> tuple[Runtime, ...]:
    """The runtime of the page, then the faster one that finds other scores, where it is installed."""
    return ("onnxruntime", "openvino-fast") if importlib.util.find_spec("openvino") else ("onnxruntime",)


def measure_original(weights: Sequence[Path], *, size_px: int, requests: int) -> Measured:
    """Ultralytics, everything loaded for each request; the first one is not among the timed."""
    files = [*map(str, weights), "--", *map(str, IMAGES)]
    command = [sys.executable, "-m", "benchmarks.page_original", str(size_px), str(requests + 1), *files]
    started, lines, peak, first = time.perf_counter(), [], 0, 0.0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            if line.startswith('{"seconds"'):
                lines.append(json.loads(line))
                first = first or time.perf_counter() - started
                peak = max(peak, memory_of(process.pid).peak_bytes)
    if len(lines) != requests + 1:
        raise RuntimeError(f"ultralytics answered {len(lines)} of {requests + 1} requests")
    processor = statistics.median(line["processor"] for line in lines[1:])
    return Measured(
        "ultralytics, loaded each time", tuple(line["seconds"] for line in lines[1:]), processor, first, peak
    )


def measure_page(folder: Path, checkpoints: Path, runtime: Runtime, *, requests: int) -> Measured:
    """Requests to the page, one after another."""
    films = [path.read_bytes() for path in IMAGES]
    with server(folder, checkpoints, runtime) as page:
        first = answered(page, films[0], first=True)
        before = processor_s(page.pid)
        seconds = tuple(answered(page, films[number % len(films)]) for number in range(requests))
        processor = (processor_s(page.pid) - before) / requests
        return Measured(f"this page, {runtime}", seconds, processor, first, memory_of(page.pid).peak_bytes)


def load_test(folder: Path, *, seconds: float) -> str:
    """16 clients that ask again as soon as they are answered, or a second after they were refused."""
    films = [path.read_bytes() for path in IMAGES]
    turns, times, statuses = itertools.count(), [], Counter[int | str]()
    with server(folder, ROOT / "checkpoints", "onnxruntime") as page:
        answered(page, films[0], first=True)
        memory_before = page.memory.now_bytes
        end = time.perf_counter() + seconds

        def client() -> None:
            while time.perf_counter() < end:
                try:
                    answer = page.ask(PREDICT, films[next(turns) % len(films)])
                except DeployError:
                    statuses[NO_ANSWER] += 1
                    time.sleep(1)
                    continue
                statuses[answer.status] += 1
                if answer.status == HTTPStatus.OK:
                    times.append(answer.seconds)
                else:
                    time.sleep(1)

        threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory = memory_of(page.pid)
    busy = statuses.pop(HTTPStatus.SERVICE_UNAVAILABLE, 0)
    good = statuses.pop(HTTPStatus.OK, 0)
    return (
        f"{CLIENTS} clients for {seconds:.0f} s: {good} answered ({good / seconds:.1f} a second), median "
        f"{statistics.median(times):.2f} s, p95 {np.percentile(times, 95):.2f} s, slowest {max(times):.2f} s; "
        f"{busy} asked to come back (503), {sum(statuses.values())} errors {dict(statuses) or ''}\n"
        f"memory {memory_before / 1e6:.0f} MB before, {memory.now_bytes / 1e6:.0f} MB after, "
        f"{memory.peak_bytes / 1e6:.0f} MB at the most; {load()}"
    )


def server(folder: Path, checkpoints: Path, runtime: Runtime) -> Server:
    """The page as it is deployed on this machine, but for the rate limit, which is for single clients."""
    values = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    values |= {"checkpoints": str(checkpoints), "runtime": runtime, "rate_per_minute": None}
    if runtime != "onnxruntime":  # OpenVINO runs one model after the other, whoever asks: each gets every core
        values |= {"threads": None, "models_at_once": 1}
    config = folder / f"{checkpoints.parent.name}-{runtime}.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    environment = {**os.environ, "XRAY_DEMO_CONFIG": str(config)}
    return Server(f"{sys.executable} -m gunicorn demo:app", folder=ROOT, environment=environment)


def answered(page: Server, film: bytes, *, first: bool = False) -> float:
    """Seconds of one request that all four models answer."""
    answer = page.first_answer(PREDICT, film, timeout_s=300) if first else page.ask(PREDICT, film, timeout_s=300)
    if answer.status != HTTPStatus.OK or len(json.loads(answer.content)["models"]) != len(N_CLASSES):
        raise RuntimeError(f"the page answers {answer.status}: {answer.content[:200]!r}")
    return answer.seconds


def processor_s(pid: int) -> float:
    """Processor seconds of a process and its children until now."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def load() -> str:
    """What else the machine does."""
    return "load " + ", ".join(f"{value:.1f}" for value in os.getloadavg()) + f" on {usable_cores()} cores"


if __name__ == "__main__":
    main()
