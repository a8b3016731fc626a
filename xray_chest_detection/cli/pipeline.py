"""`xray pipeline OUT`: synthetic data, from raw files to a served model, with the commands a user would type."""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xray_chest_detection.cli.progress import table
from xray_chest_detection.core.model_card import CARD_SUFFIX, ModelCard, read_card
from xray_chest_detection.detect.weights import resolve_weights
from xray_chest_detection.errors import DataError, ModelError

MODELS = ("multi", "binary", "cardiomegaly", "mass_nodule")
START_SECONDS = 60


def main(argv: Sequence[str]) -> int:
    """Run every step, then serve the models and ask the page for one film.

    Returns:
        Exit status: that of the first command that failed, else 0.
    """
    parser = argparse.ArgumentParser(prog="xray pipeline", description=__doc__)
    parser.add_argument("out", type=Path, help="new folder for everything the pipeline makes")
    parser.add_argument("--patients", type=int, default=120, help="patients of the synthetic data set")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of the multiclass model; the others take half")
    parser.add_argument("--weights", default=None, help="where training starts; yolov8n.pt, or random when offline")
    options = parser.parse_args(argv)
    if options.out.exists() and any(options.out.iterdir()):
        raise DataError(f"{options.out}: not empty; remove it or name another folder")
    started = time.monotonic()
    weights = options.weights or _default_weights()
    for title, command in _steps(options.out, options.patients, options.epochs, weights):
        print(f"\n== {title}\n$ python {' '.join(command)}", flush=True)
        status = subprocess.run([sys.executable, *command], check=False).returncode
        if status != 0:
            return status
    _report(options.out, seconds=time.monotonic() - started)
    return 0


def _default_weights() -> str:
    try:
        return str(resolve_weights("yolov8n.pt"))
    except ModelError as error:
        print(f"note: {error}\nnote: training starts from random weights instead, and will find little", flush=True)
        return "yolov8n.yaml"


def _steps(out: Path, patients: int, epochs: int, weights: str) -> Iterator[tuple[str, list[str]]]:
    """Titles and commands, in order; every path lies under `out`."""
    raw, tables, split, yolo = out / "raw", out / "tables", out / "split", out / "yolo"
    yield "draw the data set", ["-m", "data_prep.sample", str(raw), "--patients", str(patients), "--size-px", "384"]
    yield "tables", ["-m", "data_prep.nih", "configs/data/nih.yaml", "--root", str(raw / "nih"), "--out", str(tables)]
    yield "split by patient", _step("split", "split", "--tables", tables, "--out", split, "--keep", "None")
    for model in MODELS:
        places = ("--tables", tables, "--split", split, "--out", yolo / model)
        yield f"data set: {model}", _step("build_yolo", f"yolo_{model}", *places)
    yield from _united_steps(out)
    yield "verify", ["-m", "data_prep.verify", *(str(yolo / name) for name in (*MODELS, "united"))]
    for model in MODELS:
        first = model == "multi"
        start = weights if first else str(out / "runs" / "multi" / "weights" / "best.pt")
        options = {
            "--name": model,
            "--title": {"mass_nodule": "Mass/Nodule"}.get(model, model.capitalize()),
            "--data": str(yolo / model),
            "--weights": start,
            "--runs": str(out / "runs"),
            "--epochs": str(epochs if first else max(1, epochs // 2)),
            "--after.checkpoints": str(out / "checkpoints"),
        }
        flat = [text for pair in options.items() for text in pair]
        yield f"train, tune, evaluate, export: {model}", ["train.py", "configs/detect/pipeline.yaml", *flat]


def _united_steps(out: Path) -> Iterator[tuple[str, list[str]]]:
    """A data set of both sources, beside the ones that are trained on."""
    vinbigdata, united, split = out / "tables_vinbigdata", out / "tables_united", out / "split_united"
    root = out / "raw" / "vinbigdata"
    yield "tables: three readers", _step("vinbigdata", "vinbigdata", "--root", root, "--out", vinbigdata)
    yield "two sources in one", _step("unite", "unite", "--sources", out / "tables", vinbigdata, "--out", united)
    keep = ("--keep", out / "split")
    yield "split both, NIH as before", _step("split", "split_united", "--tables", united, "--out", split, *keep)
    places = ("--tables", united, "--split", split, "--out", out / "yolo" / "united")
    yield "data set: united", _step("build_yolo", "yolo_united", *places, "--weights", "agreement")


def _step(name: str, config: str, *options: object) -> list[str]:
    return ["-m", f"data_prep.{name}", f"configs/data/{config}.yaml", *map(str, options)]


def _report(out: Path, *, seconds: float) -> None:
    cards = [read_card(path) for path in sorted((out / "checkpoints").glob(f"*{CARD_SUFFIX}"))]
    if not cards:
        raise ModelError(f"{out / 'checkpoints'}: no model was exported; look at the messages above")
    film = _film_with_most_boxes(out / "yolo" / "multi")
    answer = _ask_page(out / "checkpoints", film)
    print(f"\n== done in {seconds / 60:.1f} minutes; the page was asked about {film.name}")
    print(table([_row(card, answer) for card in cards]))
    print(f"\nOpen it yourself: python demo.py --checkpoints {out / 'checkpoints'}")


def _film_with_most_boxes(dataset: Path) -> Path:
    label = max(sorted((dataset / "labels" / "test").glob("*.txt")), key=lambda path: path.stat().st_size)
    return next((dataset / "images" / "test").glob(f"{label.stem}.*"))


def _row(card: ModelCard, answer: dict[str, Any]) -> dict[str, object]:
    values = {metric.name: metric.value for metric in card.metrics}
    marks = answer["models"].get(card.name, [])
    return {
        "model": card.name,
        "mAP50 on test": values.get("mAP50"),
        "score from": card.thresholds.conf,
        "marks on the film": ", ".join(f"{mark['class']} {mark['score']:.2f}" for mark in marks) or "none",
    }


def _ask_page(checkpoints: Path, film: Path) -> dict[str, Any]:
    """Start the demo on a free port and send it one film."""
    with _served(checkpoints) as address:
        boundary = "----xray-pipeline"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="film.png"\r\n\r\n'
        body = head.encode() + film.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(
            f"{address}/api/v1/predict",
            data=body,
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


@contextmanager
def _served(checkpoints: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "demo.py", "--port", str(port), "--checkpoints", str(checkpoints.resolve())]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_until_ready(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ModelError(f"{address}: the page did not start; run the demo by hand to see why")
