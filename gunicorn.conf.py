"""gunicorn reads this file by itself: `gunicorn demo:app`. The address comes from $PORT, else 127.0.0.1:8000."""

from pathlib import Path
from typing import Any

workers = 1  # every worker holds its own copy of the models; the models of one film already keep all cores busy
threads = 24  # a thread for each film in work or waiting (`films_at_once`, `max_queue`), and some for the pages
timeout = 60
# Nothing is written to disk: the heartbeat file lies in shared memory, the control socket of gunicorn 25 is off.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 -- gunicorn has no types
    """Load and warm the models before the worker takes its first request; until then requests wait in the socket."""
    worker.wsgi.extensions["models"].registry()
