"""One set of boxes out of several readers': five rules behind one function."""

from xray_chest_detection.config.consensus import ConsensusConfig
from xray_chest_detection.data.consensus.em import ReaderModel, fit_readers, weigh_readers
from xray_chest_detection.data.consensus.fusion import weighted_boxes_fusion
from xray_chest_detection.data.consensus.rules import most_frequent_reader, quorum, union
from xray_chest_detection.data.readings import Consensus, Readings

__all__ = ["ReaderModel", "fit_readers", "merge"]

# Agreements are quotients: two thirds must reach a threshold written as 0.6666667.
_SLACK = 1e-6


def merge(readings: Readings, config: ConsensusConfig) -> Consensus:
    """The consensus of several readers by the rule of the configuration.

    No boxes give an empty consensus.
    """
    match config.rule:
        case "most_frequent_reader":
            consensus = most_frequent_reader(readings, config.iou)
        case "union":
            consensus = union(readings, config.iou)
        case "wbf":
            consensus = weighted_boxes_fusion(readings, config.iou)
        case "quorum":
            consensus = quorum(readings, config.iou, config.quorum)
        case "em":
            consensus = weigh_readers(readings, config.iou, config.min_probability)
    return consensus.select(consensus.agreement >= config.min_agreement - _SLACK)
