"""`xray env`: what an issue report should contain."""

import importlib.util
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

import tyro

from xray_chest_detection import __version__
from xray_chest_detection.core.machine import cpu_name, usable_cores

PACKAGES = (
    *("numpy", "pillow", "pydicom", "pydantic", "tyro", "flask", "onnxruntime"),
    *("pandas", "scikit-learn", "matplotlib", "opencv-python", "torch", "torchvision", "ultralytics", "albumentations"),
    *("onnx", "openvino", "comet-ml"),
)


@dataclass(frozen=True)
class Options:
    """Show the versions and the hardware this installation uses."""


def main(argv: Sequence[str]) -> int:
    """Print versions of Python and the packages, the CPU and the GPU."""
    tyro.cli(Options, args=list(argv), prog="xray env")
    rows = {
        "xray_chest_detection": __version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: _version(package) for package in PACKAGES},
        "cpu": f"{cpu_name()}, {usable_cores()} cores usable",
        "gpu": _gpu(),
    }
    width = max(len(name) for name in rows)
    print("\n".join(f"{name:<{width}}  {value}" for name, value in rows.items()))
    return 0


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown (torch is not installed)"
    import torch  # two seconds and 500 MB: only this command pays for it

    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else "none"
