"""The server as it runs in production, and what it loads."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.web.gunicorn_server import PATIENCE_S, PROJECT, Server, gunicorn

FILM = (PROJECT / "images_for_inference" / "synthetic_normal.png").read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with gunicorn(tmp_path_factory.mktemp("server"), limited=False) as server:
        yield server


@pytest.mark.slow  # starts the server, loads the shipped models
def test_a_killed_worker_comes_back_and_the_next_film_is_answered(tmp_path: Path) -> None:
    with gunicorn(tmp_path) as server:
        first = server.worker()
        assert first != server.pid
        assert server.upload(FILM) == 200
        os.kill(first, signal.SIGKILL)
        assert server.upload(FILM) == 200
        assert server.worker() != first
        assert server.upload(b"hello") == 422


@pytest.mark.slow  # two hundred films
def test_memory_does_not_grow_with_good_films(server: Server, dicom: bytes, png: bytes, jpeg: bytes) -> None:
    def send(content: bytes) -> int:
        return server.upload(content, models="mass_nodule")

    with ThreadPoolExecutor(2) as clients:
        assert set(clients.map(send, [FILM, dicom, png, jpeg] * 6)) == {200}
        warm = server.memory_mib()
        assert set(clients.map(send, [FILM, dicom, png, jpeg] * 44)) == {200}
    assert server.memory_mib() - warm < 25


@pytest.mark.slow
def test_a_large_request_that_is_refused_before_it_is_read_gets_its_answer(server: Server) -> None:
    assert server.upload(bytes(33 * 1024 * 1024)) == 413
    assert server.ask("POST", "/api/v1/nothing", bytes(8 * 1024 * 1024))[0] == 404


@pytest.mark.slow
def test_requests_over_the_queue_get_503_and_every_other_one_its_film(server: Server) -> None:
    with ThreadPoolExecutor(40) as clients:
        statuses = list(clients.map(lambda _: server.upload(FILM), range(40)))
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 18
    end = time.monotonic() + PATIENCE_S
    while server.upload(FILM) != 200:
        assert time.monotonic() < end


AUDITED = """
import io, sys
loaded = []
sys.addaudithook(lambda event, arguments: loaded.append(arguments) if event == "pickle.find_class" else None)
import demo
from PIL import Image
client = demo.app.test_client()
picture = Image.radial_gradient("L")
films = [open(sys.argv[1], "rb").read(), b"hello"]
for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
    stream = io.BytesIO()
    picture.save(stream, kind)
    films.append(stream.getvalue())
for rule in demo.app.url_map.iter_rules():
    if "GET" in rule.methods:
        path = str(rule).replace("<key>", "synthetic-normal").replace("<name>", "multi")
        path = path.replace("<path:filename>", "main.js")
        print(client.get(path).status_code, path)
for film in films:
    print(client.post("/api/v1/predict", data=film, content_type="image/png").status_code, "film")
heavy = {"torch", "pandas", "cv2", "matplotlib", "sklearn", "ultralytics", "dill", "joblib"} & set(sys.modules)
print("unpickled:", loaded, "heavy:", heavy)
"""


@pytest.mark.slow  # imports the demo and loads the shipped models in a fresh process
def test_no_pickle_is_ever_loaded(tmp_path: Path, dicom: bytes) -> None:
    (tmp_path / "film.dcm").write_bytes(dicom)
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, str(tmp_path / "film.dcm")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "unpickled: [] heavy: set()"
    answers = [line.split() for line in lines[:-1]]
    assert [path for status, path in answers if path != "film" and status != "200"] == []
    assert [status for status, path in answers if path == "film"] == ["200", "422", "200", "200", "200", "200"]
