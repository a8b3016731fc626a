"""Training, tuning, evaluating and exporting detectors (torch, ultralytics)."""

import os

os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # ultralytics would otherwise install packages while it runs
