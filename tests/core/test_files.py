import hashlib

import pytest

from xray_chest_detection.core.files import atomic_path, sha256_of, write_bytes, write_text
from xray_chest_detection.errors import DataError


def test_written_text_is_whole_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "new" / "a.json"
    write_text(target, "ü")
    assert target.read_text(encoding="utf-8") == "ü"
    assert [path.name for path in target.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, problem):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def interrupted():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise problem

    with pytest.raises(problem):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.png") as temporary:
        assert temporary.suffix == ".png"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"a\.txt: cannot be written \(.*\); free some space or choose another place"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_digest(tmp_path):
    write_bytes(tmp_path / "a", b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
