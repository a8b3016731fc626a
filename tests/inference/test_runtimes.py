"""The same model in each runtime: the same boxes, the same messages."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.model_card import read_card, write_card
from xray_chest_detection.errors import ConfigError, ModelError
from xray_chest_detection.inference.network import RUNTIMES
from xray_chest_detection.inference.session import DetectorSession

pytest.importorskip("openvino", reason="openvino is not installed")
ROOT = Path(__file__).parents[2]
NAMES = ("multi", "binary", "cardiomegaly", "mass_nodule")
PIXELS = np.full((100, 200), 128, np.uint8)


def head(*rows):
    return np.array(rows, np.float32).T


@pytest.fixture
def ir_card(tmp_path, make_model):
    """A model in OpenVINO's own format."""
    from xray_chest_detection.inference.openvino_runtime import write_ir

    path = make_model(tmp_path, "m", head=head([32, 32, 16, 16, 0.9, 0.0]))
    write_ir(tmp_path / "m.onnx", tmp_path / "m.xml")
    (tmp_path / "m.onnx").unlink()
    found = {"file": "m.xml", "sha256": sha256_of(tmp_path / "m.xml")}
    write_card(
        path, read_card(path).model_copy(update=found | {"companions": {"m.bin": sha256_of(tmp_path / "m.bin")}})
    )
    return path


@pytest.mark.parametrize("name", NAMES)
def test_runtimes_find_the_same_boxes(name: str) -> None:
    film = read_image(ROOT / "images_for_inference" / "synthetic_cardiomegaly.png").pixels
    card = ROOT / "checkpoints" / f"{name}.card.yaml"
    ours, theirs = (DetectorSession(card, runtime=runtime).detect(film, conf=0.001) for runtime in RUNTIMES[:2])
    assert len(ours) > 0
    np.testing.assert_array_equal(theirs.class_id, ours.class_id)
    np.testing.assert_allclose(theirs.xyxy, ours.xyxy, atol=0.02)
    np.testing.assert_allclose(theirs.score, ours.score, atol=1e-4)


def test_the_fast_runtime_is_close(tmp_path, make_model) -> None:
    card = ROOT / "checkpoints" / "cardiomegaly.card.yaml"
    film = read_image(ROOT / "images_for_inference" / "synthetic_cardiomegaly.png").pixels
    exact, fast = (DetectorSession(card, runtime=runtime).detect(film, conf=0.01) for runtime in RUNTIMES[::2])
    assert len(fast) == len(exact) > 0
    np.testing.assert_allclose(fast.score, exact.score, atol=0.05)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("shape", [None, ("batch", 3, "height", "width")])
def test_openvino_reads_half_inputs_and_free_sizes(tmp_path, make_model, half, shape) -> None:
    model = make_model(tmp_path, head=head([32, 32, 16, 16, 0.5, 0.0]), half=half, input_shape=shape, follow_input=True)
    ours, theirs = (DetectorSession(model, runtime=runtime, threads=1).detect(PIXELS) for runtime in RUNTIMES[:2])
    np.testing.assert_allclose(theirs.xyxy, ours.xyxy, atol=1e-3)
    np.testing.assert_allclose(theirs.score, ours.score, atol=2e-3)


def test_openvino_serves_several_threads_at_once(tmp_path, make_model) -> None:
    session = DetectorSession(
        make_model(tmp_path, head=head([32, 32, 16, 16, 0.1, 0.0]), follow_input=True), runtime="openvino"
    )
    shades = np.linspace(0, 200, 8).astype(np.uint8)
    expected = [session.raw(np.full((64, 64), shade, np.uint8)).score[0] for shade in shades]
    found: dict[int, set[float]] = {}

    def ask(number: int) -> None:
        film = np.full((64, 64), shades[number], np.uint8)
        found[number] = {float(session.raw(film).score[0]) for _ in range(30)}

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {float(score)} for number, score in enumerate(expected)}


def test_a_model_of_openvino_needs_no_word_on_the_runtime(ir_card) -> None:
    assert DetectorSession(ir_card).detect(PIXELS).score[0] == pytest.approx(0.9, abs=1e-3)
    with pytest.raises(ModelError, match=r"m\.xml: onnxruntime reads ONNX only; choose the runtime openvino"):
        DetectorSession(ir_card, runtime="onnxruntime")


def test_weights_beside_a_model_of_openvino_are_checked_too(ir_card) -> None:
    weights = ir_card.with_name("m.bin")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelError, match=r"m\.bin: sha256 .* is not the card's"):
        DetectorSession(ir_card)
    weights.unlink()
    with pytest.raises(ModelError, match=r"m\.bin: no such model file; its card m\.card\.yaml names it"):
        DetectorSession(ir_card)


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_openvino_refuses_damaged_files_in_one_line(tmp_path, make_model, runtime) -> None:
    card = make_model(tmp_path, "m")
    (tmp_path / "m.onnx").write_bytes(b"not onnx")
    write_card(card, read_card(card).model_copy(update={"sha256": sha256_of(tmp_path / "m.onnx")}))
    with pytest.raises(ModelError, match=r"m\.onnx: cannot be opened by OpenVINO \(.*\); fetch or export") as caught:
        DetectorSession(card, runtime=runtime)
    assert "\n" not in str(caught.value)


def test_openvino_refuses_a_model_that_does_not_fit_its_card(tmp_path, make_model) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx: takes f32 \[1, 3, 32, 32\], but its card says float \(1, 3, 64"):
        DetectorSession(make_model(tmp_path, "m", input_shape=(1, 3, 32, 32)), runtime="openvino")


def test_unknown_runtime(tmp_path, make_model) -> None:
    with pytest.raises(
        ConfigError, match=r"runtime: 'tensorrt' is not known \(known: onnxruntime, openvino, openvino-"
    ):
        DetectorSession(make_model(tmp_path), runtime="tensorrt")


def test_a_child_may_end_after_two_networks_of_openvino_are_gone() -> None:
    """Two runtimes closed in the order they were opened would leave a freed stack for signals behind."""
    model = ROOT / "checkpoints" / "multi.onnx"
    code = (
        "import gc, signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from xray_chest_detection.inference.openvino_runtime import open_openvino\n"
        "signal.signal(signal.SIGCHLD, lambda *_: None)\n"
        f"first, second = (open_openvino(Path({str(model)!r}), threads=1, fast=fast) for fast in (False, True))\n"
        "del first\ngc.collect()\ndel second\ngc.collect()\n"
        "subprocess.run([sys.executable, '-c', ''], check=True)\n"
    )
    assert subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], check=False).returncode == 0
