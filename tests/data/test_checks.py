import json

from xray_chest_detection.data.checks import Check, Report, write_reports

SOUND = Check("sound", "error", [], "never shown")
LEAK = Check("leak", "error", ["a and b", "c and d"], "do something")
NOTE = Check("note", "info", ["e"])


def test_a_check_is_ok_without_a_place_and_as_serious_as_it_is_with_one():
    assert [check.result for check in (SOUND, LEAK, NOTE)] == ["ok", "error", "info"]
    assert SOUND.to_row() == {"check": "sound", "result": "ok", "count": 0, "example": "-"}
    assert LEAK.to_row() == {"check": "leak", "result": "error", "count": 2, "example": "a and b"}


def test_only_errors_fail_and_only_findings_have_advice():
    assert not Report("set", {}, (SOUND, NOTE)).failed
    report = Report("set", {}, (SOUND, NOTE, LEAK))
    assert report.failed
    assert report.advice == ["leak: do something"]


def test_the_file_holds_every_place(tmp_path):
    path = tmp_path / "new" / "findings.json"
    write_reports(path, [Report("set", {"images": 3}, (SOUND, LEAK)), Report("leaks", {}, (NOTE,))])
    assert json.loads(path.read_text()) == {
        "failed": True,
        "reports": [
            {
                "subject": "set",
                "counts": {"images": 3},
                "failed": True,
                "findings": [
                    {"check": "leak", "result": "error", "advice": "do something", "places": ["a and b", "c and d"]}
                ],
            },
            {
                "subject": "leaks",
                "counts": {},
                "failed": False,
                "findings": [{"check": "note", "result": "info", "advice": "", "places": ["e"]}],
            },
        ],
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["findings.json"]
