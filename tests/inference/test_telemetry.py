import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_runtime_neither_reports_nor_keeps_a_device_id(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    card = make_model(tmp_path / "checkpoints")
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; import numpy as np;"
        "from xray_chest_detection.inference.session import DetectorSession;"
        "DetectorSession(Path(sys.argv[1])).detect(np.zeros((64, 64), np.uint8))"
    )
    switches = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED", "XDG_CACHE_HOME")
    bare = {name: value for name, value in os.environ.items() if name not in switches}
    subprocess.run([sys.executable, "-c", code, str(card)], cwd=PROJECT, env={**bare, "HOME": str(home)}, check=True)
    assert list(home.rglob("*")) == []
