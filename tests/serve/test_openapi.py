"""The description of the API agrees with the server, whatever is asked: schemathesis makes requests from it."""

import json
from importlib.resources import files

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

API = json.loads(files("minidl.serve").joinpath("page", "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [(path, method.upper()) for path, methods in API["paths"].items() for method in methods]
CASES = [(*operation, "POSITIVE") for operation in OPERATIONS] + [
    (path, method, "NEGATIVE") for path, method in OPERATIONS if method == "POST"]


@pytest.fixture(scope="module")
def schema(client):
    """What schemathesis reads from the server."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: the extra serve-test")
    return schemathesis.openapi.from_url(client.url + "/openapi.json")


@pytest.mark.parametrize(("path", "method", "kind"), CASES)
def test_answers_are_as_described(schema, path, method, kind):
    """No 5xx, and only statuses, media types, headers and contents that the description has.

    Positive cases are as described, but may be refused: random bytes are no image. Negative ones are not.
    """
    from schemathesis import GenerationMode, checks
    asked = schema[path][method]
    tested = [checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
              checks.response_headers_conformance, checks.response_schema_conformance, checks.allow_header_conformance]

    @given(st.data())
    @settings(suppress_health_check=list(HealthCheck))
    def ask(data):
        case = data.draw(asked.as_strategy(generation_mode=GenerationMode[kind]))
        if data.draw(st.booleans()):             # a model that is there, which no random name is
            if "name" in case.path_parameters:
                case.path_parameters["name"] = "grey"
            elif path == "/v1/predict":
                case.query["model"] = "grey"
        case.call_and_validate(checks=tested)
    ask()
