"""POST /v1/predict and GET /v1/models: the same predictions as `minidl predict`, whatever way an image is sent."""

import base64
import io
import json
import threading

import numpy as np
import pytest
from PIL import Image
from servers import image_bytes, multipart, running

import zoo
from minidl.cli import main
from minidl.io import save_model


def expected(capsys, tmp_path, model_file, content, top=5):
    """What `minidl predict` says."""
    (tmp_path / "image").write_bytes(content)
    assert main(["predict", str(tmp_path / "image"), "--model", str(model_file), "--json", "--top", str(top)]) == 0
    return json.loads(capsys.readouterr().out)[0]["predictions"]


def same(given, expected):
    assert [(p["class"], p["index"]) for p in given] == [(p["class"], p["index"]) for p in expected]
    np.testing.assert_allclose([p["probability"] for p in given], [p["probability"] for p in expected], rtol=1e-4)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_raw_body_gives_what_the_command_gives(client, capsys, tmp_path, model_files, form):
    content = image_bytes(form)
    answer = client.ask("/v1/predict?model=colour", content, Content_Type="application/octet-stream")
    assert answer.status == 200
    assert answer.body["model"] == "colour"
    assert answer.body["milliseconds"] > 0
    [result] = answer.body["images"]
    assert set(result) == {"file", "predictions"}
    assert result["file"] is None
    same(result["predictions"], expected(capsys, tmp_path, model_files[1], content))


def test_several_images_are_answered_in_order_and_by_name(client, capsys, tmp_path, model_files):
    files = [(f"photo {i}.png", image_bytes()) for i in range(40)]               # more than one batch
    files[7] = ("notes.txt", b"no image")
    body, kind = multipart(*files)
    answer = client.ask("/v1/predict?model=grey&top=2", body, Content_Type=kind)
    assert answer.status == 200
    assert [result["file"] for result in answer.body["images"]] == [name for name, _ in files]
    assert set(answer.body["images"][7]) == {"file", "error"}
    assert "not an image" in answer.body["images"][7]["error"]
    for i in (0, 6, 8, 39):
        same(answer.body["images"][i]["predictions"], expected(capsys, tmp_path, model_files[0], files[i][1], 2))


def test_concurrent_requests_are_computed_in_batches(model_files):
    with running(model_files[:1], max_wait_ms=500, max_batch=8) as client:
        contents = [image_bytes() for _ in range(16)]
        alone = [client.ask("/v1/predict", content).body["images"] for content in contents]
        together = [None] * 16

        def ask(i):
            together[i] = client.ask("/v1/predict", contents[i]).body["images"]
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one, other in zip(alone, together, strict=True):
            same(other[0]["predictions"], one[0]["predictions"])
        metrics = client.ask("/metrics").body.decode()
        assert 'minidl_images_total{model="grey"} 32.0' in metrics
        assert 'minidl_queue_images 0.0' in metrics


def test_grad_cam_has_the_size_of_the_input_and_an_opacity(client):
    answer = client.ask("/v1/predict?model=colour&cam=1", image_bytes())
    cam = answer.body["images"][0]["cam"]
    assert cam["class"] == answer.body["images"][0]["predictions"][0]["class"]
    assert cam["layer"] in dict(zoo.create("simple_cnn").named_modules())
    for name, mode in (("image", "RGB"), ("heat", "RGBA")):
        kind, _, data = cam[name].partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert (picture.size, picture.mode) == ((28, 28), mode)


def test_the_picture_in_grad_cam_is_what_was_sent(client):
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    answer = client.ask("/v1/predict?model=grey&cam=1", file.getvalue())
    picture = answer.body["images"][0]["cam"]["image"].partition(",")[2]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))), pixels)


def test_models_are_listed(client):
    answer = client.ask("/v1/models")
    grey, colour = answer.body["models"]
    assert grey == {"name": "grey", "architecture": "lenet5", "parameters": 61_706, "input": [1, 28, 28],
                    "classes": list("abcdefghij"), "drawable": True}
    assert (colour["name"], colour["drawable"]) == ("colour", False)


def test_the_drawing_of_a_network(client):
    answer = client.ask("/v1/models/grey/network.svg")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert b"conv1" in answer.body
    assert client.ask("/v1/models/red/network.svg").status == 404


def test_a_single_logit_means_two_classes(capsys, tmp_path):
    path, content = tmp_path / "one.safetensors", image_bytes()
    save_model(path, zoo.create("lenet5", num_classes=1), classes=["no", "yes"], input=(1, 28, 28))
    with running([path]) as client:
        [result] = client.ask("/v1/predict?cam=1", content).body["images"]
        same(result["predictions"], expected(capsys, tmp_path, path, content))
        assert sum(p["probability"] for p in result["predictions"]) == pytest.approx(1)
        assert result["cam"]["class"] == "yes"


def test_one_model_needs_no_name(model_files):
    with running([f"other={model_files[0]}"]) as client:
        assert client.ask("/v1/predict", image_bytes()).body["model"] == "other"


@pytest.mark.parametrize(("path", "body", "status", "part"), [
    ("/v1/predict", b"x", 400, "choose one with ?model=, from grey, colour"),
    ("/v1/predict?model=red", b"x", 404, "there is no model 'red'; there are grey, colour"),
    ("/v1/predict?model=grey", b"", 400, "the body is empty"),
    ("/v1/predict?model=grey", b"no image", 400, "not an image"),
    ("/v1/predict?model=grey", image_bytes()[:300], 400, "a damaged image"),
    ("/v1/predict?model=grey&topp=3", b"x", 400, "there is no option 'topp'; there are model, top and cam"),
    ("/v1/predict?model=grey&top=0", b"x", 400, "top='0' is not a whole number of at least 1"),
    ("/v1/predict?model=grey&top=²", b"x", 400, "is not a whole number"),
    ("/v1/predict?model=grey&top=1&top=2", b"x", 400, "given twice"),
    ("/v1/predict?model=grey&cam=maybe", b"x", 400, "cam='maybe' is not 0 or 1"),
    ("/v1/nothing", None, 404, "Not Found"),
    ("/v1/models", b"x", 405, "Method Not Allowed"),
    ("/page/..%2fserver.py", None, 404, "Not Found"),
    ("/page/server.py", None, 404, "there is no file 'server.py'"),
])
def test_errors_say_what_is_wrong(client, path, body, status, part):
    answer = client.ask(path.replace("²", "%C2%B2"), body)
    assert (answer.status, list(answer.body)) == (status, ["error"])
    assert part in answer.body["error"]


@pytest.mark.parametrize(("body", "kind", "part"), [
    (*multipart(("a.png", b"x"), field="image"), "'image' is not a file called images; send files in the field images"),
    (*multipart(), "no file in the field images"),
    (b"--limit\r\n", "multipart/form-data", "has no boundary"),
    (b"nothing of the kind", "multipart/form-data; boundary=limit", "cannot be read"),
    (b'--limit\r\nContent-Disposition: form-data\r\n\r\nx\r\n--limit--\r\n', "multipart/form-data; boundary=limit",
     "the field '' is not a file"),
    (b'--limit\r\nContent-Disposition: form-data; name="images"\r\n\r\nx\r\n--limit--\r\n',
     "multipart/form-data; boundary=limit", "the field 'images' is not a file"),
    (multipart(("a.png", b"x"))[0][:70], "multipart/form-data; boundary=limit", "ends before its last boundary"),
])
def test_multipart_bodies_that_are_none(client, body, kind, part):
    answer = client.ask("/v1/predict?model=grey", body, Content_Type=kind)
    assert answer.status == 400
    assert part in answer.body["error"]


def test_request_ids(client):
    assert client.ask("/v1/models", X_Request_Id="mine-1").headers["x-request-id"] == "mine-1"
    for bad in ("a b", "x" * 65, "<script>"):
        assert client.ask("/v1/models", X_Request_Id=bad).headers["x-request-id"] not in (bad, "")
