"""Choosing finding-free images as background."""

import numpy as np
import pandas as pd


def choose_background(healthy: pd.DataFrame, count: int, *, seed: int) -> pd.DataFrame:
    """Pick up to `count` rows of finding-free images: one per patient first, then a second one each, and so on.

    Args:
        healthy: Image rows with at least `image_id` and `patient_id`.
        count: Number of rows wanted; all rows when fewer exist.
        seed: Equal seeds and equal sets of rows give equal choices, whatever the order of the rows.

    Returns:
        The chosen rows, sorted by image_id.
    """
    ordered = healthy.sort_values("image_id")
    shuffled = ordered.iloc[np.random.default_rng(seed).permutation(len(ordered))]
    turn = shuffled.groupby("patient_id").cumcount()
    chosen = shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")[:count]]
    return chosen.sort_values("image_id")
