"""The mean of the weights before and after training."""

from pathlib import Path

import pytest

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import FILE_NAME, read_manifest
from xray_chest_detection.detect.runs import open_run
from xray_chest_detection.errors import ConfigError, ModelError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.blend import write_blend  # noqa: E402
from xray_chest_detection.detect.predict import read_checkpoint  # noqa: E402
from xray_chest_detection.detect.train import resume, train  # noqa: E402

BODY, LAST = "model.0.conv.weight", "model.22.cv3.1.2.bias"


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(read_checkpoint(path).state_dict())


@pytest.fixture
def before(tmp_path, make_weights) -> Path:
    """Weights that know Ring and Disc, in another order than the trained model, and not Bar."""
    path = tmp_path / "before.pt"
    make_weights(path, classes=("Ring", "Disc"))
    content = torch.load(path, weights_only=False)
    state = content["model"].state_dict()
    state[BODY] += 1
    state[LAST][:] = torch.tensor([5.0, 7.0])
    content["model"].load_state_dict(state)
    torch.save(content, path)
    return path


def test_layers_are_averaged_and_rows_of_classes_by_their_names(tmp_path, before: Path, make_weights) -> None:
    make_weights(tmp_path / "after.pt", classes=("Disc", "Bar"))
    write_blend(tmp_path / "after.pt", before, tmp_path / "blend.pt", start_share=0.25)
    after, blend = weights(tmp_path / "after.pt"), weights(tmp_path / "blend.pt")
    torch.testing.assert_close(blend[BODY], after[BODY] + 0.25)
    assert after[LAST].tolist() == [-1.5, -1.5]
    assert blend[LAST].tolist() == [0.75 * -1.5 + 0.25 * 7, -1.5]
    assert read_checkpoint(tmp_path / "blend.pt").names == {0: "Disc", 1: "Bar"}


def test_another_architecture(tmp_path, before: Path, make_weights) -> None:
    make_weights(tmp_path / "wide.pt", classes=tuple(f"class {number}" for number in range(90)))
    with pytest.raises(ModelError, match=r"before.pt: another architecture than .*wide.pt.*set start_share to 0"):
        write_blend(tmp_path / "wide.pt", before, tmp_path / "blend.pt", start_share=0.5)
    assert not (tmp_path / "blend.pt").exists()


def test_random_weights_are_no_start_to_keep(tmp_path, dataset, make_config) -> None:
    config = make_config(tmp_path, dataset, start_share=0.5)
    with pytest.raises(ConfigError, match=r"start_share: 0.5 of random weights; set it to 0, or give --weights"):
        train(config)
    assert not (config.runs / config.name).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_that_keeps_half_of_its_start(tmp_path, dataset, before: Path, make_config) -> None:
    run = train(make_config(tmp_path, dataset, epochs=1, weights=str(before), start_share=0.5))
    assert run.weights.name == "blend.pt"
    assert read_manifest(run.folder).outputs == {"weights/blend.pt": sha256_of(run.weights)}
    start, after, blend = weights(before), weights(run.best), weights(run.weights)
    torch.testing.assert_close(blend[BODY], (start[BODY] + after[BODY]) / 2, atol=2e-3, rtol=0)  # kept as float16
    assert not torch.equal(start[BODY], after[BODY])
    digest = sha256_of(run.weights)
    (run.folder / FILE_NAME).unlink()  # cut just before the end
    run.weights.unlink()
    assert sha256_of(resume(run.folder).weights) == digest
    (run.folder / FILE_NAME).unlink()
    before.write_bytes(run.best.read_bytes())
    with pytest.raises(ModelError, match=r"before.pt: not the weights .*tiny began with; put them back, then `python"):
        resume(run.folder)
    assert not open_run(run.folder).finished
