"""Runnable data preparation steps: `python -m data_prep.<step> CONFIG [--dotted.overrides]`. No logic lives here."""

from xray_chest_detection.cli.dependencies import require
from xray_chest_detection.cli.errors import exit_on_error

with exit_on_error():
    require("cv2", "iterstrat", "pandas", "pandera", "tqdm", command="python -m data_prep")
