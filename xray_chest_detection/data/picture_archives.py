"""Pictures out of Python and Debian packages, for the chest gate: fetched once, checked by digest, unpacked by name."""

import hashlib
import http.client
import io
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

from xray_chest_detection.config.chest_gate import Archive, PictureSource
from xray_chest_detection.data.folders import new_folder
from xray_chest_detection.errors import DataError

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".dcm"))
MIN_BYTES = 2500  # smaller files are icons
MARKER = "PACKAGES.txt"  # the addresses the pictures of a folder come from
_TIMEOUT_S = 300
_NAME_LENGTH = 150
_AR_HEADER = 60


def fetch_pictures(source: PictureSource, folder: Path) -> int:
    """Fetch the packages of a source and write their pictures into a folder, whole or not at all; returns how many.

    Raises:
        DataError: A package cannot be fetched, is not the one the configuration names, or cannot be unpacked.
    """
    count = 0
    with new_folder(folder, marker=MARKER) as new:
        (new / MARKER).write_text("".join(f"{archive.url}\n" for archive in source.archives), encoding="utf-8")
        for archive in source.archives:
            content = _fetch(archive)
            try:
                for name, picture in _members(archive.url, content):
                    if Path(name).suffix.lower() in SUFFIXES and len(picture) >= MIN_BYTES:
                        (new / name.strip("./").replace("/", "__")[-_NAME_LENGTH:]).write_bytes(picture)
                        count += 1
            except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
                reason = str(error).splitlines()[0].rstrip(":")
                raise DataError(f"{archive.url}: cannot be unpacked ({reason}); correct the configuration") from None
    return count


def _fetch(archive: Archive) -> bytes:
    try:
        with urllib.request.urlopen(archive.url, timeout=_TIMEOUT_S) as answer:
            content = bytes(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:  # also a connection that breaks off
        raise DataError(f"{archive.url}: cannot be fetched ({error}); try again, or correct the address") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive.sha256:
        raise DataError(
            f"{archive.url}: sha256 {digest[:12]}... is not the configuration's {archive.sha256[:12]}...; "
            "try again, or correct the digest if the package is known to be good"
        )
    return content


def _members(url: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file in a package."""
    if url.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as bundle:
            for entry in bundle.infolist():
                yield entry.filename, bundle.read(entry)
        return
    with tarfile.open(fileobj=io.BytesIO(_data_of_deb(content) if url.endswith(".deb") else content)) as bundle:
        for member in bundle:
            stream = bundle.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield member.name, stream.read()


def _data_of_deb(content: bytes) -> bytes:
    """The `data.tar.*` of a Debian package, an `ar` archive.

    Raises:
        tarfile.ReadError: There is none.

    Source: deb(5) and ar(5): 60-byte headers, name in the first 16 bytes, size in bytes 48 to 58, even offsets.
    """
    place = len(b"!<arch>\n")
    while place + _AR_HEADER <= len(content):
        header = content[place : place + _AR_HEADER]
        size = int(header[48:58])
        start = place + _AR_HEADER
        if header.startswith(b"data.tar"):
            return content[start : start + size]
        place = start + size + size % 2
    raise tarfile.ReadError("no data.tar in it")
