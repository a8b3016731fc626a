"""From a run to ONNX and card."""

import numpy as np
import pytest

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import read_card
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect import export as module
from xray_chest_detection.detect.evaluate import evaluate, show
from xray_chest_detection.detect.export import Parity, export
from xray_chest_detection.detect.predict import predict_split
from xray_chest_detection.detect.results import write_evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.session import DetectorSession

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def tuned_run(random_run: Run) -> Run:
    tune_nms(random_run, device="cpu")
    return random_run


def test_published_numbers_describe_the_deployed_program(tuned_run: Run, tmp_path) -> None:
    """What `evaluate` counts on the torch model is what the exported model shows."""
    written = export(tuned_run, out=tmp_path / "out", form="fp32")
    session = DetectorSession(tmp_path / "out" / "tiny.card.yaml")
    split = read_labelled_split(tuned_run.config.data, "test")
    expected = show(predict_split(tuned_run, split), written.card.thresholds, split.classes)
    for path, found in zip(split.files, expected, strict=True):
        shown = session.detect(read_image(path).pixels)
        assert len(shown) == len(found)
        np.testing.assert_allclose(shown.xyxy, found.xyxy, atol=0.05)
        np.testing.assert_allclose(shown.score, found.score, atol=1e-3)
    assert abs(written.parity.map50_change) < 1e-6


def test_half_precision_halves_the_file(tuned_run: Run, tmp_path) -> None:
    whole = export(tuned_run, out=tmp_path / "a", form="fp32")
    half = export(tuned_run, out=tmp_path / "b", form="fp16")
    assert half.size_bytes < 0.55 * whole.size_bytes
    assert not half.parity.differs
    assert half.card.recipe["export"]["format"] == "fp16"


def test_card_tells_data_metrics_and_limits(tuned_run: Run, tmp_path) -> None:
    result = evaluate(tuned_run, "test", resamples=20, device="cpu")
    write_evaluation(tuned_run, result, "")
    export(tuned_run, out=tmp_path / "out", name="other")
    card = read_card(tmp_path / "out" / "other.card.yaml")
    assert (card.name, card.file, card.licence, card.architecture) == (
        "other",
        "other.onnx",
        "AGPL-3.0-only",
        "YOLOv8n",
    )
    assert "ChestX-ray14" in card.training_data.name
    assert "Wang et al. 2017" in card.training_data.licence
    assert card.training_data.split_sha256 == "ab" * 32
    assert {"mAP50", "AP50 Disc", "recall at the operating point"} <= {metric.name for metric in card.metrics}
    assert any("wrong boxes per film" in sentence for sentence in card.limits)
    assert str(tmp_path) not in (tmp_path / "out" / "other.card.yaml").read_text()
    assert str(tmp_path).encode() not in (tmp_path / "out" / "other.onnx").read_bytes()


def test_a_model_that_changed_is_refused_unless_forced(tuned_run: Run, tmp_path, monkeypatch) -> None:
    worse = Parity(5, 3, 1, 9.0, 0.4, 0.5, 0.4)
    monkeypatch.setattr(module, "compare", lambda *_, **__: worse)
    with pytest.raises(ModelError, match=r"mAP50 on val goes from 0.500 to 0.400, more than 0.01; .*--force"):
        export(tuned_run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(tuned_run, out=tmp_path / "out", force=True)
    assert (tmp_path / "out" / "tiny.onnx").is_file()


def test_export_needs_thresholds(random_run: Run, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"no thresholds chosen yet"):
        export(random_run, out=tmp_path / "out")
