"""What docs/deploy.md says about serving is run: its commands, its programs, and the files that other programs read."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from servers import image_bytes, running

import zoo
from minidl.cli import parser
from minidl.io import save_model

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("## Over HTTP")[2].partition("\n## ")[0]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(folder, environment, client): the files that the page names, and a server of best.safetensors."""
    folder = tmp_path_factory.mktemp("deploy")
    save_model(folder / "best.safetensors", zoo.create("lenet5", in_channels=3, num_classes=2), input=(3, 28, 28),
               classes=["cat", "dog"])
    (folder / "photo.jpg").write_bytes(image_bytes("JPEG"))
    (folder / "other.png").write_bytes(image_bytes("PNG"))
    with running([folder / "best.safetensors"]) as client:
        yield folder, {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "1"}, client


def here(text, client):
    """The text with the port of the test's server."""
    return text.replace("127.0.0.1:8000", client.url.removeprefix("http://"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", "".join(blocks("bash")).splitlines())
def test_a_command_with_curl(served, command):
    folder, environment, client = served
    output = subprocess.run(shlex.split(here(command, client)) + ["--fail-with-body", "-sS"], cwd=folder,
                            env=environment, capture_output=True, text=True, check=True).stdout
    assert "cat" in output or "ready" in output or "minidl_requests_total" in output


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_a_program(served, number):
    folder, environment, client = served
    program = here(blocks("python")[number], client)
    if "tritonclient" in program:
        pytest.importorskip("tritonclient.http", reason="tritonclient is not installed: the extra serve-test")
    output = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True,
                            text=True, check=True).stdout
    assert re.fullmatch(r"cat|dog|\[\[0\.\d+ +0\.\d+ *\]\]", output.strip())


def test_commands_of_the_server_parse():
    """In the text, in the unit and in the container's file."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(blocks("ini")[0])
    commands = re.findall(r"^    (minidl serve .*)$", TEXT, re.MULTILINE)
    commands.append(unit["Service"]["ExecStart"].removeprefix("/opt/minidl/bin/"))
    commands.append(shlex.join(re.findall(r'"([^"]*)"', re.search(r"^CMD (.*)$", TEXT, re.MULTILINE)[1])))
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        assert parser("serve").parse_args(words[1:]).models


def test_every_flag_is_in_the_table():
    flags = set(re.findall(r"--[a-z-]+", parser("serve").parse_args.__self__._subparsers._group_actions[0]
                           .choices["serve"].format_usage())) - {"--help"}
    table = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `--"))
    assert flags == set(re.findall(r"--[a-z-]+", table)) | {"--host", "--port"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit(tmp_path):
    unit = tmp_path / "minidl.service"
    unit.write_text(blocks("ini")[0].replace("/opt/minidl/bin/minidl", sys.executable))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert "minidl.service" not in result.stderr, result.stderr


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_configuration_of_nginx(tmp_path):
    text = re.sub(r"listen 443 ssl;|ssl_certificate.*;", "", blocks("nginx")[0])         # there is no certificate
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {places} {text} }}")
    subprocess.run(["nginx", "-t", "-q", "-c", tmp_path / "nginx.conf", "-e", tmp_path / "errors"], check=True)


def test_the_wheel_has_the_page():
    """setup.cfg names the files that are not Python."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    data = setup["options.package_data"]["minidl"].split()
    page = {path.relative_to(ROOT / "minidl").as_posix() for path in (ROOT / "minidl/serve/page").iterdir()}
    assert page <= {path.relative_to(ROOT / "minidl").as_posix() for pattern in data
                    for path in (ROOT / "minidl").glob(pattern)}
