"""Steps of albumentations: which there are, that they stay grey, and that they leave boxes alone."""

import numpy as np
import pytest

from xray_chest_detection.config.detect import AugmentConfig

albumentations = pytest.importorskip("albumentations", reason="albumentations is not installed")
from xray_chest_detection.detect.augment.tones import tone_steps  # noqa: E402

KEYS = {"clahe": "CLAHE", "gamma": "RandomGamma", "noise": "GaussNoise"}


def test_nothing_is_added_by_default() -> None:
    assert tone_steps(AugmentConfig()) == []


@pytest.mark.parametrize(("key", "name"), KEYS.items())
def test_each_key_switches_one_step_on(key: str, name: str) -> None:
    (step,) = tone_steps(AugmentConfig(**{key: 0.3}))
    assert (type(step).__name__, step.p) == (name, 0.3)
    assert isinstance(step, albumentations.ImageOnlyTransform)


@pytest.mark.parametrize("key", KEYS)
def test_radiographs_change_and_stay_grey(key: str) -> None:
    ramp = np.tile(np.arange(0, 256, 2, np.uint8), (128, 1))
    film = np.repeat(ramp[..., None], 3, axis=2)
    (step,) = tone_steps(AugmentConfig(**{key: 1.0}))
    step.set_random_seed(0)
    changed = step(image=film)["image"].astype(int)
    assert 0.5 < np.abs(changed - film).mean() < 40
    assert np.ptp(changed, axis=2).max() <= 1  # CLAHE goes through a colour space and rounds


def test_ultralytics_takes_them_in_place_of_its_own() -> None:
    augment = pytest.importorskip("ultralytics.data.augment", reason="ultralytics is not installed")
    own = augment.Albumentations(transforms=tone_steps(AugmentConfig())).transform.transforms
    assert list(own) == []
    stored = [albumentations.to_dict(step) for step in tone_steps(AugmentConfig(clahe=0.1, noise=0.2))]
    names = [type(step).__name__ for step in augment.Albumentations(transforms=stored).transform.transforms]
    assert names == ["CLAHE", "GaussNoise"]
