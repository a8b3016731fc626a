"""`xray card` on cards and runs."""

from pathlib import Path

import pytest

from xray_chest_detection.cli.main import main

ROOT = Path(__file__).parents[2]


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line an error gives."""
    with pytest.raises(SystemExit) as caught:
        main(["card", *arguments])
    assert caught.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_page_of_a_shipped_card_needs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(ROOT / "checkpoints" / "multi.card.yaml"), "--out", str(tmp_path / "pages")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}/pages/multi.card.md and .html\n"
    assert "# Model card: Multi" in (tmp_path / "pages" / "multi.card.md").read_text()
    assert (tmp_path / "pages" / "multi.card.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["multi.card.html", "multi.card.md"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "not a YAML file; export the model again"),
        (b"\xff\xfe\x00", "not a YAML file; export the model again"),
        (b"name: m\n", "title: Field required; export the model again"),
        (None, "cannot be read (No such file or directory); a model needs its card"),
    ],
    ids=["cut off", "not text", "field missing", "no file"],
)
def test_damaged_card(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, message: str) -> None:
    path = tmp_path / "m.card.yaml"
    if content is not None:
        path.write_bytes(content)
    assert f"{path}: {message}" in fails([str(path)], capsys)
    assert sorted(tmp_path.glob("*.md")) == []


def test_neither_run_nor_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such run folder" in fails([str(tmp_path / "nothing")], capsys)
    (tmp_path / "empty").mkdir()
    assert "not a run folder, it has no config.yaml" in fails([str(tmp_path / "empty")], capsys)


def test_pages_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    message = fails([str(ROOT / "checkpoints" / "multi.card.yaml"), "--out", str(tmp_path / "file")], capsys)
    assert "cannot be written" in message
