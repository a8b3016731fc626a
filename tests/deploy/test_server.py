"""A server is started, asked, watched and ended with all its children."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xray_chest_detection.deploy.memory import family, memory_of
from xray_chest_detection.deploy.server import Server
from xray_chest_detection.errors import DeployError

# Answers GET with its process number; takes N megabytes when it is sent N.
SCRIPT = """
import http.server, os, socketserver
held = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, str(os.getpid()).encode())
    def do_POST(self):
        held.append(b"x" * (int(self.rfile.read(int(self.headers["Content-Length"]))) * 1_000_000))
        self.answer(503, b"enough")
    def answer(self, status, content):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def command(folder: Path, text: str = SCRIPT) -> str:
    (folder / "server.py").write_text(text)
    return f"{sys.executable} server.py"


def ask_for_more(server: Server) -> None:
    """4 GB, 20 MB at a time."""
    for _ in range(200):
        server.ask("/", b"20")


def test_answers_and_memory(tmp_path: Path) -> None:
    with Server(command(tmp_path), folder=tmp_path, environment=ENVIRONMENT) as server:
        first = server.first_answer("/")
        pid = int(first.content)
        assert (first.status, server.age_s >= first.seconds > 0) == (200, True)
        enough = server.ask("/", b"50")
        assert (enough.status, enough.content) == (503, b"enough")
        time.sleep(0.3)
        assert server.memory.peak_bytes >= server.memory.now_bytes > 50_000_000
    assert memory_of(pid).now_bytes == 0


def test_a_server_that_takes_too_much_is_killed(tmp_path: Path) -> None:
    limit = 150_000_000
    with Server(command(tmp_path), folder=tmp_path, environment=ENVIRONMENT, limit_bytes=limit) as server:
        server.first_answer("/")
        with pytest.raises(DeployError, match=r"server.py': killed, it took more than 150 MB; choose a larger inst"):
            ask_for_more(server)
        assert server.killed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise SystemExit('no such model')", r"server\.py': ended with status 1; its last line: no such model$"),
        (
            "import time\ntime.sleep(60)",
            r"server\.py': does not answer \(.*refused.*\); its last line: it said nothing$",
        ),
    ],
)
def test_a_server_that_does_not_start(tmp_path: Path, text: str, message: str) -> None:
    server = Server(command(tmp_path, text), folder=tmp_path, environment=ENVIRONMENT)
    with server, pytest.raises(DeployError, match=message):
        server.first_answer("/", timeout_s=3)


def test_children_count_and_end_with_their_parent(tmp_path: Path) -> None:
    parent = "import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'])\n"
    (tmp_path / "child.py").write_text(SCRIPT)
    with Server(command(tmp_path, parent), folder=tmp_path, environment=ENVIRONMENT) as server:
        child = int(server.first_answer("/").content)
        pids = list(family(os.getpid()))
        assert child in pids
        time.sleep(0.3)
        alone = memory_of(child)
        assert server.memory.peak_bytes > alone.peak_bytes > 0
    deadline = time.monotonic() + 10
    while subprocess.run(["kill", "-0", str(child)], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline, "the child outlives the server"
        time.sleep(0.05)


def test_an_answer_that_breaks_off_is_one_line(tmp_path: Path) -> None:
    half = 'self.send_response(200); self.send_header("Content-Length", "100"); self.end_headers()'
    text = SCRIPT.replace('self.answer(503, b"enough")', half)
    with Server(command(tmp_path, text), folder=tmp_path, environment=ENVIRONMENT) as server:
        server.first_answer("/")
        with pytest.raises(DeployError, match=r"does not answer \(IncompleteRead"):
            server.ask("/", b"1")
