import pytest
import yaml

from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.model_card import (
    CurvePoint,
    Metric,
    ModelCard,
    OperatingCurve,
    Thresholds,
    TrainingData,
    check_file,
    read_card,
    write_card,
)
from xray_chest_detection.errors import ModelError


@pytest.fixture
def card(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"model")
    return ModelCard(
        name="m",
        title="Mass/Nodule",
        file="m.onnx",
        sha256=sha256_of(tmp_path / "m.onnx"),
        architecture="YOLOv8n",
        image_size_px=640,
        classes=("Mass/Nodule",),
        thresholds=Thresholds(conf=0.2, iou=0.5, per_class={"Mass/Nodule": 0.3}),
        training_data=TrainingData(
            name="NIH", source="NIH Clinical Center", licence="attribution", counts={"train": 1}
        ),
        metrics=(Metric(name="mAP50", value=0.3, low=0.2, high=0.4), Metric(name="AP50", value=None)),
    )


def test_round_trip(tmp_path, card):
    write_card(tmp_path / "m.card.yaml", card)
    assert read_card(tmp_path / "m.card.yaml") == card
    assert "not a medical device" in (tmp_path / "m.card.yaml").read_text()


def test_round_trip_of_what_the_deployed_model_does_beside_the_network(tmp_path, card):
    points = (
        CurvePoint(
            conf=0.01, sensitivity=0.9, sensitivity_low=0.8, sensitivity_high=1.0, false_positives_per_image=7.5
        ),
        CurvePoint(conf=0.99, sensitivity=None, false_positives_per_image=0.0, precision=None),
    )
    full = ModelCard.model_validate(
        card.model_dump()
        | {
            "flip": True,
            "tiles": {"side": 0.5, "overlap": 0.25},
            "score_maps": {"Mass/Nodule": (0.7, -1.0)},
            "operating_curve": OperatingCurve(
                split="test", n_images=9, n_boxes=4, n_patients=5, iou=0.4, points=points
            ).model_dump(),
            "measured_on": "a twin",
        }
    )
    write_card(tmp_path / "m.card.yaml", full)
    assert read_card(tmp_path / "m.card.yaml") == full
    lines = (tmp_path / "m.card.yaml").read_text().splitlines()
    assert len([line for line in lines if '"conf": ' in line]) == 2  # a line a point


def test_a_card_from_before_these_fields_loads(tmp_path, card):
    """Nothing but the whole film, and the scores of the network."""
    values = card.model_dump(mode="json")
    for name in ("flip", "tiles", "score_maps", "operating_curve", "measured_on"):
        values.pop(name)
    (tmp_path / "m.card.yaml").write_text(yaml.safe_dump(values))
    assert read_card(tmp_path / "m.card.yaml") == card
    assert (card.flip, card.tiles, card.score_maps, card.operating_curve, card.measured_on) == (
        False,
        None,
        {},
        None,
        "",
    )


def test_the_right_file_passes(tmp_path, card):
    check_file(tmp_path / "m.onnx", card)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"x\.card\.yaml: cannot be read \(No such file or directory\); a model needs its card beside it"),
        ("a: [", r"x\.card\.yaml: not a YAML file; export the model again"),
        ("", r"x\.card\.yaml: .*valid .*; export the model again"),
        ("- 1", r"x\.card\.yaml: .*valid .*; export the model again"),
        ("name: m", r"x\.card\.yaml: title: Field required; export the model again"),
        (b"\xff\xfe\x00", r"x\.card\.yaml: not a YAML file; export the model again"),
    ],
)
def test_a_bad_card_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.card.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match=message) as caught:
        read_card(path)
    assert "\n" not in str(caught.value)


def test_a_value_out_of_range_names_its_place(tmp_path, card):
    write_card(tmp_path / "m.card.yaml", card)
    text = (tmp_path / "m.card.yaml").read_text()
    (tmp_path / "m.card.yaml").write_text(text.replace("conf: 0.2", "conf: 20"))
    with pytest.raises(ModelError, match=r"thresholds\.conf: Input should be less than or equal to 1"):
        read_card(tmp_path / "m.card.yaml")


def test_a_missing_or_different_file_is_refused(tmp_path, card):
    with pytest.raises(ModelError, match=r"n\.onnx: no such model file; its card m\.card\.yaml names it"):
        check_file(tmp_path / "n.onnx", card)
    (tmp_path / "m.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"m\.onnx: sha256 [0-9a-f]{12}\.\.\. is not the card's [0-9a-f]{12}"):
        check_file(tmp_path / "m.onnx", card)
