import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xray_chest_detection.config.chest_gate import Archive, PictureSource
from xray_chest_detection.data.picture_archives import MARKER, fetch_pictures
from xray_chest_detection.errors import DataError


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


FILES = {"./pack/a.png": png(), "pack/deep/b.PNG": png(), "pack/code.py": b"x" * 5000, "pack/icon.png": b"tiny"}


def wheel() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        for name, content in FILES.items():
            bundle.writestr(name, content)
    return stream.getvalue()


def tar(kind: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as bundle:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("pack/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        bundle.addfile(link)
    return stream.getvalue()


def deb(data_name: str = "data.tar.xz") -> bytes:
    members = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", data_name: tar("xz")}
    content = b"!<arch>\n"
    for name, member in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(member):<10}`\n".encode() + member
        content += b"\n" * (len(member) % 2)
    return content


def source(path: Path, content: bytes, digest: str | None = None) -> PictureSource:
    path.write_bytes(content)
    sha256 = digest or hashlib.sha256(content).hexdigest()
    return PictureSource(name="some", kind="test", archives=(Archive(url=path.as_uri(), sha256=sha256),))


@pytest.mark.parametrize(
    ("name", "content"), [("a.whl", wheel()), ("a.tar.gz", tar("gz")), ("a.deb", deb())], ids=["wheel", "tar", "deb"]
)
def test_pictures_of_every_kind_of_package_are_unpacked_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "out" / "some"
    assert fetch_pictures(source(tmp_path / name, content), folder) == 2
    assert sorted(path.name for path in folder.iterdir()) == [MARKER, "pack__a.png", "pack__deep__b.PNG"]
    assert (folder / "pack__a.png").read_bytes() == FILES["./pack/a.png"]
    assert (folder / MARKER).read_text() == (tmp_path / name).as_uri() + "\n"


def test_another_file_than_the_named_one_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.whl: sha256 [0-9a-f]{12}\.\.\. is not the configuration's 000000000000"):
        fetch_pictures(source(tmp_path / "a.whl", wheel(), digest="0" * 64), tmp_path / "out" / "some")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.whl", b"nonsense"), ("a.tar.gz", b"nonsense"), ("a.deb", b"!<arch>\n"), ("a.deb", deb("data.zip"))],
)
def test_a_damaged_package_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(DataError, match=r"cannot be unpacked \(.+\); correct the configuration$"):
        fetch_pictures(source(tmp_path / name, content), tmp_path / "some")
    assert not (tmp_path / "some").exists()


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    lost = source(tmp_path / "a.whl", wheel())
    (tmp_path / "a.whl").unlink()
    with pytest.raises(DataError, match=r"a\.whl: cannot be fetched .*try again, or correct the address$"):
        fetch_pictures(lost, tmp_path / "some")


def test_a_connection_that_breaks_off_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/a.whl"
        thread = threading.Thread(target=break_off, args=(listening,))
        thread.start()
        lost = PictureSource(name="some", kind="pictures", archives=(Archive(url=url, sha256="0" * 64),))
        with pytest.raises(DataError, match=r"a\.whl: cannot be fetched \(IncompleteRead.*try again"):
            fetch_pictures(lost, tmp_path / "some")
        thread.join()


def break_off(listening: socket.socket) -> None:
    """Answers one request with the beginning of a file."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
