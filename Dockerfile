# The web demo in a container, for Cloud Run or any other host: the same entry point as app.yaml.
# Works on a read-only file system: docker run --read-only -p 8080:8080 IMAGE
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt && useradd --uid 10001 --no-create-home demo

COPY demo.py LICENSE ./
COPY configs/demo.yaml configs/
COPY xray_chest_detection/ xray_chest_detection/
COPY images_for_inference/ images_for_inference/
COPY checkpoints/ checkpoints/

USER demo
EXPOSE 8080
# gunicorn's heartbeat file lies in shared memory: nothing is written to disk.
CMD ["sh", "-c", "exec gunicorn --bind :${PORT:-8080} --workers 1 --threads 4 --timeout 60 --worker-tmp-dir /dev/shm demo:app"]
