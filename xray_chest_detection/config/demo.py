"""Configuration of the web demo."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from xray_chest_detection.config.base import StrictModel

MIB = 1024 * 1024


class DemoConfig(StrictModel):
    """What the web demo serves, and its limits.

    Attributes:
        checkpoints: Folder with `<model>.onnx` and `<model>.card.yaml`; relative paths start at the project.
        models: Names of the models, in the order of the panels.
        samples: Folders with sample images, each listed without its sub-folders.
        host: Address `python demo.py` binds to.
        port: Port `python demo.py` binds to.
        runtime: What runs the models: `onnxruntime`; `openvino` and `openvino-fast` (bfloat16, other scores), an extra.
        threads: CPU threads of one model on one film; None takes every core, as it should with OpenVINO, which runs one
            model after the other whoever asks.
        models_at_once: Models that run at the same time, over all requests; None takes one a core.
        max_upload_mib: Largest request, in MiB. App Engine takes no more than 32.
        max_pixels: Largest image, in pixels of 8-bit grey, refused before it is decoded. Deeper, coloured and
            compressed ones take more memory a pixel and may have a half to a quarter as many.
        films_at_once: Films that are decoded and looked at at the same time.
        max_queue: Films that wait for it; further ones are refused at once (503 with Retry-After).
        max_queue_mib: Memory for the uploads of all these films, in MiB; further ones are refused at once too.
        time_limit_s: Seconds from the end of an upload to its answer (504 after that).
        rate_per_minute: Films a minute from one address (429 with Retry-After); None does not count them.
        trusted_proxies: Proxies before the server whose word on the client's address is taken. Too many, and a client
            can pretend to be another; too few, and all clients count as one.
    """

    checkpoints: Path = Path("checkpoints")
    models: tuple[str, ...] = Field(("multi", "binary", "cardiomegaly", "mass_nodule"), min_length=1)
    samples: tuple[Path, ...] = (Path("images_for_inference"), Path("images_for_inference/fetched"))
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    runtime: Literal["onnxruntime", "openvino", "openvino-fast"] = "onnxruntime"
    threads: int | None = Field(1, ge=1)
    models_at_once: int | None = Field(None, ge=1)
    max_upload_mib: int = Field(32, ge=1, le=1024)
    max_pixels: int = Field(64_000_000, ge=1)
    films_at_once: int = Field(2, ge=1)
    max_queue: int = Field(16, ge=0)
    max_queue_mib: int = Field(128, ge=1)
    time_limit_s: float = Field(30, gt=0)
    rate_per_minute: int | None = Field(60, ge=1)
    trusted_proxies: int = Field(0, ge=0)
