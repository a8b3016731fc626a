"""What the server writes while films are uploaded, seen from outside: system calls by strace, and its log."""

import importlib.util
import io
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.web.gunicorn_server import PATIENCE_S, Server, gunicorn

MARKER = "jane-doe-4711"
PACK_SYNTAXES = 5  # of the six files of the pack; common decoders refuse the JPEG of 10 bits
CALLS = [
    *("open", "openat", "creat", "mknod", "mknodat", "mkdir", "mkdirat", "memfd_create"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate"),
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"),
]
# A write names what its descriptor is: sockets, pipes, the heartbeat of gunicorn in shared memory, and the log.
HARMLESS = re.compile(
    r"\w+\(\d+<(?:socket:|pipe:|TCP:|TCPv6:|UNIX|anon_inode:|/dev/null|/dev/shm/wgunicorn-|[^>]*/server\.log)"
    r"|open(?:at)?\((?:AT_FDCWD(?:<[^>]*>)?, )?\"(?:/dev/null|/dev/tty)\""
)
WRITING = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """The server under strace, logging every request, and the file with its system calls."""
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace, which shows the system calls of the server, is not installed or not allowed")
    folder = tmp_path_factory.mktemp("traced")
    calls = folder / "calls.txt"
    trace = [
        "strace",
        "-f",
        "-y",
        "--seccomp-bpf",
        "-qq",
        "-s",
        "200",
        "-o",
        str(calls),
        "-e",
        f"trace={','.join(CALLS)}",
    ]
    with gunicorn(folder, limited=False, before=trace, after=["--access-logfile", "-"]) as server:
        yield server, calls


def encoded(kind: str, **options: object) -> bytes:
    grey = np.tile(np.linspace(0, 255, 160, dtype=np.uint8), (120, 1))
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, kind, **options)
    return stream.getvalue()


def pictures() -> dict[str, bytes]:
    text, exif = {270: MARKER}, Image.Exif()
    exif[270] = MARKER
    films = {f"tiff {name}": encoded("TIFF", compression=name, tiffinfo=text) for name in ("raw", "tiff_lzw", "jpeg")}
    films |= {f"tiff {name}": encoded("TIFF", compression=name) for name in ("tiff_deflate", "packbits", "zstd")}
    films |= {kind.lower(): encoded(kind, exif=exif) for kind in ("PNG", "JPEG", "WEBP")}
    return films


def bad_films(dicom: bytes) -> dict[str, bytes]:
    tiff, png = encoded("TIFF", compression="tiff_lzw"), encoded("PNG")
    return {
        "half a tiff": tiff[:300],
        "half a png": png[: len(png) // 2],
        "half a dicom": dicom[:400],
        "text": MARKER.encode() * 99,
        "too large": bytes(33 * 1024 * 1024),
        "a bomb": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\0\0\0\0" + bytes(99),
    }


def nema() -> list[Path]:
    """The radiographs of pydicom-data and of pydicom in every transfer syntax."""
    spec = importlib.util.find_spec("data_store")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package pydicom-data is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    own = Path(importlib.util.find_spec("pydicom").origin).parent / "data" / "test_files"  # type: ignore[union-attr,arg-type]
    names = ["RG1_J2KI", "RG3_J2KR", "RG3_UNCI", "JPEG-LL", "JPGLosslessP14SV1_1s_1f_8b", "OBXXXX1A_rle"]
    small = ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless"]
    small += ["MR_small_jpeg_ls_lossless", "JPEGLSNearLossless_16", "JPGExtended", "JPEG2000", "image_dfl"]
    return [folder / f"{name}.dcm" for name in names] + [own / f"{name}.dcm" for name in small]


def written(calls: Path, start: int) -> list[str]:
    """The calls since a place in the trace that write anywhere but to sockets, pipes and the log."""
    lines = calls.read_text(errors="replace")[start:].splitlines()
    found = []
    for line in lines:
        call = line.partition(" ")[2].strip()
        name = call.partition("(")[0]
        if name in CALLS and not HARMLESS.match(call) and (not name.startswith("open") or WRITING.search(call)):
            found.append(call)
    return found


def check_nothing_is_kept(traced: tuple[Server, Path], films: dict[str, bytes], *, refused: bool = False) -> list[int]:
    server, calls = traced
    before, said = len(calls.read_text(errors="replace")), server.log.stat().st_size
    statuses = [
        server.upload(content, name=f"{MARKER}-{key}", models="mass_nodule", preview="1")
        for key, content in films.items()
    ]
    end = time.monotonic() + PATIENCE_S
    while server.log.read_text(errors="replace")[said:].count("POST /api/v1/predict") < len(films):
        assert time.monotonic() < end, "requests are missing in the log"
        time.sleep(0.05)
    assert written(calls, before) == []
    log = server.log.read_text(errors="replace")[said:]
    assert MARKER not in log
    assert MARKER not in calls.read_text(errors="replace")[before:]
    # What libraries print themselves is a line or two about a broken file, not its pixels.
    assert len(log) < 400 * len(films)
    return statuses


@pytest.mark.slow  # starts the server under strace
class TestUnderStrace:
    def test_the_trace_sees_what_is_written(self, traced: tuple[Server, Path]) -> None:
        server, calls = traced
        assert server.ask("GET", "/healthz")[0] == 200
        end = time.monotonic() + PATIENCE_S
        while "GET /healthz" not in (text := calls.read_text(errors="replace")):  # logged after the answer
            assert time.monotonic() < end, "the log of the request is missing in the trace"
            time.sleep(0.05)
        assert "/dev/shm/wgunicorn-" in text
        assert HARMLESS.match('write(2</tmp/server.log>, "a"')
        assert not HARMLESS.match('write(7</tmp/film.png>, "a"')
        assert WRITING.search('openat(AT_FDCWD, "/tmp/film.png", O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 7')

    def test_png_jpeg_tiff_and_webp(self, traced: tuple[Server, Path]) -> None:
        assert set(check_nothing_is_kept(traced, pictures())) == {200}

    def test_refused_files(self, traced: tuple[Server, Path], dicom: bytes) -> None:
        statuses = check_nothing_is_kept(traced, bad_films(dicom))
        assert statuses == [422, 422, 422, 422, 413, 422]

    def test_dicom(self, traced: tuple[Server, Path], dicom: bytes) -> None:
        named = dicom.replace(b"Doe^Jane", MARKER.encode()[:8])
        films = {path.name: path.read_bytes() for path in nema()} | {"named": named}
        statuses = check_nothing_is_kept(traced, films)
        assert set(statuses) == {200, 422}
        assert statuses.count(200) >= 12

    @pytest.mark.pack
    def test_dicom_of_the_pack(self, traced: tuple[Server, Path], pack: Path) -> None:
        films = {path.name: path.read_bytes() for path in sorted((pack / "dicom").glob("*.dcm"))}
        assert check_nothing_is_kept(traced, films).count(200) == PACK_SYNTAXES
