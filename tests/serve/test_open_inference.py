"""The Open Inference Protocol: with Triton's own client, and with requests that are wrong."""

import json
import struct

import numpy as np
import pytest
from servers import image_bytes

import zoo
from minidl.evaluation import predict
from minidl.evaluation.probable import softmax

HEADER = "Inference_Header_Content_Length"
BATCH = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)


@pytest.fixture(scope="module")
def logits(model_files):
    return predict(zoo.load(model_files[0]), BATCH)


def close(given, expected):
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def triton(client):
    http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed: the extra serve-test")
    client = http.InferenceServerClient(client.url.removeprefix("http://"))
    yield client
    client.close()


def test_triton_asks_about_server_and_models(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("grey")
    assert triton.is_model_ready("grey", "1")
    assert not triton.is_model_ready("red")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    assert triton.get_model_metadata("grey")["inputs"] == [
        {"name": "input", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_triton_infers(triton, logits, binary_input, binary_output):
    import tritonclient.http as http
    tensor = http.InferInput("input", list(BATCH.shape), "FP32")
    tensor.set_data_from_numpy(BATCH, binary_data=binary_input)
    outputs = [http.InferRequestedOutput(name, binary_data=binary_output) for name in ("logits", "probabilities")]
    result = triton.infer("grey", [tensor], outputs=outputs, request_id="seven")
    assert result.get_response()["id"] == "seven"
    close(result.as_numpy("logits"), logits)
    close(result.as_numpy("probabilities"), softmax(logits))


def test_triton_asks_for_all_outputs_by_default(triton, logits):
    import tritonclient.http as http
    tensor = http.InferInput("input", list(BATCH.shape), "FP32")
    tensor.set_data_from_numpy(BATCH)
    close(triton.infer("grey", [tensor]).as_numpy("logits"), logits)


def test_triton_is_told_errors(triton):
    import tritonclient.http as http
    from tritonclient.utils import InferenceServerException
    tensor = http.InferInput("input", [1, 3], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 3), np.float32))
    with pytest.raises(InferenceServerException, match="the input's shape"):
        triton.infer("grey", [tensor])


def request(**changes):
    tensor = {"name": "input", "datatype": "FP32", "shape": [3, 1, 28, 28], "data": BATCH.ravel().tolist(), **changes}
    return {"inputs": [{name: value for name, value in tensor.items() if value is not None}]}


@pytest.mark.parametrize("data", [BATCH.ravel().tolist(), BATCH.tolist()], ids=["flat", "nested"])
def test_json(client, logits, data):
    answer = client.ask("/v2/models/grey/infer", json.dumps({**request(data=data), "id": "x"}).encode())
    assert answer.status == 200
    assert (answer.body["model_name"], answer.body["id"]) == ("grey", "x")
    probabilities, given = answer.body["outputs"]
    assert (given["name"], given["datatype"], given["shape"]) == ("logits", "FP32", [3, 10])
    close(np.reshape(given["data"], (3, 10)), logits)
    close(np.sum(np.reshape(probabilities["data"], (3, 10)), 1), 1)


def test_binary_output_for_all(client, logits):
    content = {**request(), "parameters": {"binary_data_output": True}, "outputs": [{"name": "logits"}]}
    answer = client.ask("/v2/models/grey/infer", json.dumps(content).encode())
    length = int(answer.headers["inference-header-content-length"])
    [output] = json.loads(answer.body[:length])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(answer.body) - length == 120
    close(np.frombuffer(answer.body[length:], "<f4").reshape(3, 10), logits)


WRONG = {
    "no JSON": (b"{", "not JSON"),
    "no bytes of text": (b"\xff\xfe{}", "not JSON"),
    "a number": (b"7", "not a JSON object"),
    "deep": (b"[" * 100_000, "not JSON"),
    "a long number": (b'{"id": ' + b"9" * 5000 + b"}", "not JSON"),
    "no input": (b"{}", "inputs is not a list"),
    "two inputs": (json.dumps({"inputs": request()["inputs"] * 2}).encode(), "one tensor"),
    "a text as input": (b'{"inputs": ["input"]}', "inputs is not"),
    "id": (json.dumps({**request(), "id": 7}).encode(), "id is not a string"),
    "parameters": (json.dumps({**request(), "parameters": 7}).encode(), "parameters is not an object"),
    "a flag": (json.dumps({**request(), "parameters": {"binary_data_output": 1}}).encode(), "true or false"),
    "outputs": (json.dumps({**request(), "outputs": []}).encode(), "outputs is not a list"),
    "an output": (json.dumps({**request(), "outputs": [{"name": ["x"]}]}).encode(), "no output"),
    "classification": (json.dumps({**request(), "outputs": [{"name": "logits", "parameters": {"classification": 3}}]}
                                  ).encode(), "classification is not supported"),
    "huge": (json.dumps(request(data=[1e300] * 2352)).encode(), "NaN or infinity"),
    "infinite": (json.dumps(request(data=[float("inf")] * 2352)).encode(), "NaN or infinity"),
    **{f"{name}={value!r:.20}": (json.dumps(request(**{name: value})).encode(), part) for name, value, part in [
        ("name", "x", "must be named input"), ("datatype", "FP64", "be FP32"), ("datatype", None, "be FP32"),
        ("shape", None, "shape is None"), ("shape", [0, 1, 28, 28], "N of at least 1"), ("shape", 3, "shape is 3"),
        ("shape", [3, 1, 28, True], "shape"), ("shape", [3.0, 1, 28, 28], "shape"), ("shape", [10**9, 1, 28, 28], ""),
        ("shape", [2, 1, 28, 28], "2352 numbers"), ("data", None, "not a list of numbers"), ("data", "7", "not a list"),
        ("data", ["1"] * 2352, "not a list of numbers"), ("data", [True] * 2352, "not a list of numbers"),
        ("data", [[1], [1, 2]], "not a list"), ("data", [[1.0] * 784] * 3, "input's shape"), ("data", [10**400], ""),
        ("parameters", {"binary_data_size": 9408}, "but 0 bytes follow"), ("parameters", [], "not an object"),
    ]},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_requests(client, name):
    body, part = WRONG[name]
    answer = client.ask("/v2/models/grey/infer", body)
    assert 400 <= answer.status < 500
    assert part in answer.body["error"]


@pytest.mark.parametrize(("size", "given", "length", "part"), [
    (9408, 9404, None, "binary_data_size is 9408, but 9404 bytes"),
    (9404, 9408, None, "binary_data_size is 9404, but 9408 bytes"),
    (9404, 9404, None, "2351 numbers"),
    (9407, 9407, None, "whole number of FP32"),
    (-4, 0, None, "binary_data_size is -4"),
    ("9408", 9408, None, "binary_data_size is '9408'"),
    (True, 1, None, "binary_data_size is True"),
    (9408, 9408, "-1", "is not the length"),
    (9408, 9408, "1000000", "is not the length"),
    (9408, 9408, "99999999999999999999", "is not the length"),
    (9408, 9408, "20", "not JSON"),
])
def test_wrong_binary_lengths(client, size, given, length, part):
    text = json.dumps(request(data=None, parameters={"binary_data_size": size})).encode()
    answer = client.ask("/v2/models/grey/infer", text + bytes(given), **{HEADER: length or str(len(text))})
    assert answer.status == 400
    assert part in answer.body["error"]


def test_bytes_that_are_nan(client):
    text = json.dumps(request(data=None, parameters={"binary_data_size": 9408})).encode()
    body = text + struct.pack("<f", float("nan")) * 2352
    answer = client.ask("/v2/models/grey/infer", body, **{HEADER: str(len(text))})
    assert answer.status == 400
    assert "NaN" in answer.body["error"]


def test_outputs_that_are_nan(client, monkeypatch):
    from minidl.serve.models import Served
    monkeypatch.setattr(Served, "logits", lambda self, images: np.full((len(images), 10), np.nan, np.float32))
    answer = client.ask("/v2/models/grey/infer", json.dumps(request()).encode())
    assert (answer.status, "NaN or infinity" in answer.body["error"]) == (422, True)
    answer = client.ask("/v1/predict?model=grey", image_bytes())
    assert (answer.status, "NaN or infinity" in answer.body["error"]) == (422, True)


def test_bytes_that_nothing_refers_to(client):
    text = json.dumps(request()).encode()
    answer = client.ask("/v2/models/grey/infer", text + bytes(8), **{HEADER: str(len(text))})
    assert answer.status == 400
    assert "8 bytes follow the JSON" in answer.body["error"]


@pytest.mark.parametrize("path", ["/v2/models/red", "/v2/models/red/ready", "/v2/models/grey/versions/2",
                                  "/v2/models/grey/versions/2/ready"])
def test_models_and_versions_that_do_not_exist(client, path):
    assert client.ask(path).status == 404
