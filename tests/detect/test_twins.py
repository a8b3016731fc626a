"""Weights trained on all films under a card measured on a twin."""

from dataclasses import replace

import pytest
import yaml

from xray_chest_detection.core.model_card import read_card
from xray_chest_detection.detect.card import TWIN
from xray_chest_detection.detect.evaluate import evaluate
from xray_chest_detection.detect.export import export
from xray_chest_detection.detect.results import write_evaluation
from xray_chest_detection.detect.runs import Run, create_run
from xray_chest_detection.detect.tune_nms import tune_nms
from xray_chest_detection.detect.twins import require_twin
from xray_chest_detection.errors import ModelError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def twin(tmp_path, dataset, make_config, make_weights) -> Run:
    """The run on all films: other data, name and starting weights, the same recipe."""
    run = create_run(make_config(tmp_path, dataset, name="all", weights="yolov8s.yaml", device=None))
    make_weights(run.best)
    return run


@pytest.fixture
def measured(random_run: Run) -> Run:
    tune_nms(random_run, device="cpu")
    write_evaluation(random_run, evaluate(random_run, "test", resamples=20, device="cpu"), "")
    return random_run


@pytest.mark.slow
def test_weights_of_one_and_numbers_of_the_other(twin: Run, measured: Run, tmp_path) -> None:
    """Exports a model; the run on all films has neither thresholds nor an evaluation of its own."""
    export(twin, out=tmp_path / "out", measured_by=measured)
    export(measured, out=tmp_path / "out")
    card, other = (read_card(tmp_path / "out" / f"{name}.card.yaml") for name in ("all", "tiny"))
    assert card.measured_on == TWIN
    assert other.measured_on == ""
    assert TWIN in card.limits[0]
    assert card.metrics == other.metrics
    assert [metric.name for metric in card.metrics[:5]] == ["mAP50", "mAP40", "mAP50-95", "AP50 Disc", "AP50 Bar"]
    assert len(card.metrics) == 17
    assert (card.thresholds, card.operating_curve) == (other.thresholds, other.operating_curve)
    assert card.recipe["weights"] == "yolov8s.yaml"


def test_a_twin_is_accepted(twin: Run, measured: Run) -> None:
    require_twin(twin, measured)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 3}, r"all: no twin of .*tiny: epochs is 3 here and 2 there; train both by one recipe"),
        ({"augment": {"mosaic": 0.5}}, r"no twin of .*: augment\.mosaic is 0\.5 here and 0\.0 there"),
        ({"flip_views": True}, r"no twin of .*: flip_views is True here and False there"),
        ({"tiles": {"side": 0.5}}, r"no twin of .*: tiles is \{.*\} here and None there"),
    ],
)
def test_another_recipe_is_refused(twin: Run, measured: Run, make_config, tmp_path, change, message) -> None:
    other = replace(twin, config=make_config(tmp_path, twin.config.data, name="all", **change))
    with pytest.raises(ModelError, match=message) as caught:
        require_twin(other, measured)
    assert "\n" not in str(caught.value)


def test_other_classes_are_refused(twin: Run, measured: Run, make_dataset, tmp_path) -> None:
    data = make_dataset(tmp_path / "hearts", classes=("Heart", "Bar"))
    other = replace(twin, config=twin.config.model_copy(update={"data": data}))
    with pytest.raises(ModelError, match=r"its classes are Heart, Bar, not Disc, Bar; build both data sets from one"):
        require_twin(other, measured)


def test_a_twin_that_was_not_measured_is_refused(twin: Run, random_run: Run) -> None:
    with pytest.raises(ModelError, match=r"tiny: was not measured with its present .*; run `xray evaluate .*tiny` fi"):
        require_twin(twin, random_run)
    tune_nms(random_run, device="cpu")
    result = evaluate(random_run, "test", resamples=0, device="cpu")
    write_evaluation(random_run, result, "")
    path = random_run.folder / "thresholds.yaml"
    content = yaml.safe_load(path.read_text())
    content["thresholds"]["conf"] = 0.111
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ModelError, match=r"was not measured with its present weights and thresholds"):
        require_twin(twin, random_run)


def test_a_run_is_no_twin_of_itself(measured: Run) -> None:
    with pytest.raises(ModelError, match=r"tiny: is no twin of itself; leave --measured-by out"):
        require_twin(measured, measured)
