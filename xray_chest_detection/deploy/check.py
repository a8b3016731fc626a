"""The rehearsal of a deployment: the same files, only the required packages, the same entry point, as much memory."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from xray_chest_detection.config.base import read_config
from xray_chest_detection.config.demo import MIB, DemoConfig
from xray_chest_detection.deploy.films import Film, films
from xray_chest_detection.deploy.python import Python
from xray_chest_detection.deploy.server import Server
from xray_chest_detection.deploy.settings import Settings, read_settings
from xray_chest_detection.deploy.upload import MAX_FILE_BYTES, MAX_FILES, copy_upload, find_upload, problems
from xray_chest_detection.errors import DeployError

PREDICT = "/api/v1/predict"
WARM_UP = "/_ah/warmup"
CONFIG_VARIABLE, CONFIG = "XRAY_DEMO_CONFIG", "configs/demo.yaml"  # as in demo.py
AT_ONCE = 8  # `max_concurrent_requests` of app.yaml


@dataclass(frozen=True)
class Step:
    """Something that was checked: its name, and what was found."""

    name: str
    found: str


def check(root: Path, python: Python) -> Iterator[Step]:
    """Rehearse a deployment of a project in a temporary folder, step by step.

    Args:
        root: The project, with its `app.yaml`.
        python: What makes the clean environment.

    Raises:
        XrayError: At the first step that fails, in one line.
    """
    settings = read_settings(root)
    upload = find_upload(root)
    found = problems(upload, settings)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DeployError(f"{found[0]}{more}")
    name, size = upload.largest
    yield Step(
        "upload",
        f"{len(upload.files)} of {MAX_FILES:,} files, {upload.total_bytes / MIB:.1f} MiB; "
        f"largest {name}, {size / MIB:.1f} of {MAX_FILE_BYTES / MIB:.0f} MiB",
    )
    with tempfile.TemporaryDirectory(prefix="xray-deploy-") as scratch:
        folder, venv = Path(scratch) / "upload", Path(scratch) / "venv"
        copy_upload(root, upload.files, folder)
        yield Step("python", python.describe(settings.python))
        yield Step("packages", install(python, venv, folder / "requirements.txt"))
        yield from serve(folder, venv, settings)


def install(python: Python, venv: Path, requirements: Path) -> str:
    """Make an environment with the required packages only; says how many there are and what they take on disk.

    Raises:
        DeployError: They cannot be installed, or do not fit together.
    """
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([python.path, "-m", "venv", str(venv)], doing="making a clean environment")
    _run([*pip, "install", "-r", str(requirements)], doing=f"installing {requirements.name}")
    _run([*pip, "check"], doing="checking the packages")
    size = sum(file.stat().st_size for file in venv.rglob("*") if file.is_file())
    count = sum(1 for _ in venv.glob("lib/*/site-packages/*.dist-info"))
    return f"{count} packages from requirements.txt, {size / 1e6:.0f} MB on disk"


def serve(folder: Path, venv: Path, settings: Settings) -> Iterator[Step]:
    """Start the entry point within the memory of the instance class, and ask it for real.

    Raises:
        DeployError: It does not start, does not answer as it should, or takes too much memory.
    """
    config = read_config(DemoConfig, folder / settings.environment.get(CONFIG_VARIABLE, CONFIG))
    environment = {"PATH": f"{venv / 'bin'}:{os.defpath}", "HOME": str(folder), **settings.environment}
    sent = films(max_pixels=config.max_pixels, max_bytes=config.max_upload_mib * MIB)
    with Server(
        settings.entrypoint, folder=folder, environment=environment, limit_bytes=settings.memory_bytes
    ) as server:
        warm = server.first_answer(WARM_UP)
        if warm.status != HTTPStatus.OK or (errors := json.loads(warm.content)["errors"]):
            raise DeployError(
                f"{WARM_UP}: {warm.status}, {_short(errors if warm.status == HTTPStatus.OK else warm.content)}"
            )
        first = server.ask(PREDICT, sent[0].content, kind=sent[0].kind)
        yield Step("start", f"warm {warm.seconds:.1f} s after the start, first film read in {first.seconds:.2f} s more")
        for film in sent:
            seconds = read(server, film)
            yield Step(film.name, f"{len(film.content) / 1e6:.1f} MB read in {seconds:.2f} s")
        yield Step("at once", together(server, sent))
        alive = server.ask("/healthz")
        if alive.status != HTTPStatus.OK:
            raise DeployError(f"/healthz: {alive.status} after the films; {_short(alive.content)}")
        memory = server.memory
    if memory.peak_bytes > settings.memory_bytes:
        raise DeployError(
            f"memory: {memory.peak_bytes / 1e6:.0f} MB at the most, {settings.instance_class} has "
            f"{settings.memory_bytes / 1e6:.0f}; choose a larger instance_class, or lower max_pixels or films_at_once"
        )
    yield Step(
        "memory",
        f"at the most {memory.peak_bytes / 1e6:.0f} of {settings.memory_bytes / 1e6:.0f} MB, {settings.instance_class} "
        "(the largest sizes of its processes added up; killed above it)",
    )


def read(server: Server, film: Film) -> float:
    """Send a film and take its answer apart; the seconds it took.

    Raises:
        DeployError: The answer is no result of all models.
    """
    answer = server.ask(PREDICT, film.content, kind=film.kind)
    if answer.status != HTTPStatus.OK:
        raise DeployError(f"{film.name}: {answer.status}, {_short(answer.content)}")
    body = json.loads(answer.content)
    if body["errors"] or not body["models"]:
        raise DeployError(f"{film.name}: {_short(body['errors'] or 'no model answered')}")
    return answer.seconds


def together(server: Server, sent: Sequence[Film]) -> str:
    """Send films at the same time, as many as an instance is given; all must be read or be asked to come back.

    Raises:
        DeployError: Any other answer.
    """
    batch = [sent[number % len(sent)] for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda film: server.ask(PREDICT, film.content, kind=film.kind, timeout_s=120), batch))
    statuses = [answer.status for answer in answers]
    for film, status, answer in zip(batch, statuses, answers, strict=True):
        if status not in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            raise DeployError(f"{film.name} among {AT_ONCE} at once: {status}, {_short(answer.content)}")
    later = len(statuses) - statuses.count(HTTPStatus.OK)
    if later == len(statuses):
        raise DeployError(f"{AT_ONCE} films at once: none was read, all were asked to come back later")
    slowest = max(answer.seconds for answer in answers)
    return f"{AT_ONCE - later} of {AT_ONCE} films read, {later} asked to come back; the slowest took {slowest:.1f} s"


def _run(command: Sequence[str], *, doing: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]
        reason = lines[-1] if lines else _short(done.stderr or done.stdout or done.returncode)
        raise DeployError(f"{doing} failed: {reason}")
    return done.stdout


def _short(said: object) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split())[:200]
