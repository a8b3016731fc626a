"""The demo under gunicorn with the project's own settings, as it runs in production."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PATIENCE_S = 120
UNLIMITED = """
from demo import CONFIG, ROOT, DemoConfig, create_app, read_config
app = create_app(read_config(DemoConfig, CONFIG).model_copy(update={"rate_per_minute": None}), root=ROOT)
"""


@dataclass(frozen=True)
class Server:
    """A running server: its port, the file with everything it said, and the process that was started."""

    port: int
    log: Path
    pid: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def upload(self, content: bytes, name: str = "chest.png", **fields: str) -> int:
        """Status of the answer to a film sent as a form."""
        texts = [f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}' for key, value in fields.items()]
        parts = [text.encode() for text in texts]
        parts.append(f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content)
        body = b"".join(b"--limit\r\n" + part + b"\r\n" for part in parts) + b"--limit--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=limit"}
        return self.ask("POST", "/api/v1/predict", body, kind)[0]

    def worker(self) -> int:
        """The process that answers: the youngest descendant."""
        tree = {self.pid}
        for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) in tree:
                    tree.add(int(stat.parent.name))
        return max(tree)

    def memory_mib(self) -> float:
        """Resident memory of the worker."""
        status = Path(f"/proc/{self.worker()}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def gunicorn(
    folder: Path, *, limited: bool = True, before: Sequence[str] = (), after: Sequence[str] = ()
) -> Iterator[Server]:
    """Start `gunicorn demo:app`, wait until it is ready, and end it at last.

    Args:
        folder: Where its log goes.
        limited: Whether a client may ask only so often, as the shipped configuration says.
        before: A program to run it under.
        after: Further arguments.
    """
    (folder / "unlimited.py").write_text(UNLIMITED)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "demo:app" if limited else "unlimited:app"]
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*before, *command, "--bind", f"127.0.0.1:{port}", *after],
            cwd=PROJECT,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": _path(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    server = Server(port, log, process.pid)
    try:
        _wait(server, process)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def _path(folder: Path) -> str:
    return os.pathsep.join(filter(None, [str(PROJECT), str(folder), os.environ.get("PYTHONPATH")]))


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", "/readyz")[0] == 200:
                return
        assert process.poll() is None, server.log.read_text()
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.2)
