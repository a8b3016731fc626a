"""AUROC against scikit-learn, with image weights and ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xray_chest_detection.core.auroc import auroc, image_scores
from xray_chest_detection.core.matching import BoxTable


@given(seed=st.integers(0, 10**6), n_images=st.integers(2, 40), levels=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_equals_scikit_learn_under_weights_and_ties(seed: int, n_images: int, levels: int) -> None:
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, n_images) / levels
    positive = rng.random(n_images) < 0.5
    positive[:2] = [True, False]
    weights = rng.integers(0, 4, (5, n_images)).astype(float)
    weights[:, :2] = 1
    found = auroc(scores, positive, weights=weights)
    for row, value in zip(weights, found, strict=True):
        assert value == pytest.approx(reference.roc_auc_score(positive, scores, sample_weight=row), abs=1e-12)


def test_undefined_without_images_of_both_kinds() -> None:
    assert np.isnan(auroc(np.array([0.1, 0.2]), np.array([True, True]), weights=np.ones((2, 2)))).all()
    assert np.isnan(auroc(np.zeros(0), np.zeros(0, bool), weights=np.ones((3, 0)))).tolist() == [True] * 3
    with_both = auroc(np.array([0.1, 0.2]), np.array([False, True]), weights=np.array([[1.0, 1], [0, 1]]))
    assert with_both[0] == 1
    assert np.isnan(with_both[1])


def test_an_image_scores_what_its_best_box_scores() -> None:
    table = BoxTable(np.array([2, 0, 2]), np.array([0, 1, 0]), np.array([0.3, 0.5, 0.9]), np.zeros((3, 4)), 3)
    assert image_scores(table, n_classes=2).tolist() == [[0, 0.5], [0, 0], [0.9, 0]]
