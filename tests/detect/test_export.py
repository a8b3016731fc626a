"""From a run to a model file and its card, and all formats side by side."""

import json
import resource
import tempfile
from collections import Counter

import numpy as np
import onnx
import pytest

from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import read_card
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect import export as module
from xray_chest_detection.detect.card import card_of_checkpoint
from xray_chest_detection.detect.evaluate import evaluate, show
from xray_chest_detection.detect.export import export
from xray_chest_detection.detect.formats import compare_formats, write_comparison
from xray_chest_detection.detect.parity import Parity
from xray_chest_detection.detect.predict import predict_split
from xray_chest_detection.detect.results import write_evaluation
from xray_chest_detection.detect.runs import Run
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.errors import DataError, ModelError, XrayError
from xray_chest_detection.inference.session import DetectorSession
from xray_chest_detection.report.formats import formats_markdown

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


@pytest.fixture
def lively_run(tuned_run: Run, enliven) -> Run:
    """A run through whose network values pass without fading."""
    enliven(tuned_run.best)
    tune_nms(tuned_run, device="cpu")
    return tuned_run


def test_a_network_that_was_never_trained_has_no_scale(tuned_run: Run, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"the network cannot be written as int8 \(.*\); export it as fp16"):
        export(tuned_run, out=tmp_path, form="int8")


def test_int8_runs_in_both_runtimes_and_says_what_it_costs(lively_run: Run, tmp_path) -> None:
    whole = export(lively_run, out=tmp_path / "a", form="fp32")
    small = export(lively_run, out=tmp_path / "b", form="int8", force=True)
    assert small.size_bytes < 0.6 * whole.size_bytes
    assert small.card.recipe["export"]["format"] == "int8"
    kinds = Counter(node.op_type for node in onnx.load(small.path).graph.node)
    assert kinds["QuantizeLinear"] > 50
    film = read_image(lively_run.config.data / "images" / "val" / "film_016.png").pixels
    exact = DetectorSession(tmp_path / "a" / "tiny.card.yaml").raw(film)
    for runtime in ("onnxruntime", "openvino"):
        found = DetectorSession(tmp_path / "b" / "tiny.card.yaml", runtime=runtime).raw(film)
        assert found.score[0] == pytest.approx(exact.score[0], abs=0.1)
        assert found.score[0] != exact.score[0]


def test_the_detection_head_stays_in_float(lively_run: Run, tmp_path) -> None:
    graph = onnx.load(export(lively_run, out=tmp_path, form="int8", force=True).path).graph
    quantized = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    head = [node for node in convolutions if node.name.startswith("/model.22/")]
    assert len(head) > 10
    assert not any(node.input[1] in quantized for node in head)
    assert all(node.input[1] in quantized for node in convolutions if node not in head)


def test_openvino_model_is_two_files_under_one_card(tuned_run: Run, tmp_path) -> None:
    written = export(tuned_run, out=tmp_path, form="openvino")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".xml", ".bin", ".onnx", ".yaml")) == [
        "tiny.bin",
        "tiny.card.yaml",
        "tiny.xml",
    ]
    card = read_card(tmp_path / "tiny.card.yaml")
    assert (card.file, set(card.companions)) == ("tiny.xml", {"tiny.bin"})
    assert written.size_bytes == sum((tmp_path / name).stat().st_size for name in ("tiny.xml", "tiny.bin"))
    assert not written.parity.differs
    assert str(tmp_path).encode() not in (tmp_path / "tiny.xml").read_bytes()
    film = read_image(tuned_run.config.data / "images" / "val" / "film_016.png").pixels
    assert len(DetectorSession(tmp_path / "tiny.card.yaml").raw(film)) > 0


def test_a_model_that_changed_is_refused_unless_forced(tuned_run: Run, tmp_path, monkeypatch) -> None:
    worse = Parity(5, 3, 1, 9.0, 0.4, 0.5, 0.4)
    monkeypatch.setattr(module, "compare", lambda *_, **__: worse)
    with pytest.raises(ModelError, match=r"as fp16 mAP50 on val goes from 0.500 to 0.400, more than 0.01; .*--force"):
        export(tuned_run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export(tuned_run, out=tmp_path / "out", force=True)
    assert (tmp_path / "out" / "tiny.onnx").is_file()


@pytest.mark.parametrize(("change", "differs"), [(0.0100, False), (0.0101, True), (-0.0101, True), (-0.0099, False)])
def test_a_change_counts_up_and_down(change: float, differs: bool) -> None:
    assert Parity(5, 3, 1, 9.0, 0.4, 0.0, change).differs is differs


def test_validation_without_boxes_compares_nothing(tuned_run: Run, tmp_path) -> None:
    for path in (tuned_run.config.data / "labels" / "val").iterdir():
        path.write_text("")
    with pytest.raises(DataError, match=r"the split 'val' has no boxes, which the comparison of an export"):
        export(tuned_run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_empty_validation_split(tuned_run: Run, tmp_path) -> None:
    index = tuned_run.config.data / "index.csv"
    index.write_text("".join(line for line in index.read_text().splitlines(keepends=True) if ",val," not in line))
    with pytest.raises(DataError, match=r"index\.csv: the split 'val' has no images; build the data set again"):
        export(tuned_run, out=tmp_path / "out")


def test_weights_of_other_classes(tuned_run: Run, make_weights, tmp_path) -> None:
    make_weights(tuned_run.best, classes=("Heart",))
    with pytest.raises(ModelError, match=r"best\.pt: trained on 1 classes \(Heart\), the data set has 2 \(Disc, Bar\)"):
        export(tuned_run, out=tmp_path / "out")


@pytest.mark.parametrize("form", ["fp32", "openvino"])
def test_a_full_disk_leaves_nothing_behind(tuned_run: Run, tmp_path, monkeypatch, form: str) -> None:
    """A limit on the size of files stands in for the end of the disk: both end a write with an error."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    predict_split(tuned_run, read_labelled_split(tuned_run.config.data, "val"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(XrayError, match=r"scratch|cannot be exported") as caught:
            export(tuned_run, out=tmp_path / "out", form=form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_formats_side_by_side(tuned_run: Run) -> None:
    comparison = compare_formats(tuned_run, ("fp16", "openvino"), timed_runs=3)
    rows = {(row.form, row.runtime): row for row in comparison.rows}
    assert list(rows) == [
        ("torch", "torch"),
        ("fp16", "onnxruntime"),
        ("fp16", "openvino"),
        ("fp16", "openvino-fast"),
        ("openvino", "openvino"),
        ("openvino", "openvino-fast"),
    ]
    assert all(set(row.latency_ms) == {1, 2} and min(row.latency_ms.values()) > 0 for row in comparison.rows)
    assert (comparison.n_images, comparison.n_boxes) == (5, 4)
    ours, theirs = rows["fp16", "onnxruntime"].parity, rows["fp16", "openvino"].parity
    assert ours is not None
    assert theirs is not None
    assert ours.map50_exported == pytest.approx(theirs.map50_exported, abs=1e-3)
    assert ours.largest_score == pytest.approx(theirs.largest_score, abs=1e-3)
    markdown = formats_markdown(comparison)
    paths = write_comparison(tuned_run, comparison, markdown)
    assert [path.name for path in paths] == ["formats.json", "formats.md"]
    written = json.loads(paths[0].read_text())["rows"]
    assert [(row["form"], row["runtime"]) for row in written] == list(rows)
    assert written[1]["kept"] is not ours.differs
    assert written[1]["map50_change"] == pytest.approx(ours.map50_exported - ours.map50_torch)
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 8
    assert lines[3].startswith("| fp16 | onnxruntime | 6.")
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_card_of_a_run_before_its_export(tuned_run: Run, make_weights) -> None:
    card = card_of_checkpoint(tuned_run)
    assert (card.file, card.classes, card.architecture) == ("best.pt", ("Disc", "Bar"), "YOLOv8n")
    assert "export" not in card.recipe
    assert "one reader for each image" in card.training_data.readers
    make_weights(tuned_run.best, classes=("Heart",))
    with pytest.raises(ModelError, match=r"chosen for other weights than .*best\.pt; run `xray tune-nms"):
        card_of_checkpoint(tuned_run)


def test_export_needs_thresholds(random_run: Run, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"no thresholds chosen yet"):
        export(random_run, out=tmp_path / "out")
