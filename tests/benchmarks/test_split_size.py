"""What a smaller test split would have said: patients stay whole, and each part is measured by itself."""

import numpy as np
import pytest

from xray_chest_detection.core.detections import Detections
from xray_chest_detection.core.matching import BoxTable
from xray_chest_detection.core.model_card import Thresholds
from xray_chest_detection.data.yolo_read import LabelledSplit

pytest.importorskip("torch", reason="torch is not installed")
from benchmarks.split_size import SPLITS, deal, main, row
from xray_chest_detection.detect.out_of_fold import OutOfFold, write_out_of_fold
from xray_chest_detection.detect.predict import Candidates

PATIENTS = ("a", "a", "b", "b", "c", "c", "d", "d")


@pytest.fixture
def predictions() -> OutOfFold:
    """A box on each of eight films; on those of a and b it is found, on those of c and d something else."""
    names = tuple(f"film_{number}" for number in range(len(PATIENTS)))
    box, elsewhere = np.array([[10, 10, 30, 30]], np.float32), np.array([[60, 60, 80, 80]], np.float32)
    one, none = np.ones(1, np.float32), np.zeros(1, np.int64)
    truth = BoxTable.from_detections([Detections(box, one, none, 100, 100)] * len(names))
    found = [Detections(box if patient in "ab" else elsewhere, one * 0.5, none, 100, 100) for patient in PATIENTS]
    known = np.zeros((len(names), 1), np.bool_)
    split = LabelledSplit("out of fold", ("Disc",), names, PATIENTS, (), ((100, 100),) * len(names), truth, known)
    fold = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    return OutOfFold(split, Candidates(names, tuple(found)), fold, (Thresholds(conf=0.3, iou=0.5),) * 2, known)


@pytest.mark.parametrize("parts", [1, 2, 3, 30])
def test_a_patient_is_whole_and_in_one_part_of_each_deal(parts: int) -> None:
    weights = deal(PATIENTS, parts, np.random.default_rng(0))
    deals = len(weights) // parts
    assert len(weights) == deals * parts
    assert deals == 1 if parts == 1 else (deals - 1) * parts < SPLITS <= deals * parts
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.reshape(deals, parts, -1).sum(axis=1) == 1).all()


def test_each_part_is_measured_by_itself(predictions: OutOfFold) -> None:
    halves = np.repeat(np.eye(2), 4, axis=1)
    assert row(predictions, halves) | {"mean AUROC": ""} == {
        **{"images": "4", "boxes": "4", "parts": 2, "mean AUROC": ""},
        **{"mAP50": "0.500 (sd 0.500)", "mAP40": "0.500 (sd 0.500)"},
        "sensitivity at 1 false positives per image, IoU 0.4": "0.500 (sd 0.500)",
    }


def test_prints_a_row_per_number_of_parts(predictions: OutOfFold, tmp_path, capsys) -> None:
    write_out_of_fold(tmp_path, predictions)
    main([str(tmp_path), "--parts", "1", "4"])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in shown] == [["images", "boxes", "parts"], ["8", "8", "1"], ["2", "2", "20"]]
