"""What /openapi.json says, and whether it is so."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from mondrian.api.schemas import JOB_ID
from mondrian.errors import list_errors
from support.service import Service


def test_openapi_tells_every_route_and_refusal(service: Service) -> None:
    schema = service.client.get("/openapi.json").json()
    operations = {
        (method, path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert ("get", "/stream/{job}") in operations
    assert ("post", "/upload") in operations
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        assert {"400", "401", "403", "500"} <= set(operation["responses"]), (method, path)
        assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in json.dumps(schema)
    shapes = schema["components"]["schemas"]
    assert shapes["UploadAnswer"]["examples"][0]["status"] == "queued"
    refused = operations["post", "/upload"]["responses"]
    assert {"408", "409", "413", "415", "429", "503", "507"} <= set(refused)


def test_everything_is_documented(service: Service) -> None:
    docs = (Path(__file__).parent.parent / "docs" / "http.md").read_text(encoding="utf-8")
    for path, methods in service.client.get("/openapi.json").json()["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in docs
    for error in list_errors():
        assert re.search(rf"^\| {error.http_status} \|.*`{error().code}`", docs, re.MULTILINE), (
            error
        )


@pytest.mark.parametrize("shape", ["JobState", "UploadAnswer", "Problem", "AdvisorEntry"])
def test_examples_are_what_they_show(shape: str) -> None:
    from mondrian.api import schemas

    model = getattr(schemas, shape)
    [example] = model.model_config["json_schema_extra"]["examples"]
    assert set(model.model_validate(example).model_dump()) == set(example)


@pytest.mark.slow
def test_what_openapi_says_is_so(service: Service, tmp_path: Path) -> None:
    """schemathesis sends what the schema allows and what it does not, to a job that is there."""
    example = UUID(JOB_ID)
    service.store.add(replace(service.store.read(UUID(service.send())), id=example))
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,"
    checks += "response_headers_conformance,response_schema_conformance,unsupported_method"
    command = [str(Path(sys.executable).with_name("schemathesis")), "run"]
    command += [f"{service.url}/openapi.json", "--checks", checks, "--max-examples=3"]
    command += ["--phases=examples,coverage,fuzzing", "--seed=1", "--no-color", "--no-shrink"]
    with service.working():
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
