"""`minidl predict`, `zoo` and `convert`: output, error messages and exit codes."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minidl.nn as nn
import zoo
from minidl.cli import main
from minidl.io import CheckpointError, save_checkpoint, save_model
from minidl.io.image import Preprocessing, read_image
from minidl.train import predict

sys.path.insert(0, str(Path(__file__).parents[1] / "io"))
from torch_writer import of_array, write_zip

ROOT = Path(__file__).parents[2]
CLASSES = ["one", "two", "three, or more"]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, zoo.create("lenet5", in_channels=3, num_classes=3), classes=CLASSES, input=(3, 28, 28),
               mean=(0.5,) * 3, std=(0.25,) * 3)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with three images, one of them in a subfolder, and a file that is not an image."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("images/below")
    for name in ("images/b.png", "images/a.JPG", "images/below/c.png"):
        Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(name)
    Path("images/notes.txt").write_text("no image")
    return tmp_path


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    code = main(list(map(str, arguments)))
    return code, *capsys.readouterr()


def expected(model_file, file):
    """Probabilities computed step by step."""
    model = zoo.load(model_file)
    logits = predict(model, Preprocessing.of(model.about)(read_image(file))[None])[0]
    return np.exp(logits) / np.exp(logits).sum()


def test_text_output(capsys, folder, model_file):
    code, out, _ = run(capsys, "predict", "images/b.png", "--model", model_file, "--top", 2)
    assert code == 0
    chances = expected(model_file, "images/b.png")
    best, second = np.argsort(-chances)[:2]
    assert out.splitlines() == ["images/b.png", f"{chances[best]:>9.2%}  {CLASSES[best]}",
                                f"{chances[second]:>9.2%}  {CLASSES[second]}"]


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_json_output_for_a_folder(capsys, folder, model_file, batch_size):
    code, out, _ = run(capsys, "predict", "images", "--model", model_file, "--json", "-b", batch_size)
    assert code == 0
    results = json.loads(out)
    files = [os.path.join("images", name) for name in ("a.JPG", "b.png", os.path.join("below", "c.png"))]
    assert [result["file"] for result in results] == files
    for result in results:
        chances, predictions = expected(model_file, result["file"]), result["predictions"]
        order = np.argsort(-chances)
        assert [prediction["class"] for prediction in predictions] == [CLASSES[i] for i in order]
        assert [prediction["index"] for prediction in predictions] == order.tolist()
        np.testing.assert_allclose([prediction["probability"] for prediction in predictions], chances[order], rtol=1e-5)


def test_csv_output_for_a_pattern(capsys, folder, model_file):
    code, out, _ = run(capsys, "predict", "images/**/*.png", "--model", model_file, "--csv", "--top", 1)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["file"], row["rank"]) for row in rows] == [("images/b.png", "1"), ("images/below/c.png", "1")]
    assert all(CLASSES[int(row["index"])] == row["class"] for row in rows)


def test_unreadable_images_are_reported_and_skipped(capsys, folder, model_file):
    Path("empty").mkdir()
    Path("images/cut.png").write_bytes(Path("images/b.png").read_bytes()[:300])
    code, out, err = run(capsys, "predict", "images/notes.txt", "images/b.png", "nothing.jpg", "*.gif", "empty",
                         "images/cut.png", "--model", model_file, "--json")
    assert code == 1
    assert [list(result) for result in json.loads(out)] == [
        ["file", "error"], ["file", "predictions"], *[["file", "error"]] * 4]
    reported = [line for line in err.splitlines() if line.startswith("minidl predict: ")]
    for line, part in zip(reported, [
            "images/notes.txt: not an image", "nothing.jpg: No such file", "*.gif: No such file",
            "empty: there is no image in this folder", "images/cut.png: a damaged image"], strict=True):
        assert part in line


def test_ctrl_c_prints_the_predictions_so_far(capsys, folder, model_file, monkeypatch):
    def stopped(preprocessing, file):
        if file.endswith("b.png"):
            raise KeyboardInterrupt
        return preprocessing(read_image(file))
    monkeypatch.setattr(Preprocessing, "read", stopped)
    code, out, err = run(capsys, "predict", "images", "--model", model_file, "--json", "-b", 1)
    assert (code, err.splitlines()[-1]) == (130, "minidl predict: stopped")
    assert [result["file"] for result in json.loads(out)] == [os.path.join("images", "a.JPG")]


def test_no_readable_image(capsys, folder, model_file):
    code, out, _ = run(capsys, "predict", "images/notes.txt", "--model", model_file, "--csv")
    assert (code, out.splitlines()) == (1, ["file,rank,class,index,probability"])


def outside(*arguments, output="", **environment):
    """A finished `minidl predict` in its own process, with `output` after the command, as in >&- ."""
    command = " ".join([sys.executable, "-m", "minidl", "predict", *map(shlex.quote, map(str, arguments)), output])
    return subprocess.run(command, shell=True, capture_output=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment})


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of files are text, or in UTF-8")


@pytest.fixture
def foreign_names(folder, tmp_path):
    """A model file with classes, and a folder with images, whose names ASCII cannot encode."""
    classes = ["crème", "日本", "c"]
    save_model(tmp_path / "m", zoo.create("lenet5", in_channels=3, num_classes=3), classes=classes, input=(3, 28, 28))
    content = Path("images/b.png").read_bytes()
    os.mkdir("foreign")
    for name in (b"foreign/\xff.png", "foreign/crème.png".encode()):
        Path(os.fsdecode(name)).write_bytes(content)
    return tmp_path / "m"


@on_linux
def test_names_that_stdout_cannot_encode(foreign_names):
    done = outside("foreign", "nothing\u65e5.png", "--model", foreign_names, "--top", 3, **ASCII)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"\\u65e5\\u672c" in done.stdout
    assert b"cr\\xe8me" in done.stdout
    assert len(done.stdout.splitlines()) == 8                        # two images, three classes each


@on_linux
@pytest.mark.parametrize("environment", [ASCII, {"PYTHONIOENCODING": "utf-16"}, {}])
def test_json_is_valid_and_csv_is_utf_8_in_every_locale(foreign_names, environment):
    done = outside("foreign", "nothing.png", "--model", foreign_names, "--json", **environment)
    results = json.loads(done.stdout.decode("utf-16" if environment.get("PYTHONIOENCODING") == "utf-16" else "ascii"))
    assert [result["file"] for result in results] == ["foreign/crème.png", "foreign/\udcff.png", "nothing.png"]
    assert {prediction["class"] for prediction in results[0]["predictions"]} == {"crème", "日本", "c"}
    done = outside("foreign", "nothing.png", "--model", foreign_names, "--csv", **environment)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert {row["file"] for row in rows} == {"foreign/crème.png", "foreign/\\udcff.png"}
    assert {row["class"] for row in rows} == {"crème", "日本", "c"}


@pytest.mark.skipif(os.name == "nt", reason="the shell has no >&-")
@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"]])
def test_closed_and_full_stdout_are_one_line(folder, model_file, form):
    done = outside("images/b.png", "--model", model_file, *form, output=">&-")
    assert (done.returncode, done.stderr.decode()) == (
        2, "minidl predict: stdout is closed, so the result cannot be printed\n")
    if os.path.exists("/dev/full"):
        done = outside("images/b.png", "--model", model_file, *form, output="> /dev/full")
        assert done.returncode == 2
        assert done.stderr.decode().splitlines()[-1] == "minidl predict: No space left on device"
        assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the shell has no 2>&-")
def test_errors_do_not_go_to_stdout_where_stderr_is_closed(folder, model_file):
    done = outside("nothing.png", "images/b.png", "--model", model_file, "--json", output="2>&-")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)) == 2


def test_folder_that_cannot_be_read_costs_nothing(capsys, folder, model_file, locked_below):
    code, out, err = run(capsys, "predict", "images", "", "a\0b", "x" * 5000, "--model", model_file, "--json")
    assert code == 1
    assert [list(result)[1] for result in json.loads(out)] == ["predictions"] * 2 + ["error"] * 4
    for part in (os.path.join("images", "below") + ": Permission denied", "'' is not the name of a file",
                 "is not the name of a file", "File name too long"):
        assert part in err


def test_photo_that_vanishes_costs_nothing(capsys, folder, model_file, monkeypatch):
    read = Preprocessing.read

    def vanished(preprocessing, file):
        if file.endswith("b.png"):
            raise FileNotFoundError(2, "No such file or directory", file)
        return read(preprocessing, file)
    monkeypatch.setattr(Preprocessing, "read", vanished)
    code, out, err = run(capsys, "predict", "images", "--model", model_file, "--csv", "--top", 1)
    assert (code, len(out.splitlines())) == (1, 3)
    assert "b.png: No such file" in err


def test_predictions_survive_an_error_in_a_later_batch(capsys, folder, model_file, monkeypatch):
    calls = []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError("no memory for 9 TiB")
        return predict(*arguments)
    monkeypatch.setattr("minidl.commands.predict.predict", fails)
    code, out, err = run(capsys, "predict", "images", "--model", model_file, "--json", "-b", 1)
    assert (code, len(json.loads(out))) == (2, 1)
    assert "no memory for 9 TiB" in err


def test_one_output_that_is_not_finite_costs_one_image(capsys, folder, model_file, monkeypatch):
    def broken(model, images, device):
        logits = predict(model, images, device)
        logits[1] = np.nan
        return logits
    monkeypatch.setattr("minidl.commands.predict.predict", broken)
    code, out, err = run(capsys, "predict", "images", "--model", model_file, "--json")
    assert code == 1
    assert [list(result)[1] for result in json.loads(out)] == ["predictions", "error", "predictions"]
    assert "b.png: the model's output for this image is NaN or infinity" in err


def test_existing_file_precedes_a_pattern(capsys, folder, model_file):
    Path("images/b.png").rename("[b].png")
    assert run(capsys, "predict", "[b].png", "--model", model_file)[0] == 0


def test_unnamed_classes_are_printed_by_index(capsys, folder, tmp_path):
    save_model(tmp_path / "m", zoo.create("lenet5", num_classes=3), input=(1, 28, 28))
    code, out, _ = run(capsys, "predict", "images/b.png", "--model", tmp_path / "m")
    assert code == 0
    assert sorted(line.split()[-1] for line in out.splitlines()[1:]) == ["0", "1", "2"]


def wrong_files(folder):
    """Write files that are not usable model files; returns {name: reason}."""
    weights = zoo.create("lenet5").state_dict()
    save_checkpoint(folder / "weights", weights)
    (folder / "text").write_text("hello, this is no model at all")
    save_model(folder / "no input", zoo.create("lenet5"))
    save_model(folder / "classes", zoo.create("lenet5"), classes=["a"], input=(1, 28, 28))
    save_checkpoint(folder / "nan", {name: np.full_like(array, np.nan) for name, array in weights.items()},
                    {"architecture": zoo.create("lenet5").architecture, "input": [1, 28, 28]})
    return {"weights": "does not say which network", "text": "neither safetensors nor", "nothing": "no such file",
            "nan": "NaN or infinity",
            "no input": "its input shape is None", "classes": "names 1 classes, but the model has 10"}


def test_unusable_model_file_is_one_line(capsys, folder):
    for name, reason in wrong_files(folder).items():
        code, out, err = run(capsys, "predict", "images/b.png", "--model", name)
        assert (code, out) == (2, "")
        assert reason in err.splitlines()[-1]
        assert err.splitlines()[-1].startswith("minidl predict: ")


def test_unknown_device_is_refused(capsys, folder, model_file):
    code, _, err = run(capsys, "predict", "images/b.png", "--model", model_file, "--device", "tpu")
    assert code == 2
    assert "tpu" in err


@pytest.mark.parametrize("arguments", [["predict", "a"], ["predict", "--model", "m"], ["convert", "w"],
                                       ["predict", "a", "--model", "m", "--top", "0"],
                                       ["predict", "a", "--model", "m", "--json", "--csv"],
                                       ["convert", "w", "-o", "x", "--set", "width"],
                                       ["convert", "w", "-o", "x", "--mean", "a,b"]])
def test_invalid_arguments_exit_with_2(arguments):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


# convert

def test_convert_writes_a_model_file(capsys, tmp_path):
    model = zoo.create("lenet5", in_channels=3, num_classes=3)
    np.savez(tmp_path / "w.npz", **model.state_dict())
    (tmp_path / "names").write_text("\n".join(CLASSES) + "\n")
    code, out, _ = run(capsys, "convert", tmp_path / "w.npz", "--model", "lenet5", "--set", "in_channels=3", "--set",
                       "num_classes=3", "--classes", tmp_path / "names", "--input", "3,28,28", "--resize", 32,
                       "--mean", ".5,.5,.5", "-o", tmp_path / "m")
    assert code == 0
    parameters = sum(array.size for array in model.state_dict().values())
    assert out == f"{tmp_path / 'm'}: lenet5, {parameters:,} parameters; not given: --std\n"
    back = zoo.load(tmp_path / "m")
    assert back.about == {"classes": CLASSES, "input": [3, 28, 28], "resize": 32, "mean": [0.5] * 3}
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(back.state_dict()[name], array)


@pytest.mark.parametrize(("more", "reason"), [
    ([], "does not say which network it is for; add --model NAME"),
    (["--model", "lenet"], "did you mean lenet5"),
    (["--model", "lenet5", "--set", "widht=1"], "no setting 'widht'"),
    (["--model", "lenet5", "--set", "num_classes=4"], "for 10 classes and the model is for 4"),
    (["--model", "simple_cnn"], "is missing"),
    (["--model", "lenet5", "--classes", "nothing"], "--classes nothing: there is no such file; it takes a text file"),
    (["--model", "lenet5", "--classes", __file__], "the network has 10 classes, but the number of class names is"),
    (["--model", "lenet5", "--input", "3,28,28"], "--input 3,28,28 does not fit the network, which has in_channels=1"),
    (["--model", "lenet5", "--mean", "0.5,0.5"], "mean must be one finite number per channel, 1 in all"),
    (["--model", "lenet5", "--std", "0"], "std must be positive, not (0.0,)"),
    (["--model", "lenet5", "--mean", "127.5"], "(127.5) is for pixels in 0..255; divided by 255 it is (0.5)"),
    (["--model", "lenet5", "--std", "57.375"], "divided by 255 it is (0.225)"),
    (["--model", "lenet5", "--set", "num_classes=4"], "`minidl convert --set num_classes=10` makes"),
    (["--model", "lenet5", "--key", "net"], "only files of PyTorch hold dictionaries"),
    (["--model", "lenet5", "--key", "net."], "none of its names begins with 'net.'"),
    (["--model", "lenet5", "-o", "."], "cannot write .: Is a directory"),
    (["--model", "lenet5", "-o", ""], "'' is not the name of a file"),
])
def test_convert_refuses_what_does_not_fit(capsys, tmp_path, more, reason):
    np.savez(tmp_path / "w.npz", **zoo.create("lenet5").state_dict())
    code, out, err = run(capsys, "convert", tmp_path / "w.npz", "-o", tmp_path / "m", *more)
    assert (code, out) == (2, "")
    assert reason in err
    assert not (tmp_path / "m").exists()
    for word in ("PosixPath", "WindowsPath", "new_head=True", "load_state_dict", "load_weights(", "create="):
        assert word not in err


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfone\ntwo\n", b"one\r\ntwo\r\n\r\n", b"one\ntwo"])
def test_names_of_classes_may_have_a_byte_order_mark(capsys, tmp_path, text):
    np.savez(tmp_path / "w.npz", **zoo.create("lenet5", num_classes=2).state_dict())
    (tmp_path / "names").write_bytes(text)
    assert run(capsys, "convert", tmp_path / "w.npz", "--model", "lenet5", "--set", "num_classes=2", "--classes",
               tmp_path / "names", "-o", tmp_path / "m")[0] == 0
    assert zoo.load(tmp_path / "m").about["classes"] == ["one", "two"]


def test_facts_can_be_added_to_a_model_file(capsys, folder, tmp_path):
    """What `minidl predict` advises works."""
    save_model(tmp_path / "m", zoo.create("lenet5"))
    code, _, err = run(capsys, "predict", "images/b.png", "--model", tmp_path / "m")
    assert code == 2
    for flag in ("--input C,H,W", "--classes", "--mean", "--std", "--input 3,32,32"):
        assert flag in err
    assert "save_model" not in err
    assert run(capsys, "convert", tmp_path / "m", "-o", tmp_path / "n", "--input", "1, 28, 28", "--mean", "0.5")[0] == 0
    assert run(capsys, "predict", "images/b.png", "--model", tmp_path / "n")[0] == 0


def test_convert_chooses_the_weights_that_fit(capsys, tmp_path):
    model = zoo.create("lenet5")
    arrays = {name: of_array(array, str(i)) for i, (name, array) in enumerate(model.state_dict().items())}
    stored = {f"module.{name}": tensor for name, (tensor, _) in arrays.items()}
    write_zip(tmp_path / "w.pth", {"netD": {"a.weight": stored["module.conv1.weight"]}, "netG": stored},
              {tensor.identity[2]: content for tensor, content in arrays.values()})
    code, _, err = run(capsys, "convert", tmp_path / "w.pth", "-o", tmp_path / "m")
    assert code == 2
    assert "choose one with `minidl convert --key netD`" in err
    for more in ([], ["--key", "netG"]):
        assert run(capsys, "convert", tmp_path / "w.pth", "--model", "lenet5", "-o", tmp_path / "m", *more)[0] == 0
        np.testing.assert_array_equal(zoo.load(tmp_path / "m").conv1.weight.numpy(), model.conv1.weight.numpy())


@pytest.mark.parametrize(("made", "reason"), [
    ({"settings": {}}, "which is not in the zoo"), ({"name": ["lenet5"], "settings": {}}, "which is not in the zoo"),
    ({"name": "lenet5", "settings": {"num_classes": 1 << 20}}, "more than is allowed"),
    ("lenet5", "does not say which network it is for"),
])
def test_convert_refuses_a_forged_architecture(capsys, tmp_path, made, reason):
    save_checkpoint(tmp_path / "w", zoo.create("lenet5").state_dict(), {"architecture": made})
    code, _, err = run(capsys, "convert", tmp_path / "w", "-o", tmp_path / "m")
    assert code == 2
    assert reason in err


def test_create_refuses_a_forged_architecture(tmp_path):
    settings = {"num_classes": 1 << 20}
    save_checkpoint(tmp_path / "w", {"x": np.zeros(1)}, {"architecture": {"name": "lenet5", "settings": settings}})
    with pytest.raises(CheckpointError, match="more than is allowed"):
        zoo.create("lenet5", pretrained=tmp_path / "w")


def test_class_names_must_be_utf_8(capsys, tmp_path):
    np.savez(tmp_path / "w.npz", **zoo.create("lenet5").state_dict())
    (tmp_path / "names").write_bytes(b"caf\xe9")
    code, _, err = run(capsys, "convert", tmp_path / "w.npz", "--model", "lenet5", "--classes", tmp_path / "names",
                       "-o", tmp_path / "m")
    assert code == 2
    assert f"{tmp_path / 'names'}: not a text file in UTF-8" in err


# zoo

def test_zoo_table(capsys, monkeypatch):
    monkeypatch.setattr("minidl.commands.zoo.SECONDS", 0.01)
    code, out, _ = run(capsys, "zoo", "lenet5", "resnet20")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["network", "input", "parameters", "multiply-adds"],
        ["lenet5", "1", "x", "28", "x", "28", "61,706", "416,520"],
        ["resnet20", "3", "x", "32", "x", "32", "269,722", "40,551,040"]]
    code, out, _ = run(capsys, "zoo", "lenet5", "--measure")
    assert code == 0
    assert float(out.split()[-1].replace(",", "")) > 0
    code, out, err = run(capsys, "zoo", "lenet5", "resnet21")
    assert (code, out) == (2, "")
    assert "did you mean" in err


# real weights and photographs

@pytest.mark.slow
def test_mobilenet_classifies_photographs(capsys, tmp_path):
    root = Path(os.environ.get("MINIDL_DATA", "."))
    weights, photos = root / "weights" / "mobilenet_v1_0.75_224.npz", root / "photos"
    if not (weights.is_file() and photos.is_dir()):
        pytest.skip("$MINIDL_DATA is not a folder with the weights of MobileNet-v1 and photos")
    assert run(capsys, "convert", weights, "-o", tmp_path / "m")[0] == 0
    with tarfile.open(photos / "imagenet-100.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    code, out, _ = run(capsys, "predict", photos / "dog.jpg", tmp_path / "imagenet-100", "--model", tmp_path / "m",
                       "--json")
    assert code == 0
    dog, *results = json.loads(out)
    assert dog["predictions"][0]["class"] == "Samoyed"
    with open(photos / "labels.csv", newline="") as file:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    correct = [labels[Path(result["file"]).name] == result["predictions"][0]["index"] for result in results]
    assert len(correct) == 100
    assert sum(correct) >= 83


def test_model_that_is_not_a_classifier_is_refused(capsys, folder, tmp_path, monkeypatch):
    class Everywhere(nn.Module):
        def forward(self, x):
            return x
    monkeypatch.setattr("zoo.load", lambda *_, **__: Everywhere().eval())
    monkeypatch.setattr(Everywhere, "about", {"input": [3, 8, 8]}, raising=False)
    code, _, err = run(capsys, "predict", "images/b.png", "--model", "m")
    assert code == 2
    assert "output for an image has the shape (3, 8, 8), not (classes,)" in err
