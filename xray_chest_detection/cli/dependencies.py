"""Optional packages: which extra brings them."""

import importlib.util

from xray_chest_detection.errors import DependencyError

EXTRAS = {
    "data": ("cv2", "iterstrat", "matplotlib", "pandas", "pandera", "sklearn", "tqdm"),
    "train": ("albumentations", "comet_ml", "onnx", "openvino", "torch", "torchvision", "ultralytics"),
    "deploy": ("pathspec",),
    "dev": ("onnxslim", "playwright", "pycocotools"),
}
_DATA_IS_ENOUGH = ("python -m data_prep", "xray agreement")


def missing_package(error: ModuleNotFoundError, *, command: str) -> DependencyError | None:
    """One line that names the extra to install; None when the missing module is none of the optional packages.

    Data preparation and `xray agreement` make do with the extra `data`; what else needs its packages needs those of
    `train` as well.
    """
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            extra = "train" if extra == "data" and not command.startswith(_DATA_IS_ENOUGH) else extra
            return DependencyError(f"{command} needs the package {package}; install it: pip install -e '.[{extra}]'")
    return None


def require(*packages: str, command: str) -> None:
    """Make sure that optional packages are installed, without importing them.

    Raises:
        DependencyError: Names the first missing one and the extra that brings it.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            error = missing_package(ModuleNotFoundError(name=package), command=command)
            raise error or DependencyError(f"{command} needs the package {package}; install it")
