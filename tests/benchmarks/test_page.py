"""The benchmark of the page asks both ways, loads the server and compares boxes."""

import re

import pytest

pytest.importorskip("ultralytics", reason="ultralytics is not installed")
pytestmark = [
    pytest.mark.slow,  # starts ultralytics once and the server three times
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_prints_both_ways_the_load_test_and_the_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import page

    page.main(["--requests", "1", "--seconds", "1", "--architecture", "yolov8n.yaml", "--size", "64"])
    shown = capsys.readouterr().out
    assert re.search(
        r"^way +median ms +p95 ms +processor ms +first answer s +peak MB +times faster", shown, re.MULTILINE
    )
    assert re.search(r"^ultralytics, loaded each time +\d+ .* 1\.000 +1\.000$", shown, re.MULTILINE)
    assert len(re.findall(r"^this page, onnxruntime +\d+", shown, re.MULTILINE)) == 2
    found = re.search(
        r"^16 clients for 1 s: (\d+) answered .* p95 \d.*; \d+ asked to come back \(503\), 0 errors", shown, re.M
    )
    assert found is not None
    assert int(found[1]) > 0
    assert re.search(r"^equal boxes on the sample films.*\nmodel +against", shown, re.MULTILINE)
    assert all(name in shown for name in ("binary", "cardiomegaly", "mass_nodule", "multi"))
    assert shown.count("load ") >= 3
