"""Score maps of a run, fitted on the boxes of its validation split."""

from xray_chest_detection.core import matching
from xray_chest_detection.core.fusion import VIEW_IOU
from xray_chest_detection.core.scene import LOW_IOU, known_boxes
from xray_chest_detection.core.score_maps import ScoreMap, fit_score_maps
from xray_chest_detection.data.yolo_read import LabelledSplit
from xray_chest_detection.detect.predict import Candidates
from xray_chest_detection.inference.decode import FLOOR


def fit_on(candidates: Candidates, split: LabelledSplit) -> dict[str, ScoreMap]:
    """Lines that make scores shares of right boxes on a split.

    A box is right when it takes a true box of its class at IoU 0.4, as in the FROC. Boxes are those left after
    suppression at IoU 0.5, which thresholds of any overlap can then be chosen for; boxes of classes that nobody looked
    for on an image are left out.
    """
    found = known_boxes(candidates.table(conf=FLOOR, iou=VIEW_IOU, agnostic=False), split.unknown)
    truth = known_boxes(split.truth, split.unknown)
    matches = matching.match_classes(truth, found, n_classes=len(split.classes), ious=(LOW_IOU,))
    return fit_score_maps(matches, split.classes)
