"""Finding the weights a training starts from, and writing those that are made of others."""

import io
import os
from pathlib import Path
from typing import Any

from xray_chest_detection.core.files import write_bytes
from xray_chest_detection.errors import ModelError


def resolve_weights(weights: str) -> Path:
    """The local file for a path, or for a name that ultralytics can download.

    A bare name is looked up in the current folder, then in `$XRAY_DATA_PACK/weights`, then downloaded.

    Raises:
        ModelError: There is no such file, and it cannot be downloaded.
    """
    given = Path(weights)
    pack = os.environ.get("XRAY_DATA_PACK")
    candidates = [given] if given.parent != Path() or pack is None else [given, Path(pack) / "weights" / given.name]
    found = next((path for path in candidates if path.is_file()), None)
    if found is not None:
        return found.resolve()
    if given.parent != Path():
        raise ModelError(f"{weights}: no such weights file; give a local .pt file, or a name such as yolov8s.pt")
    return _download(weights)


def is_architecture(weights: str) -> bool:
    """Whether a name stands for an architecture with random weights, such as `yolov8n.yaml`."""
    return Path(weights).suffix in (".yaml", ".yml")


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all; equal content gives equal files.

    Raises:
        DataError: The disk is full.
    """
    import torch

    buffer = io.BytesIO()  # a file's name would become part of its content
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def _download(name: str) -> Path:
    from ultralytics.utils import ONLINE
    from ultralytics.utils.downloads import attempt_download_asset

    cure = f"download {name} on another machine and pass its path as --weights"
    if not ONLINE:
        raise ModelError(f"weights '{name}': no such file here, and there is no network to download it; {cure}")
    try:
        path = Path(attempt_download_asset(name))
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"weights '{name}': cannot be downloaded ({reason}); {cure}") from None
    if not path.is_file():
        raise ModelError(f"weights '{name}': no such file, and ultralytics offers none of this name; {cure}")
    return path.resolve()
