"""A server in a process of its own: started, asked, watched, ended."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from xray_chest_detection.deploy.memory import Memory, memory_of
from xray_chest_detection.errors import DeployError

_SAMPLE_S = 0.05
_RETRY_S = 0.02
_END_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back: status, content and how long it took."""

    status: int
    content: bytes
    seconds: float


class Server:
    """A server that listens on $PORT. As a context manager it runs inside the block, and all its children end with it.

    Its memory is looked at 20 times a second, and when all of its processes together take more than the limit they are
    killed. A peak in between is not missed: the kernel keeps the largest size of each process, which `memory` says.
    Limits of the kernel would need root (cgroups), or count what is reserved but never used (RLIMIT_AS, RLIMIT_DATA).

    Args:
        command: As a shell would run it, for example `gunicorn demo:app`.
        folder: Where it is started.
        environment: All variables it gets beside $PORT.
        limit_bytes: Memory it may take; None: no limit.

    Attributes:
        memory: What it takes, and its peak, as last seen.
        killed: Whether it was killed because it took too much.
    """

    def __init__(
        self, command: str, *, folder: Path, environment: Mapping[str, str], limit_bytes: int | None = None
    ) -> None:
        self._command, self._folder, self._limit = command, folder, limit_bytes
        self._port = _free_port()
        self._environment = {**environment, "PORT": str(self._port)}
        self._ending = threading.Event()
        self.memory = Memory(0, 0)
        self.killed = False

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {self._command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._said: list[str] = []
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._watch, self._listen)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._kill()  # what it has left behind holds its standard error open
        for thread in self._threads:
            thread.join(_END_S)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.perf_counter() - self._started

    def ask(
        self, path: str, content: bytes | None = None, *, kind: str = "image/png", timeout_s: float = 60.0
    ) -> Answer:
        """Ask it once; with content it is a POST.

        Raises:
            DeployError: It does not answer; says why as far as that is known.
        """
        request = urllib.request.Request(
            self.address + path, data=content, headers={"Content-Type": kind} if content else {}
        )
        started = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return Answer(response.status, response.read(), time.perf_counter() - started)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), time.perf_counter() - started)
        except (OSError, http.client.HTTPException) as error:  # the latter when it is killed in the middle of an answer
            raise DeployError(f"'{self._command}': {self._why(getattr(error, 'reason', error))}") from None

    def first_answer(self, path: str, content: bytes | None = None, *, timeout_s: float = 60.0) -> Answer:
        """Ask from the first moment on until there is an answer; `seconds` is counted from the start of the process.

        Raises:
            DeployError: It ends before it answers, or does not answer in time.
        """
        while True:
            try:
                answer = self.ask(path, content, timeout_s=timeout_s)
            except DeployError:
                if self._process.poll() is not None or self.age_s > timeout_s:
                    raise
                time.sleep(_RETRY_S)
            else:
                return Answer(answer.status, answer.content, self.age_s)

    def _why(self, reason: object) -> str:
        if self.killed:
            return f"killed, it took more than {(self._limit or 0) / 1e6:.0f} MB; choose a larger instance_class"
        last = self._said[-1] if self._said else "it said nothing"
        if self._process.poll() is None:
            return f"does not answer ({reason}); its last line: {last}"
        return f"ended with status {self._process.returncode}; its last line: {last}"

    def _watch(self) -> None:
        while not self._ending.wait(_SAMPLE_S) and self._process.poll() is None:
            memory = memory_of(self._process.pid)
            if memory.now_bytes:
                self.memory = Memory(memory.now_bytes, max(memory.peak_bytes, self.memory.peak_bytes))
            if self._limit is not None and memory.now_bytes > self._limit:
                self.killed = True
                self._kill()

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self._said = [*self._said[-20:], line.decode(errors="replace").strip()]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
