"""What `xray export` refuses before it opens a run."""

from pathlib import Path

import pytest

from xray_chest_detection.cli.main import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--compare", "--measured-by", "twin"],
            "--measured-by: says what a written card tells; --compare writes none",
        ),
        (["--compare", "--timed-runs", "2"], "--timed-runs: 2 is too few for a median; give at least 3"),
    ],
)
def test_options_that_make_no_sense_together(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", str(tmp_path), *options])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
