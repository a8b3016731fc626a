"""Several networks as one model: in torch, in ONNX, and trained one after the other."""

from pathlib import Path

import numpy as np
import pytest

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.images import read_image
from xray_chest_detection.core.manifest import FILE_NAME, read_manifest
from xray_chest_detection.data.yolo_read import read_labelled_split
from xray_chest_detection.detect.runs import Run, create_run, open_run
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.session import DetectorSession

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.ensemble import write_ensemble
from xray_chest_detection.detect.predict import head_of, load_model, predict_split
from xray_chest_detection.detect.train import resume, train
from xray_chest_detection.detect.tune_nms import tune_nms

CLASSES = ("Disc", "Bar")


@pytest.fixture
def members(tmp_path, make_weights, enliven) -> list[Path]:
    """Two networks of random values."""
    paths = [tmp_path / f"{seed}.pt" for seed in range(2)]
    for seed, path in enumerate(paths):
        make_weights(path, classes=CLASSES)
        enliven(path, seed=seed)
    return paths


@pytest.fixture
def ensemble(tmp_path, dataset, members: list[Path], make_config) -> Run:
    run = create_run(make_config(tmp_path, dataset, networks=2))
    write_ensemble(members, run.weights)
    return run


def test_the_answer_is_the_mean_of_the_answers(ensemble: Run, members: list[Path]) -> None:
    film = [np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)]
    one, other = (head_of(load_model(path, classes=CLASSES, device="cpu"), film) for path in members)
    mean = head_of(load_model(ensemble.weights, classes=CLASSES, device="cpu"), film)
    assert not np.allclose(one, other)
    np.testing.assert_allclose(mean, (one + other) / 2, rtol=1e-5, atol=1e-6)


def test_is_no_start_of_a_training(tmp_path, dataset, ensemble: Run, make_config) -> None:
    config = make_config(tmp_path, dataset, name="further", weights=str(ensemble.weights))
    with pytest.raises(ModelError, match=r"ensemble.pt: several networks, of which one has to start; give .*/last.pt"):
        train(config)
    assert not (config.runs / "further").exists()


def test_other_classes_are_refused(ensemble: Run) -> None:
    with pytest.raises(ModelError, match=r"ensemble.pt: trained on 2 classes \(Disc, Bar\), the data set has 1"):
        load_model(ensemble.weights, classes=("Disc",), device="cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["fp32", "fp16", "int8"])
def test_one_file_shows_what_the_ensemble_shows(ensemble: Run, tmp_path, form: str) -> None:
    export = pytest.importorskip("xray_chest_detection.detect.export", reason="onnx is not installed").export
    tune_nms(ensemble, device="cpu")
    written = export(ensemble, out=tmp_path / "out", form=form, force=True)
    assert written.card.architecture == "mean of 2 YOLOv8n"
    split = read_labelled_split(ensemble.config.data, "test")
    expected = predict_split(ensemble, split)
    session = DetectorSession(tmp_path / "out" / "tiny.card.yaml")
    shown = [session.raw(read_image(path).pixels) for path in split.files]
    best = [(found.score[0], other.score[0]) for found, other in zip(shown, expected.per_image, strict=True)]
    np.testing.assert_allclose(*np.transpose(best), atol={"fp32": 1e-4, "fp16": 1e-2, "int8": 0.1}[form])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_networks_are_trained_one_after_the_other_and_what_is_done_is_kept(tmp_path, dataset, make_config) -> None:
    run = train(make_config(tmp_path, dataset, epochs=1, networks=2, seed=5))
    further = open_run(run.folder / "networks" / "1")
    assert (further.config.seed, further.config.networks, further.finished) == (6, 1, True)
    assert read_manifest(run.folder).outputs == {"weights/ensemble.pt": sha256_of(run.weights)}
    digest, trained = sha256_of(run.weights), sha256_of(further.weights)
    for path in (run.folder / FILE_NAME, run.weights):  # cut just before the end
        path.unlink()
    assert sha256_of(resume(run.folder).weights) == digest
    for path in (run.folder / FILE_NAME, further.folder / FILE_NAME):  # cut before the second network was complete
        path.unlink()
    assert resume(run.folder).finished
    assert sha256_of(further.weights) == trained
