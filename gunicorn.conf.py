"""gunicorn reads this file by itself: `gunicorn demo:app`. The address comes from $PORT, else 127.0.0.1:8000."""

from pathlib import Path

workers = 1  # every worker holds its own copy of the models; onnxruntime uses all cores for one film
threads = 4  # a second film is received and decoded while the models look at the first
timeout = 60
# Nothing is written to disk: the heartbeat file lies in shared memory, the control socket of gunicorn 25 is off.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
