"""Thousands of damaged films. `XRAY_FUZZ=5000 pytest tests/web/test_fuzz.py` throws that many of each kind."""

import ctypes
import gc
import os
import random
import zlib
from collections import Counter
from pathlib import Path

import pytest
from flask import Flask

from tests.web.mutations import damaged, seeds
from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app

EACH = int(os.environ.get("XRAY_FUZZ", "400"))
WARM = 0.2  # share of the films after which memory must not grow
GROWTH_MIB = 50  # it swings by 30 without a trend over fifty thousand films; a film with its pixels takes 10 KiB


@pytest.fixture(scope="module")
def films() -> dict[str, list[bytes]]:
    return seeds()


@pytest.fixture
def app(root: Path) -> Flask:
    return create_app(DemoConfig(threads=1, rate_per_minute=None), root=root)


def memory_mib() -> float:
    """Memory in use, without what the C library keeps for the next large image."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def mistake(app: Flask, film: bytes) -> str | None:
    """What is wrong with the answer to a film; None when it is an image or a line about why it is none."""
    response = app.test_client().post("/api/v1/predict", data=film, content_type="image/png")
    if response.status_code == 200:
        return None
    body = response.get_json()
    if response.status_code not in (400, 422) or response.content_type != "application/problem+json":
        return f"status {response.status_code}"
    detail = body["detail"]
    return None if detail.isprintable() and len(detail) < 300 else f"not one readable line: {detail!r}"


def test_every_good_film_is_served(app: Flask, films: dict[str, list[bytes]]) -> None:
    for kind, good in films.items():
        for film in good:
            response = app.test_client().post("/api/v1/predict", data=film, content_type="image/png")
            assert response.status_code == 200, f"{kind}: {response.text}"


@pytest.mark.slow  # thousands of requests
def test_damaged_films_get_an_answer_and_leave_nothing_behind(
    app: Flask, films: dict[str, list[bytes]], tmp_path: Path
) -> None:
    """No error of the server, no growth of its memory, and the next good film is served."""
    everything = [film for good in films.values() for film in good]
    wrong: Counter[str] = Counter()
    warm = 0.0
    for number in range(EACH):
        for kind, good in films.items():
            rng = random.Random(zlib.crc32(f"{kind} {number}".encode()))
            film = damaged(rng.choice(good), rng.choice(good if rng.random() < 0.7 else everything), rng)
            (tmp_path / "last film").write_bytes(film)  # what to look at when the process dies
            found = mistake(app, film)
            if found:
                wrong[f"{kind} {number}: {found}"] += 1
        if number == int(WARM * EACH):
            warm = memory_mib()
    assert wrong == {}
    assert memory_mib() - warm < GROWTH_MIB
    assert mistake(app, films["PNG"][0]) is None
    assert len(app.extensions["places"]) == 0
