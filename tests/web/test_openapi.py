import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from xray_chest_detection.config.demo import DemoConfig
from xray_chest_detection.web.app import create_app
from xray_chest_detection.web.openapi import document as document_of

MODELS = ("multi", "binary", "cardiomegaly", "mass_nodule")
HOOKS = Path(__file__).with_name("films_for_schemathesis.py")


@pytest.fixture
def document(client: FlaskClient) -> dict:
    return client.get("/openapi.json").get_json()


def undescribed(schema: dict, place: str) -> Iterator[str]:
    """The fields of a schema, however deep, that neither say what they are nor point at a schema that does."""
    for name, inner in schema.get("properties", {}).items():
        if not {"description", "$ref"} & set(inner):
            yield f"{place}.{name}"
        for part in (inner, inner.get("items", {}), inner.get("additionalProperties", {})):
            if isinstance(part, dict):
                yield from undescribed(part, f"{place}.{name}")


def test_every_field_and_parameter_is_described(document: dict) -> None:
    missing = [
        field for name, schema in document["components"]["schemas"].items() for field in undescribed(schema, name)
    ]
    assert missing == []
    operation = document["paths"]["/api/v1/predict"]["post"]
    assert all(parameter["description"] for parameter in operation["parameters"])
    assert list(undescribed(operation["requestBody"]["content"]["multipart/form-data"]["schema"], "form")) == []


def test_every_reference_leads_somewhere(document: dict) -> None:
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)):
        found = document
        for part in reference.split("/"):
            found = found[part]


def test_the_examples_are_what_the_schemas_allow(document: dict) -> None:
    jsonschema_rs = pytest.importorskip(
        "jsonschema_rs", reason="jsonschema_rs, which schemathesis brings, is not there"
    )
    responses = [
        response
        for methods in document["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
    ] + list(document["components"]["responses"].values())
    contents = [content for response in responses for content in response.get("content", {}).values()]
    examples = [
        (content["schema"], example)
        for content in contents
        for example in [content.get("example"), *(one["value"] for one in content.get("examples", {}).values())]
        if example is not None
    ]
    assert len(examples) >= 13
    for schema, example in examples:
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).validate(example)


def test_the_document_names_what_this_server_has(document: dict, client: FlaskClient) -> None:
    operation = document["paths"]["/api/v1/predict"]["post"]
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert names == ["models", "conf", *(f"conf_{name}" for name in MODELS), "format", "preview"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["sample"]["enum"] == ["synthetic-effusion-01", "chest-cr"]
    assert list(form["properties"]) == ["file", "sample", *names]
    assert "33,554,432 bytes" in operation["description"]


def test_without_samples_no_sample_can_be_asked_for() -> None:
    operation = document_of(["multi"], [], max_bytes=1)["paths"]["/api/v1/predict"]["post"]
    assert "sample" not in json.dumps(operation["requestBody"])


@pytest.mark.slow
def test_the_server_keeps_what_its_document_says(root: Path, serve: Callable[[Flask], str], tmp_path: Path) -> None:
    """Its command line, because that is its stable interface: from Python it needs an older pytest."""
    address = serve(create_app(DemoConfig(threads=1, rate_per_minute=None), root=root))
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
