"""Changes of grey values that keep every pixel where it is, done by albumentations within ultralytics.

Only steps that leave the geometry alone can stand here: moved boxes would lose the weights in the second column of
`cls` (ultralytics 8.4.190 keeps one column of what albumentations moved), and unknown parts would not follow.
"""

import os
from typing import Any

from xray_chest_detection.config.detect import AugmentConfig

NOISE_STD = (0.01, 0.03)  # of the grey range: 3 to 8 of 255 levels; the default of 0.2 to 0.44 drowns the ribs


def tone_steps(config: AugmentConfig) -> list[Any]:
    """The steps that are switched on, for the key `augmentations` of ultralytics.

    An empty list matters, too: without the key ultralytics blurs, equalises and greys one film in a hundred each.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the network for a newer version
    import albumentations

    steps = [
        albumentations.CLAHE(p=config.clahe),
        albumentations.RandomGamma(p=config.gamma),
        albumentations.GaussNoise(std_range=NOISE_STD, per_channel=False, p=config.noise),
    ]
    return [step for step in steps if step.p > 0]
