import threading

import numpy as np
import pytest

from xray_chest_detection.core.radiograph import Radiograph
from xray_chest_detection.errors import ModelError
from xray_chest_detection.inference import views as views_module
from xray_chest_detection.inference.predict import predict_radiograph
from xray_chest_detection.inference.registry import Registry

RADIOGRAPH = Radiograph(np.zeros((100, 200), np.uint8), "a.png", "PNG")
HEAD = np.array([[32, 32, 16, 16, 0.9, 0.1]]).T


def test_the_answer_has_the_documented_form(tmp_path, make_model):
    make_model(tmp_path, "multi", head=HEAD)
    make_model(tmp_path, "binary", classes=("Finding",))
    answer = predict_radiograph(Registry.load(tmp_path), RADIOGRAPH, models=["binary", "multi"])
    assert answer == {
        "file": "a.png",
        "width": 200,
        "height": 100,
        "models": {
            "binary": [],
            "multi": [{"class": "Cardiomegaly", "score": pytest.approx(0.9), "box": [75.0, 25.0, 125.0, 75.0]}],
        },
    }
    assert list(answer["models"]) == ["binary", "multi"]


def test_conf_replaces_the_thresholds(tmp_path, make_model):
    make_model(tmp_path, "multi", head=HEAD)
    answer = predict_radiograph(Registry.load(tmp_path), RADIOGRAPH, models=["multi"], conf=0.05)
    assert [row["class"] for row in answer["models"]["multi"]] == ["Cardiomegaly", "Effusion"]


def test_models_of_one_size_share_the_scaled_image(tmp_path, make_model, monkeypatch):
    for name, size_px in [("multi", 64), ("binary", 64), ("other", 96)]:
        make_model(tmp_path, name, size_px=size_px)
    sizes = []
    original = views_module.letterbox
    monkeypatch.setattr(views_module, "letterbox", lambda *args: sizes.append(args[1]) or original(*args))
    predict_radiograph(Registry.load(tmp_path), RADIOGRAPH, models=["multi", "other", "binary"])
    assert sizes == [64, 96]


def test_an_unknown_model_is_refused_before_any_work(tmp_path, make_model):
    make_model(tmp_path, "multi")
    with pytest.raises(ModelError, match=r"no model 'two' \(known: multi\)"):
        predict_radiograph(Registry.load(tmp_path), RADIOGRAPH, models=["multi", "two"])


def test_models_run_at_the_same_time_and_answer_as_one_after_another(tmp_path, make_model):
    for place, name in enumerate(("multi", "binary", "other")):
        make_model(tmp_path, name, head=HEAD + np.array([[place, 0, 0, 0, 0, 0]]).T)
    together = Registry.load(tmp_path, at_once=2)
    meeting = threading.Barrier(2, timeout=30)
    assert together.each(lambda name: meeting.wait() >= 0, together.names[:2]) == [True, True]
    names = ["other", "multi", "binary"]
    expected = predict_radiograph(Registry.load(tmp_path), RADIOGRAPH, models=names)
    answer = predict_radiograph(together, RADIOGRAPH, models=names)
    assert answer == expected
    assert list(answer["models"]) == names
