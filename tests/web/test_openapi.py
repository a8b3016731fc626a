import os
import subprocess
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient

HOOKS = Path(__file__).with_name("films_for_schemathesis.py")


@pytest.fixture
def document(client: FlaskClient) -> dict:
    return client.get("/openapi.json").get_json()


@pytest.mark.slow
def test_the_server_keeps_what_its_document_says(address: str, tmp_path: Path) -> None:
    """Its command line, because that is its stable interface: from Python it needs an older pytest."""
    pytest.importorskip("schemathesis", reason="schemathesis, which attacks the API, is not installed")
    options = [
        "--checks=all",
        "--max-examples=10",
        "--mode=all",
        "--seed=0",
        "--generation-database=none",
        "--no-color",
        "--continue-on-failure",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", *options],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
