"""The split that the models in `checkpoints/` were trained, tuned and tested on."""

import shutil
from pathlib import Path

import pytest

from data_prep import nih, split

ROOT = Path(__file__).resolve().parents[2]
FILES = ("split.csv", "manifest.json")


@pytest.mark.pack
def test_the_steps_leave_the_tracked_split_as_it_is_to_the_byte(tmp_path, pack, capsys):
    tracked = ROOT / "datasets" / "splits" / "nih"
    copy = shutil.copytree(tracked, tmp_path / "split")
    nih.main([str(ROOT / "configs/data/nih.yaml"), "--root", str(pack / "nih"), "--out", str(tmp_path / "tables")])
    places = ("--tables", str(tmp_path / "tables"), "--out", str(copy), "--keep", str(copy))
    split.main([str(ROOT / "configs/data/split.yaml"), *places])
    assert "split.csv is up to date" in capsys.readouterr().out
    assert [(copy / name).read_bytes() for name in FILES] == [(tracked / name).read_bytes() for name in FILES]
