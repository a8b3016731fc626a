# The web demo in a container, for Cloud Run or any other host: the same entry point as app.yaml.
# Works on a read-only file system: docker run --read-only -p 8080:8080 IMAGE
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PORT=8080
WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt && useradd --uid 10001 --no-create-home demo

# What App Engine gets, too: .dockerignore leaves out of these folders what .gcloudignore does.
COPY demo.py gunicorn.conf.py LICENSE ./
COPY configs/demo.yaml configs/demo_cloud.yaml configs/
COPY xray_chest_detection/ xray_chest_detection/
COPY images_for_inference/ images_for_inference/
COPY checkpoints/ checkpoints/

USER demo
EXPOSE 8080
# For hosts with one proxy in front. Without one a client could pretend to be another at every request:
# docker run -e XRAY_DEMO_CONFIG=configs/demo.yaml
ENV XRAY_DEMO_CONFIG=configs/demo_cloud.yaml
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz')"]
CMD ["gunicorn", "demo:app"]
