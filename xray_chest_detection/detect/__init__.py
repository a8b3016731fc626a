"""Training, tuning, evaluating and exporting detectors (torch, ultralytics)."""
