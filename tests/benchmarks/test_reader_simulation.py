"""The benchmark of consensus rules prints its table and says where em does not win."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.reader_simulation import main
from xray_chest_detection.data.reader_simulation import SCENARIOS


def test_table_verdicts_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rules.png"
    main(["--images", "60", "--seeds", "2", "--out", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["scenario", "rule", "f1", "f1_sd", "iou", "iou_sd"]
    verdicts = {line.split(":")[0].strip(): line for line in lines if " against " in line and ":" in line}
    assert set(SCENARIOS) <= set(verdicts)
    assert all(any(word in verdicts[name] for word in ("wins", "ties", "loses")) for name in SCENARIOS)
    assert lines[-1] == str(path)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 600
    assert pixels.std() > 5
