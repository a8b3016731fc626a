"""The original's way, as a process: `python -m benchmarks.page_original SIZE COUNT WEIGHTS... -- IMAGES...`.

For each request it loads every checkpoint, predicts with each, and stitches the annotated films into one wide PNG.
Prints a line of JSON for each: seconds, seconds of processor, bytes of the PNG.
"""

import io
import json
import sys
import time

from PIL import Image
from ultralytics import YOLO


def main(size_px: str, count: str, *files: str) -> None:
    """Answer so many requests, one image after another."""
    border = files.index("--")
    weights, images = files[:border], files[border + 1 :]
    for number in range(int(count)):
        wall, processor = time.perf_counter(), time.process_time()
        picture = answer(images[number % len(images)], weights, int(size_px))
        line = {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}
        print(json.dumps(line | {"bytes": len(picture)}), flush=True)


def answer(image: str, weights: tuple[str, ...], size_px: int) -> bytes:
    """One request: the PNG."""
    found = [
        YOLO(file).predict(image, imgsz=size_px, conf=0.25, device="cpu", verbose=False)[0].plot() for file in weights
    ]
    films = [Image.fromarray(pixels[..., ::-1]) for pixels in found]
    sheet = Image.new("RGB", (sum(film.width for film in films), films[0].height))
    for place, film in enumerate(films):
        sheet.paste(film, (sum(before.width for before in films[:place]), 0))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
