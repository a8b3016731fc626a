"""The benchmark of speed runs on a small table and compares every rule with ensemble-boxes."""

from pathlib import Path

import pytest

from benchmarks.consensus import main

TABLE = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a,Cardiomegaly,3,R1,100,100,900,500
a,Cardiomegaly,3,R2,110,100,900,500
a,No finding,14,R3,,,,
b,Nodule/Mass,8,R1,10,10,60,60
b,No finding,14,R2,,,,
b,No finding,14,R3,,,,
"""


def test_every_rule_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.csv"
    path.write_text(TABLE)
    main([str(path), "--repeats", "1"])
    title, head, reference, *rules = capsys.readouterr().out.splitlines()
    assert title == "train.csv: 3 boxes on 2 of 2 images"
    assert head.split() == ["rule", "seconds", "boxes", "times", "faster"]
    assert reference.split()[0::2] == ["ensemble-boxes", "2"]
    boxes = {row.split()[0]: int(row.split()[2]) for row in rules}
    assert {name: boxes[name] for name in ("most_frequent_reader", "union", "wbf", "quorum")} == {
        "most_frequent_reader": 2,
        "union": 2,
        "wbf": 2,
        "quorum": 1,
    }
    assert "em" in boxes
