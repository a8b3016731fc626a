"""What a training refuses before it starts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from xray_chest_detection.detect.before import require_same_data, require_trainable, require_unseen_test
from xray_chest_detection.detect.runs import Start, create_run, read_start, write_start
from xray_chest_detection.errors import ConfigError, DataError, ModelError


def empty_split(dataset: Path, split: str) -> None:
    for kind in ("images", "labels"):
        shutil.rmtree(dataset / kind / split)
        (dataset / kind / split).mkdir()
    index = dataset / "index.csv"
    index.write_text("".join(line for line in index.read_text().splitlines(keepends=True) if f",{split}," not in line))


def remove_boxes(dataset: Path, split: str, class_id: str = "") -> None:
    for path in (dataset / "labels" / split).glob("*.txt"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if class_id and not line.startswith(class_id)))


def add_class(dataset: Path) -> None:
    content = yaml.safe_load((dataset / "data.yaml").read_text())
    names = content["names"] | {2: "Ring"}
    (dataset / "data.yaml").write_text(yaml.safe_dump(content | {"nc": 3, "names": names}))


def write_label(dataset: Path, line: str) -> None:
    (dataset / "labels" / "train" / "film_003.txt").write_text(line)


TROUBLE: list[tuple[Callable[[Path], None], str]] = [
    (
        lambda data: empty_split(data, "train"),
        r"the split 'train' has no images to learn from; build the data set again",
    ),
    (
        lambda data: empty_split(data, "val"),
        r"the split 'val' has no images to choose the best epoch and thresholds by; ",
    ),
    (
        lambda data: remove_boxes(data, "train"),
        r"the split 'train' has no boxes to learn from; build the data set again",
    ),
    (
        lambda data: remove_boxes(data, "val"),
        r"the split 'val' has no boxes to choose the best epoch and thresholds by; ",
    ),
    (
        lambda data: remove_boxes(data, "train", "1"),
        r"no training box of Bar: the model would learn to deny it; build ",
    ),
    (add_class, r"no training box of Ring: .* with a class scheme without it, or from more images$"),
    (
        lambda data: write_label(data, "0 0.5 0.5\n"),
        r"film_003.txt line 1: '0 0.5 0.5' is no box \(1 such lines\); build ",
    ),
    (
        lambda data: write_label(data, "2 0.5 0.5 0.1 0.1\n"),
        r"line 1: '2 0.5 .*' has no class of the 2 \(1 such lines\)",
    ),
    (lambda data: write_label(data, "0 0.9 0.5 0.4 0.1\n"), r"line 1: '0 0.9 .*' leaves the image \(1 such lines\)"),
    (lambda data: write_label(data, "0 0.9 0.5 0.0 0.1\n"), r"line 1: '0 0.9 .*' has no area \(1 such lines\)"),
]


@pytest.mark.parametrize(("harm", "message"), TROUBLE)
def test_data_that_no_training_is_possible_with(
    harm: Callable[[Path], None], message: str, tmp_path: Path, dataset: Path, make_config
) -> None:
    harm(dataset)
    with pytest.raises(DataError, match=message) as error:
        require_trainable(make_config(tmp_path, dataset))
    assert "\n" not in str(error.value)


def test_class_without_a_validation_box_is_said(tmp_path: Path, dataset: Path, make_config) -> None:
    config = make_config(tmp_path, dataset)
    assert require_trainable(config) == ()
    remove_boxes(dataset, "val", "1")
    assert require_trainable(config) == (
        "no validation box of Bar: the best epoch and the thresholds are chosen without it",
    )


def test_weights_that_have_seen_test_patients(tmp_path: Path, dataset: Path, make_config) -> None:
    everything = shutil.copytree(dataset, tmp_path / "everything")
    index = everything / "index.csv"
    index.write_text(index.read_text().replace(",test,", ",train,"))
    same, other = (create_run(make_config(tmp_path, data, name=data.name)) for data in (dataset, everything))
    require_unseen_test(make_config(tmp_path, dataset, weights=str(same.best)))
    require_unseen_test(make_config(tmp_path, everything, weights=str(same.best)))
    start = make_config(tmp_path, dataset, weights=str(other.best))
    with pytest.raises(
        ConfigError, match=r"best.pt has seen patient 'nih:.*', who is tested in .*; start from weights"
    ):
        require_unseen_test(start)
    shutil.rmtree(everything)
    require_unseen_test(start)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"classes": ("Bar", "Disc")},
            r"data: has the classes Disc, Bar, and .*tiny began with Bar, Disc; build it as it",
        ),
        ({"split_sha256": "cd" * 32}, r"data: was built again from another split than .*tiny began with, so its valid"),
    ],
)
def test_data_set_that_changed_since_the_training_began(
    change: dict[str, object], message: str, tmp_path: Path, dataset: Path, make_config
) -> None:
    run = create_run(make_config(tmp_path, dataset))
    start = Start(classes=("Disc", "Bar"), split_sha256="ab" * 32, weights_sha256={}, batch=8)
    require_same_data(run, start)
    with pytest.raises(DataError, match=message):
        require_same_data(run, start.model_copy(update=change))


def test_what_a_training_began_with_is_read_back(tmp_path: Path, dataset: Path, make_config) -> None:
    run = create_run(make_config(tmp_path, dataset))
    assert read_start(run) is None
    start = Start(classes=("Disc", "Bar"), split_sha256=None, weights_sha256={"a.pt": "ab"}, batch=4)
    write_start(run, start)
    assert read_start(run) == start
    (run.folder / "start.yaml").write_text("batch: many")
    with pytest.raises(ModelError, match=r"tiny/start.yaml: damaged; remove .*tiny and train again"):
        read_start(run)
