"""Runs of benchmarks that take hours: what is trained is used again, what was cut goes on."""

from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.detect.runs import CONFIG_FILE, Run, open_run
from xray_chest_detection.detect.train import train_or_resume
from xray_chest_detection.errors import ModelError


def trained(config: DetectConfig) -> Run:
    """A finished run of this configuration: the one that is there, or one that goes on, or a new one.

    Raises:
        ModelError: The run that is there has another configuration.
    """
    folder = config.runs / config.name
    if (folder / CONFIG_FILE).is_file() and open_run(folder).config != config:
        raise ModelError(f"{folder}: was trained with other settings; give another folder")
    return train_or_resume(config)
