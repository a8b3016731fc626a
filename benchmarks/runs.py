"""Runs of benchmarks that take hours: what is trained is used again, what was cut goes on."""

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.core.manifest import FILE_NAME
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, open_run
from xray_chest_detection.detect.train import resume, train
from xray_chest_detection.errors import ModelError


def trained(config: DetectConfig) -> Run:
    """A finished run of this configuration: the one that is there, or one that goes on, or a new one.

    Raises:
        ModelError: The run that is there has another configuration.
    """
    folder = config.runs / config.name
    if not (folder / CONFIG_FILE).is_file():
        return train(config)
    if open_run(folder).config != config:
        raise ModelError(f"{folder}: was trained with other settings; give another folder")
    return open_run(folder) if (folder / FILE_NAME).is_file() else resume(folder)
