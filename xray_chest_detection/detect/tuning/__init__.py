"""Choosing an operating point: objectives, the grid, thresholds per class, nested cross-validation."""
