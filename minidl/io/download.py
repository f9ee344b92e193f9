"""Files from the network: from the first mirror that has them, checked, and never half a file.

`fetch` brings one file into a folder.  What comes in is counted and hashed under a passing name, and gets its real
name only when all of it is there and its checksum is right.  A machine without a network learns so within seconds,
with an error that says what to put where by hand.
"""

import contextlib
import hashlib
import os
import queue
import threading
import uuid
from pathlib import Path

import pooch
from tqdm import tqdm

PATIENCE = 4.0  # seconds a mirror has to answer at all; offline, two mirrors then cost less than ten
STALL = 30.0  # seconds without a byte after which a download is given up
LIMIT = 1 << 30  # bytes, if the caller names no other limit


class DownloadError(OSError):
    """A file could not be had, or not be stored; the message says what to do."""


def data_root(root=None):
    """The folder that holds all data sets: `root`, else $MINIDL_DATA, else the user's cache folder."""
    return Path(root or os.environ.get("MINIDL_DATA") or pooch.os_cache("minidl")).expanduser()


def fetch(name, urls, checksum, folder, limit=LIMIT):
    """Download `name` into `folder` from the first of `urls` that has it whole, and return its path.

    `checksum` is "md5:" or "sha256:" and the digest in hexadecimal, or how it begins.
    A file that is there already is left alone.  Raises DownloadError with the reason for each mirror.
    """
    target = Path(folder) / name
    if target.exists():
        return target
    failures = []
    for url in urls:
        try:
            _await_answer(url)
            with _stored(target) as file, _progress(name, limit) as bar:
                arriving = _Arriving(file, checksum, limit)
                pooch.HTTPDownloader(bar, chunk_size=1 << 16, timeout=STALL)(url, arriving, None)
                arriving.check()
            return target
        except DownloadError:
            raise
        except OSError as error:  # what `requests` raises is one, too
            failures.append(f"  {url}: {_root(error)}")
    raise DownloadError(
        "\n".join([f"{name} could not be downloaded:", *failures, f"It belongs in {folder} ({checksum})."])
    )


def _root(error):
    """The error that led to this one; `requests` wraps a refused connection in three of its own."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    return error


def _progress(name, limit):
    """A bar on a terminal, nothing elsewhere; pooch replaces `total` as soon as it knows better."""
    return tqdm(desc=name, total=limit, unit="B", unit_scale=True, disable=None)


def _await_answer(url):
    """Return when the server of `url` answers, whatever it says; raise OSError if it does not.

    A socket's timeout starts anew with every address of a host, and does not hold for looking up its name.  So the
    question is put in a thread that can be left behind.
    """
    answers = queue.SimpleQueue()

    def ask():
        try:
            pooch.HTTPDownloader(timeout=PATIENCE)(url, None, None, check_only=True)
            answers.put(None)
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answers.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError(f"no answer within {PATIENCE:g} seconds") from None
    if error is not None:
        raise error


class _Arriving:
    """The file that a downloader writes to: counts, hashes and passes on."""

    def __init__(self, file, checksum, limit):
        self.file, self.limit = file, limit
        self.kind, _, self.wanted = checksum.partition(":")
        self.size, self.hash = 0, hashlib.new(self.kind, usedforsecurity=False)

    def write(self, data):
        self.size += len(data)
        if self.size > self.limit:
            raise OSError(f"larger than the {self.limit} bytes allowed")
        self.hash.update(data)
        with _disk(self.file.name):
            self.file.write(data)

    def flush(self):
        """Nothing: the file is flushed once, when it is whole."""

    def check(self):
        digest = self.hash.hexdigest()
        if not digest.startswith(self.wanted):
            raise OSError(f"wrong checksum, {self.kind}:{digest} over {self.size} bytes")


@contextlib.contextmanager
def _stored(target):
    """A file open for writing that becomes `target` if all goes well, and vanishes if not."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    with _disk(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("xb")
    try:
        try:
            yield file
            with _disk(part):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with _disk(part):
                file.close()  # writes what a full disk had refused, and is refused again
        with _disk(part):
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk(path):
    """Tell an error of this machine's disk from one of the network."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot write {path}: {error.strerror or error}. "
            "Make room there, or name another folder for data with $MINIDL_DATA."
        ) from error
