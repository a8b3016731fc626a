"""What a detector's configuration accepts, and how it says no."""

from pathlib import Path

import pytest

from xray_chest_detection.config.base import from_command_line, read_config, validate
from xray_chest_detection.config.detect import DetectConfig
from xray_chest_detection.errors import ConfigError

BASE = {"name": "x", "data": "d"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "test: unknown key 'epoch' (did you mean 'epochs'?)"),
        (
            {"augment": {"copy_paste": 1.5}},
            "test: augment.copy_paste: input should be less than or equal to 1, got 1.5",
        ),
        ({"augment": {"noise": -1}}, "test: augment.noise: input should be greater than or equal to 0, got -1"),
        (
            {"augment": {"hue": 0.1}},
            "test: augment.hue: has no effect on grey radiographs; leave it out or set 0, got 0.1",
        ),
        (
            {"augment": {"saturation": 0.7}},
            "test: augment.saturation: has no effect on grey radiographs; leave it out or set 0, got 0.7",
        ),
        ({"augment": {"mosiac": 1}}, "test: unknown key 'augment.mosiac' (did you mean 'mosaic'?)"),
        ({"image_size_px": 500}, "test: image_size_px: input should be a multiple of 32, got 500"),
        (
            {"learning_rate": 0.1},
            "test: learning_rate: has no effect with optimizer 'auto', which chooses its own; "
            "name an optimizer, got 0.1",
        ),
        ({"name": "a/b"}, "test: name: string should match pattern '^[A-Za-z0-9._-]+$', got 'a/b'"),
        ({"precision": "fp8"}, "test: precision: input should be 'auto', 'fp32' or 'bf16', got 'fp8'"),
        ({"comet": {"mode": "on"}}, "test: comet.mode: input should be 'auto', 'offline' or 'off', got 'on'"),
        (
            {"after": {"objective": "f2"}},
            "test: after.objective: input should be 'recall_map', 'f1', 'f_beta', 'sensitivity' or 'map_then_f1', "
            "got 'f2'",
        ),
    ],
)
def test_wrong_value_is_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(DetectConfig, BASE | change, place="test")
    assert str(error.value) == message


def test_zero_of_a_refused_value_is_fine() -> None:
    config = validate(DetectConfig, BASE | {"augment": {"hue": 0, "saturation": 0.0}}, place="test")
    assert config.augment.hue == 0


def test_learning_rate_goes_with_a_named_optimizer() -> None:
    config = validate(DetectConfig, BASE | {"optimizer": "AdamW", "learning_rate": 0.1}, place="test")
    assert config.learning_rate == 0.1


def test_command_line_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: d\nepochs: 3\n")
    config = from_command_line(
        DetectConfig,
        [str(path), "--epochs", "5", "--augment.mosaic", "0.2", "--device", "0,1", "--no-cosine"],
        prog="train",
        description="",
    )
    assert (config.epochs, config.augment.mosaic, config.device, config.cosine) == (5, 0.2, "0,1", False)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    import yaml

    config = validate(DetectConfig, BASE | {"device": "cpu"}, place="test")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert read_config(DetectConfig, path) == config
