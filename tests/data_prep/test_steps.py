"""The runnable steps, one after the other as a user runs them, and how they end when something is wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep import build_yolo, nih, split, verify
from xray_chest_detection.config.data import SPLITS
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.manifest import read_manifest
from xray_chest_detection.data.synthetic import write_dataset
from xray_chest_detection.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The synthetic data set of this project in the format of the NIH download."""
    folder = tmp_path_factory.mktemp("raw")
    write_dataset(SampleConfig(patients=40, max_visits=2, vinbigdata_images=0, size_px=128), folder)
    return folder / "nih"


@pytest.fixture
def steps(raw, tmp_path):
    """Runs a step with its folders under a temporary one; returns what it printed is left to capsys."""

    def run(step, *extra):
        folders = {
            nih: ["--root", raw, "--out", tmp_path / "tables"],
            split: ["--tables", tmp_path / "tables", "--out", tmp_path / "split"],
            build_yolo: [
                *("--tables", tmp_path / "tables", "--split", tmp_path / "split", "--out", tmp_path / "set"),
                *("--scheme", ROOT / "configs" / "schemes" / "united7.yaml"),
            ],
        }
        step.main([str(argument) for argument in (*folders[step], *extra)])

    return run


@pytest.fixture
def built(steps, tmp_path):
    steps(nih)
    steps(split)
    steps(build_yolo)
    return tmp_path


def run(module, *arguments, **options):
    command = [sys.executable, "-m", f"data_prep.{module}", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=options.pop("cwd", ROOT), env=environment, **options
    )


def test_from_raw_files_to_a_verified_data_set(built, capsys):
    assert verify.main([str(built / "set")]) == 0
    printed = capsys.readouterr().out
    assert "patient in several splits" in printed
    assert printed.rstrip().endswith("no errors")
    for folder, step in (("tables", "nih"), ("split", "split"), ("set", "build_yolo")):
        manifest = read_manifest(built / folder)
        assert manifest.step == f"data_prep.{step}"
        assert manifest.outputs
        assert manifest.inputs
        assert manifest.seed == 0
    counts = read_manifest(built / "set").counts
    assert sum(counts[part]["images"] for part in SPLITS) == len(list((built / "set" / "images").glob("*/*")))


def test_steps_stop_early_when_nothing_changed(built, steps, capsys):
    before = {path: path.stat().st_mtime_ns for path in (built / "set").rglob("*")}
    for step in (nih, split, build_yolo):
        steps(step)
    printed = capsys.readouterr().out
    assert "split.csv is up to date" in printed
    assert "set is up to date" in printed
    assert {path: path.stat().st_mtime_ns for path in (built / "set").rglob("*")} == before


def test_a_lost_label_or_another_config_builds_again(built, steps, capsys):
    next((built / "set" / "labels" / "train").iterdir()).unlink()
    steps(build_yolo)
    assert f"wrote {built / 'set'}" in capsys.readouterr().out
    steps(build_yolo, "--kind", "binary")
    assert f"wrote {built / 'set'}" in capsys.readouterr().out
    assert verify.main([str(built / "set")]) == 0


def test_a_split_is_reshuffled_only_when_told_to(built, steps):
    before = (built / "split" / "split.csv").read_text()
    with pytest.raises(DataError, match=r"patients would change their part, .*--keep .*, or --overwrite"):
        steps(split, "--seed", "1")
    assert (built / "split" / "split.csv").read_text() == before
    steps(split, "--seed", "1", "--keep", built / "split")
    assert (built / "split" / "split.csv").read_text() == before
    steps(split, "--seed", "1", "--overwrite")
    assert (built / "split" / "split.csv").read_text() != before


def test_a_changed_split_file_is_made_again(built, steps):
    path = built / "split" / "split.csv"
    before = path.read_text()
    path.write_text(before[:-20])
    with pytest.raises(DataError, match=r"split\.csv: .*make the split again with data_prep\.split --overwrite"):
        steps(split)
    steps(split, "--overwrite")
    assert path.read_text() == before


def test_the_data_root_comes_from_the_environment(raw, tmp_path, monkeypatch):
    monkeypatch.delenv("XRAY_NIH_ROOT", raising=False)
    monkeypatch.setenv("XRAY_DATA_PACK", str(raw.parent))
    nih.main(["--out", str(tmp_path / "a")])
    monkeypatch.setenv("XRAY_NIH_ROOT", str(raw / "nowhere"))
    with pytest.raises(ConfigError, match=r"XRAY_NIH_ROOT: no folder .*nowhere; see datasets/README\.md"):
        nih.main(["--out", str(tmp_path / "b")])


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        ("nih", ("--root", "nowhere"), "error: root: no folder nowhere; see datasets/README.md"),
        ("nih", ("nowhere.yaml",), "error: nowhere.yaml: cannot be read"),
        ("split", ("--tables", "nowhere"), "error: nowhere/images.csv: no such table; run the data_prep step"),
        ("split", ("wrong.yaml",), "error: wrong.yaml: unknown key 'trian' (did you mean 'train'?)"),
        ("verify", ("nowhere",), "error: nowhere/data.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_and_exit_status_1(tmp_path, module, arguments, message):
    (tmp_path / "wrong.yaml").write_text("trian: 0.8\n")
    result = run(module, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent the POSIX way")
def test_ctrl_c_leaves_the_older_data_set(built):
    raw_images = [Path(line.split(",")[3]) for line in (built / "tables" / "images.csv").read_text().splitlines()[1:]]
    fifo = raw_images[-1]
    before = sorted(path.relative_to(built) for path in (built / "set").rglob("*"))
    saved = fifo.with_suffix(".saved")
    shutil.move(fifo, saved)
    os.mkfifo(fifo)  # reading it blocks, so the step hangs in the middle of its work
    try:
        command = [
            *(sys.executable, "-m", "data_prep.build_yolo", "--kind", "binary", "--out", built / "set"),
            *("--tables", built / "tables", "--split", built / "split"),
        ]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=_heed_ctrl_c,
        ) as process:
            deadline = time.monotonic() + 60
            while len(list(built.glob(".tmp-*/images/*/*"))) < len(raw_images) - 1 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            try:
                _, errors = process.communicate(timeout=30)
            finally:
                process.kill()
    finally:
        fifo.unlink()
        shutil.move(saved, fifo)
    assert process.returncode == 130
    assert errors.strip().endswith("interrupted; nothing half-written was left behind")
    assert sorted(path.relative_to(built) for path in (built / "set").rglob("*")) == before
    assert not list(built.glob(".tmp-*"))


def _heed_ctrl_c():
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
