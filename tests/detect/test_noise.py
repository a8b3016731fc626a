"""What of ultralytics reaches the terminal."""

import logging

import pytest

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.noise import progress_only, quiet


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    from ultralytics.utils import LOGGER

    for line in (
        "engine/trainer: agnostic_nms=False",
        "  0   -1  1  464  ultralytics.nn.modules.Conv",
        "Epoch  GPU_mem",
    ):
        LOGGER.info(line)
    LOGGER.warning("corrupt JPEG restored and saved")
    return [record.getMessage() for record in caplog.records]


def test_progress_and_warnings_stay(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ultralytics"), progress_only():
        first, second = shown(caplog)
    assert first == "Epoch  GPU_mem"
    assert second.endswith("corrupt JPEG restored and saved")


def test_ultralytics_does_not_announce_the_smaller_batch_that_the_training_announces(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from ultralytics.utils import LOGGER

    with caplog.at_level(logging.INFO, logger="ultralytics"), progress_only():
        LOGGER.warning("out of memory with batch=64. Reducing to batch=32")
    assert caplog.records == []


def test_quiet_is_quiet_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ultralytics"):
        with quiet():
            assert shown(caplog) == []
        assert len(shown(caplog)) == 4
