import pytest

from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference.registry import Registry


def test_models_come_in_the_order_of_the_project(tmp_path, make_model):
    for name in ("zebra", "mass_nodule", "binary", "alpha", "multi", "cardiomegaly"):
        make_model(tmp_path, name)
    registry = Registry.load(tmp_path, threads=1)
    assert registry.names == ("multi", "binary", "cardiomegaly", "mass_nodule", "alpha", "zebra")
    assert registry.get("alpha").card.name == "alpha"
    assert registry.errors == {}


def test_a_broken_model_does_not_cost_the_others(tmp_path, make_model):
    make_model(tmp_path, "multi")
    make_model(tmp_path, "binary")
    (tmp_path / "binary.onnx").unlink()
    (tmp_path / "new.card.yaml").write_text("name: new")
    registry = Registry.load(tmp_path)
    assert registry.names == ("multi",)
    assert set(registry.errors) == {"binary", "new"}
    assert all("\n" not in message for message in registry.errors.values())
    with pytest.raises(ModelError, match=r"binary\.onnx: no such model file"):
        registry.get("binary")
    with pytest.raises(ModelError, match=r"^no model 'tertiary' \(known: multi\)$"):
        registry.get("tertiary")


def test_two_models_of_one_name(tmp_path, make_model):
    first = make_model(tmp_path, "multi")
    (tmp_path / "other.card.yaml").write_text(first.read_text())
    registry = Registry.load(tmp_path)
    assert registry.names == ("multi",)
    assert "a second model named 'multi'" in registry.errors["other"]


def test_a_folder_without_models(tmp_path):
    with pytest.raises(ModelError, match=r"no model here \(no \*\.card\.yaml\); export one with `xray export RUN`"):
        Registry.load(tmp_path / "nowhere")


def test_a_folder_with_broken_models_only(tmp_path, make_model):
    make_model(tmp_path, "multi")
    (tmp_path / "multi.onnx").unlink()
    with pytest.raises(ModelError, match=r"none of its 1 models can be used; .*no such model file"):
        Registry.load(tmp_path)
