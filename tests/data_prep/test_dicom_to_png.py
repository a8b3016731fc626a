"""`data_prep.dicom_to_png` as a user runs it: the real files, a mistake, and Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from data_prep import dicom_to_png
from xray_chest_detection.config.sample import SampleConfig
from xray_chest_detection.core.manifest import is_up_to_date, read_manifest
from xray_chest_detection.data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.pack
def test_the_real_files_but_the_one_nobody_can_decode(pack, tmp_path, capsys):
    arguments = ["--root", str(pack / "dicom"), "--out", str(tmp_path), "--workers", "2", "--longest-side-px", "200"]
    assert dicom_to_png.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{tmp_path}: 5 images written, 0 were there already" in lines
    assert lines[-2].split() == ["not", "converted", "reason"]
    assert lines[-1].startswith("JPLY_RG3_JPLY.dcm  DICOM compressed as JPEG Extended (Process 2 and 4) cannot be")
    sizes = "CR_MONOCHROME1_jpeg,1024,1024\nCR_MONOCHROME2_jpeg,1024,1024\nJLSN_RG1_JLSN,1955,1841\n"
    table = f"image_id,dim0,dim1\n{sizes}NIH_DX,1024,1024\nRLE_RG3_RLE,1760,1760\n"
    assert (tmp_path / "train_meta.csv").read_text() == table
    manifest = read_manifest(tmp_path)
    assert manifest.config == {"longest_side_px": 200, "clahe_clip_limit": None}
    assert manifest.counts == {"images": 5, "failures": 1, "MONOCHROME1 inverted": 3}
    assert is_up_to_date(tmp_path, manifest)
    assert dicom_to_png.main(arguments) == 1  # still not all of them
    assert f"{tmp_path}: 0 images written, 5 were there already" in capsys.readouterr().out


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "data_prep.dicom_to_png", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )


def test_a_mistake_is_one_line_and_exit_status_1(tmp_path):
    with start("--root", tmp_path / "nowhere") as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("error: root: no folder ")


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent the POSIX way")
def test_ctrl_c_leaves_whole_files_and_the_next_run_goes_on(tmp_path, capsys):
    write_dataset(SampleConfig(patients=1, max_visits=1, vinbigdata_images=3, size_px=128), tmp_path / "raw")
    root, out = tmp_path / "raw" / "vinbigdata", tmp_path / "png"
    fifo = root / "train" / "z.dicom"
    os.mkfifo(fifo)  # reading it blocks, so the step hangs in the middle of its work
    with start("--root", root, "--out", out, "--workers", "1") as process:
        deadline = time.monotonic() + 60
        while len(list(out.rglob("*.png"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the worker process, too
        time.sleep(0.2)
        fifo.open("wb").close()  # the worker reads an empty file, and may end
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "interrupted; nothing half-written was left behind"
    pngs = sorted((out / "train").iterdir())
    assert len(pngs) == 3
    for path in pngs:
        with Image.open(path) as image:
            image.load()
    fifo.unlink()
    assert dicom_to_png.main(["--root", str(root), "--out", str(out)]) == 0
    assert f"{out}: 0 images written, 3 were there already" in capsys.readouterr().out


def _heed_ctrl_c():
    """A shell starts background jobs with SIGINT ignored, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
