from pathlib import Path

import pytest

from xray_chest_detection.config.base import from_command_line
from xray_chest_detection.config.cross_validate import CrossValidateConfig
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.errors import ConfigError

ROOT = Path(__file__).parents[2]


def parse(*arguments):
    path = str(ROOT / "configs/detect/multi_cpu.yaml")
    return from_command_line(CrossValidateConfig, [path, *arguments], prog="xray", description="")


def test_a_training_configuration_is_one_of_a_cross_validation():
    config = parse("--augment.mosaic", "0.1")
    assert (config.folds, config.wanted, config.folder) == (5, (0, 1, 2, 3, 4), Path("runs/cv/multi"))
    training = config.training(name="multi-fold3")
    assert type(training) is DetectConfig
    assert (training.name, training.epochs, training.augment.mosaic) == ("multi-fold3", 40, 0.1)


@pytest.mark.parametrize("only", [["--only", "2,0"], ["--only=0,2"], ["--only", "2", "0", "2"]])
def test_some_folds(only):
    assert parse(*only).wanted == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "1,5"], "only: there are the folds 0 to 4, got 5"),
        (["--only", "one"], "only.0: input should be a valid integer"),
        (["--folds", "1"], "folds: input should be greater than or equal to 2, got '1'"),
        (["--val", "0.7"], "val: input should be less than 0.5"),
    ],
)
def test_values_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        parse(*arguments)
