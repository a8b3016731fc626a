"""What a training does when numbers, memory, the disk or the machine fail it: one line, and going on loses nothing."""

import csv
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from xray_chest_detection.cli.main import main
from xray_chest_detection.core.files import sha256_of
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.detect.runs import Run, open_run, read_start
from xray_chest_detection.detect.tracking import NoTracker
from xray_chest_detection.errors import ModelError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ultralytics", reason="ultralytics is not installed")
from xray_chest_detection.detect.train import resume, train  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ROOT = Path(__file__).parents[2]


class Saboteur(NoTracker):
    """Does something at a point of a training."""

    def __init__(self, event: str, action: Callable[[Any], None]) -> None:
        super().__init__()
        self._event, self._action = event, action

    def follow(self, trainer: Any) -> None:
        trainer.add_callback(self._event, self._action)


def epochs_of(run: Run) -> list[int]:
    with (run.folder / "results.csv").open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def saved_epoch(run: Run) -> int:
    return int(torch.load(run.last, map_location="cpu", weights_only=False)["epoch"]) + 1


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing more than `size` bytes to a file fails in this process, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What ultralytics' logger shows from warnings up."""
    from ultralytics.utils import LOGGER

    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Handler(logging.WARNING)
    LOGGER.addHandler(handler)
    yield lines
    LOGGER.removeHandler(handler)


def poison(trainer: Any) -> None:
    if trainer.epoch >= 1:
        next(trainer.model.parameters()).data.fill_(float("nan"))


@pytest.mark.slow
def test_weights_that_are_no_numbers_end_the_first_epoch(tmp_path, dataset, make_config, make_weights) -> None:
    start = tmp_path / "start.pt"
    make_weights(start)
    checkpoint = torch.load(start, weights_only=False)
    next(checkpoint["model"].parameters()).data.fill_(float("nan"))
    torch.save(checkpoint, start)
    with pytest.raises(ModelError) as error:
        train(make_config(tmp_path, dataset, weights=str(start)))
    assert str(error.value) == (
        f"{tmp_path}/runs/tiny: the weights are not finite numbers any more in epoch 1; start another run with "
        "--precision fp32, or a named --optimizer and --learning-rate"
    )
    assert not list((tmp_path / "runs" / "tiny" / "weights").iterdir())


@pytest.mark.slow
def test_numbers_lost_later_keep_the_last_good_checkpoint(tmp_path, dataset, make_config) -> None:
    """Every epoch after the first is spoilt; ultralytics goes back three times; then the run is resumed unspoilt."""
    with pytest.raises(
        ModelError, match=r"loss is not a finite number in epoch 2, time and again; last.pt is from bef"
    ):
        train(make_config(tmp_path, dataset, epochs=3), Saboteur("on_train_epoch_start", poison))
    run = open_run(tmp_path / "runs" / "tiny")
    assert saved_epoch(run) == 1
    model = torch.load(run.last, map_location="cpu", weights_only=False)["ema"]
    assert all(bool(values.isfinite().all()) for values in model.state_dict().values())
    assert resume(run.folder).finished
    assert epochs_of(run) == [1, 2, 3]


@pytest.mark.slow
def test_weights_lost_in_the_last_step_of_an_epoch_are_not_saved(tmp_path, dataset, make_config) -> None:
    def poison_late(trainer: Any) -> None:
        if trainer.epoch == 1:
            next(trainer.model.parameters()).data.fill_(float("nan"))

    with pytest.raises(
        ModelError, match=r"the weights are not finite numbers any more in epoch 2; last.pt is from befor"
    ):
        train(make_config(tmp_path, dataset, epochs=3), Saboteur("on_train_epoch_end", poison_late))
    run = open_run(tmp_path / "runs" / "tiny")
    assert (saved_epoch(run), epochs_of(run)) == (1, [1, 2])
    assert resume(run.folder).finished
    assert epochs_of(run) == [1, 2, 3]


def more_than_there_is(*, than: int, epoch: int) -> Callable[[Any], None]:
    """Asks the allocator for a million terabytes as long as the batch is larger."""

    def allocate(trainer: Any) -> None:
        if trainer.epoch >= epoch and trainer.batch_size > than:
            torch.empty(2**60, dtype=torch.uint8)

    return allocate


@pytest.mark.slow
def test_batch_is_halved_once_when_memory_runs_out(tmp_path, dataset, make_config, warned) -> None:
    greedy = Saboteur("on_train_batch_start", more_than_there_is(than=4, epoch=1))
    run = train(make_config(tmp_path, dataset, epochs=3), greedy)
    folder = tmp_path / "runs" / "tiny"
    assert [line.split(maxsplit=2)[2] for line in warned if "memory" in line] == [  # after "WARNING" and a sign
        f"{folder}: out of memory with batch 8; going on with batch 4, as the manifest will say"
    ]
    assert epochs_of(run) == [1, 2, 3]
    assert read_manifest(folder).counts["batch_halved_to"] == 4
    assert run.config.batch == 8


@pytest.mark.slow
def test_memory_that_runs_out_again_ends_the_training(tmp_path, dataset, make_config) -> None:
    greedy = Saboteur("on_train_batch_start", more_than_there_is(than=0, epoch=1))
    message = (
        r"tiny: out of memory with batch 4, half of the 8 that were too many before; free memory and go on with "
        r"`python train.py --resume .*tiny`, or start another run with a smaller --image-size-px or --batch$"
    )
    with pytest.raises(ModelError, match=message):
        train(make_config(tmp_path, dataset), greedy)
    run = open_run(tmp_path / "runs" / "tiny")
    assert saved_epoch(run) == 1
    with pytest.raises(ModelError, match=message):  # not halved a second time
        resume(run.folder, greedy)
    assert resume(run.folder).finished
    assert read_manifest(run.folder).counts["batch_halved_to"] == 4


@pytest.mark.slow
def test_memory_that_runs_out_after_the_last_epoch_costs_no_training(tmp_path, dataset, make_config, warned) -> None:
    greedy = Saboteur("on_fit_epoch_end", more_than_there_is(than=0, epoch=1))
    run = train(make_config(tmp_path, dataset, epochs=1), greedy)
    assert run.finished
    assert "batch_halved_to" not in read_manifest(run.folder).counts
    assert not [line for line in warned if "memory" in line]


@pytest.mark.slow
def test_ultralytics_does_not_halve_the_batch_too(tmp_path, dataset, make_config) -> None:
    """In the first epoch ultralytics catches what CUDA says, and would go down to 1 image a step by itself."""
    tried = []

    def hook(trainer: Any) -> None:
        def forward(*_: object) -> None:
            if trainer.model.training:
                tried.append(trainer.batch_size)
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        trainer.model.register_forward_pre_hook(forward)

    with pytest.raises(ModelError, match=r"tiny: out of memory with batch 4, half of the 8"):
        train(make_config(tmp_path, dataset), Saboteur("on_train_start", hook))
    assert tried == [8, 4]


@pytest.mark.slow
def test_full_disk_keeps_the_last_checkpoint(tmp_path, dataset, make_config) -> None:
    def fill(trainer: Any) -> None:
        if trainer.epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    message = (
        r"tiny/weights/last.pt: cannot be written \(.*\); free some space .*; then go on with `python train.py --res"
    )
    with files_of_at_most(resource.RLIM_INFINITY), pytest.raises(ModelError, match=message):
        train(make_config(tmp_path, dataset, epochs=3), Saboteur("on_train_epoch_start", fill))
    run = open_run(tmp_path / "runs" / "tiny")
    assert saved_epoch(run) == 1
    assert sorted(path.name for path in run.last.parent.iterdir()) == ["best.pt", "last.pt"]
    assert epochs_of(run) == [1, 2]  # the second epoch was measured and lost
    with (run.folder / "results.csv").open("a") as stream:
        stream.write("3,0.2")  # as much of a line as fitted
    (run.last.parent / ".tmp-half.pt").write_bytes(b"PK")
    assert resume(run.folder).finished
    assert epochs_of(run) == [1, 2, 3]
    assert sorted(path.name for path in run.last.parent.iterdir()) == ["best.pt", "last.pt"]


@pytest.mark.slow
def test_last_checkpoint_is_not_ahead_of_the_best(tmp_path, dataset, make_config) -> None:
    def block(trainer: Any) -> None:
        (trainer.wdir / "best.pt").mkdir()

    with pytest.raises(
        ModelError, match=r"tiny/weights/best.pt: cannot be written \(.*; then go on with `python train.py"
    ):
        train(make_config(tmp_path, dataset), Saboteur("on_train_start", block))
    run = open_run(tmp_path / "runs" / "tiny")
    assert [path.name for path in run.last.parent.iterdir()] == ["best.pt"]


@pytest.mark.parametrize("command", [["tune-nms"], ["evaluate"], ["export", "--out", "OUT"]])
def test_full_disk_after_training(command: list[str], random_run: Run, tmp_path, capsys) -> None:
    assert main(["tune-nms", str(random_run.folder), "--device", "cpu"]) == 0
    before = {path: sha256_of(path) for path in random_run.folder.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    name, *options = [str(out) if word == "OUT" else word for word in command]
    capsys.readouterr()
    with files_of_at_most(200), pytest.raises(SystemExit) as end:
        main([name, str(random_run.folder), *options])
    assert end.value.code == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ")
    assert "cannot be written" in message
    assert {path: sha256_of(path) for path in random_run.folder.rglob("*") if path.is_file()} == before
    assert not list(out.glob("*"))


@pytest.mark.slow
def test_weights_of_other_classes_are_a_start(tmp_path, dataset, make_config, make_weights) -> None:
    make_weights(tmp_path / "three.pt", classes=("Disc", "Bar", "Ring"))
    run = train(make_config(tmp_path, dataset, epochs=1, weights=str(tmp_path / "three.pt")))
    assert read_manifest(run.folder).inputs["three.pt"] == sha256_of(tmp_path / "three.pt")
    names = torch.load(run.best, map_location="cpu", weights_only=False)["model"].names
    assert names == {0: "Disc", 1: "Bar"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments]


@pytest.mark.slow
def test_training_that_is_told_to_end(tmp_path, dataset, make_config) -> None:
    """In the middle of an epoch: one line that says how to go on; the resumed run has every epoch once."""
    config = make_config(tmp_path, dataset, epochs=40, after={"tune_nms": False, "evaluate": False, "export": False})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMET")}
    process = subprocess.Popen(
        command(str(tmp_path / "config.yaml")),
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run(tmp_path / "runs" / "tiny", config)
    deadline = time.monotonic() + 300
    while not run.last.is_file():
        assert process.poll() is None, "training ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=120)
    line = f"terminated; nothing half-written was left behind; go on with `python train.py --resume {run.folder}`"
    assert (process.returncode, message.splitlines()[-1:]) == (143, [line])
    assert "Traceback" not in message
    done = saved_epoch(run)
    assert 1 <= done < 40
    shorter = (run.folder / "config.yaml").read_text().replace("epochs: 40", f"epochs: {done + 2}")
    (run.folder / "config.yaml").write_text(shorter)
    assert resume(run.folder).finished
    assert epochs_of(run)[:done] == list(range(1, done + 1))
    start = read_start(run)
    assert start is not None
    assert start.batch == 8
