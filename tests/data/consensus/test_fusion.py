"""Weighted boxes fusion against ensemble-boxes, which is called image by image."""

import numpy as np
import pytest
from ensemble_boxes import weighted_boxes_fusion as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.consensus.conftest import random_readings
from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.consensus import merge
from xray_chest_detection.data.consensus.fusion import fuse
from xray_chest_detection.data.readings import Readings

# A power of two: dividing by it changes no digit, so that both see the same overlaps.
SCALE_PX = 4096.0


@settings(max_examples=150, deadline=None)
@given(random_readings(), st.sampled_from((0.1, 0.25, 0.4, 0.5, 0.55, 0.75)))
def test_equal_to_ensemble_boxes_on_random_boxes(readings, iou):
    assert_equal_to_reference(readings, iou)


@pytest.mark.parametrize("iou", [0.4, 0.55])
def test_equal_to_ensemble_boxes_on_the_real_table(real_readings, iou):
    assert len(real_readings) == 36_096
    assert_equal_to_reference(real_readings, iou)


def test_consensus_has_the_fused_boxes_and_the_readers_who_drew_them(real_readings):
    label, fused = fuse(real_readings, 0.4)
    consensus = merge(real_readings, ConsensusConfig(rule="wbf", iou=0.4))
    used = np.unique(label)
    assert len(consensus) == len(used)
    rows = np.lexsort(consensus.xyxy.T)
    assert np.array_equal(consensus.xyxy[rows], fused[used][np.lexsort(fused[used].T)])
    assert consensus.votes.sum() <= len(real_readings)


def assert_equal_to_reference(readings: Readings, iou: float) -> None:
    """Labels, scores and boxes of every image are those of ensemble-boxes, to the last bit."""
    label, fused = fuse(readings, iou)
    start = np.searchsorted(readings.image, np.arange(len(readings.images) + 1))
    for image in np.unique(readings.image):
        rows = np.arange(start[image], start[image + 1])
        readers = np.flatnonzero(readings.read[image])
        lists = [rows[readings.reader[rows] == reader] for reader in readers]
        boxes, scores, labels = reference(
            [(readings.xyxy[part] / SCALE_PX).tolist() for part in lists],
            [[1.0] * len(part) for part in lists],
            [readings.class_id[part].tolist() for part in lists],
            iou_thr=iou,
            skip_box_thr=0.0,
        )
        number, first, count = np.unique(label[rows], return_index=True, return_counts=True)
        score = np.minimum(count, len(readers)) / len(readers)
        mine = np.column_stack([readings.class_id[rows[first]], score, fused[number]])
        theirs = np.column_stack([labels, scores, boxes * SCALE_PX])
        assert np.array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)])
