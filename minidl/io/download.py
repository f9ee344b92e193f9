"""Downloads: from the first mirror that has the file, verified, and never half a file.

`fetch` puts one file into a folder. The data is counted and hashed while it is written to a temporary file, which gets
its real name only when it is complete and its checksum is correct. Without a network, the error comes within seconds
and says which file to put where by hand.
"""

import contextlib
import hashlib
import os
import queue
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pooch
from tqdm import tqdm

PATIENCE = 4.0  # seconds for a mirror's first answer, so that two unreachable mirrors take less than ten
STALL = 30.0  # seconds without a byte after which a download is abandoned
LIMIT = 1 << 30  # bytes; the default size limit


class DownloadError(OSError):
    """A file could not be downloaded or stored; the message says what to do."""


def data_root(root: str | Path | None = None) -> Path:
    """The folder that holds all data sets: `root`, else $MINIDL_DATA, else the user's cache folder."""
    return Path(root or os.environ.get("MINIDL_DATA") or pooch.os_cache("minidl")).expanduser()


def fetch(name: str, urls: Sequence[str], checksum: str, folder: str | Path, limit: int = LIMIT) -> Path:
    """Download `name` into `folder` from the first of `urls` that has the complete file, and return its path.

    `checksum` is "md5:" or "sha256:" and the digest in hexadecimal, or its first digits. An existing file is left
    alone. Raises DownloadError with the reason for each mirror.
    """
    target = Path(folder) / name
    if target.exists():
        return target
    failures = []
    for url in urls:
        try:
            _await_answer(url)
            with _stored(target) as file, _progress(name, limit) as bar:
                download = _Download(file, checksum, limit)
                pooch.HTTPDownloader(bar, chunk_size=1 << 16, timeout=STALL)(url, download, None)
                download.check()
            return target
        except DownloadError:
            raise
        except OSError as error:  # includes the errors of `requests`
            failures.append(f"  {url}: {_root(error)}")
    raise DownloadError(
        "\n".join([f"{name} could not be downloaded:", *failures, f"It belongs in {folder} ({checksum})."])
    )


def _root(error: BaseException) -> BaseException:
    """The original cause of an error; `requests` wraps a refused connection three times."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    return error


def _progress(name: str, limit: int) -> tqdm:
    """A bar on a terminal, nothing elsewhere; pooch sets `total` when it learns the size."""
    return tqdm(desc=name, total=limit, unit="B", unit_scale=True, disable=None)


def _await_answer(url: str) -> None:
    """Return when the server of `url` gives any answer; raise OSError if it gives none.

    A socket's timeout starts again for every address of a host, and does not limit the name lookup. The request
    therefore runs in a thread that can be abandoned.
    """
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
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


class _Download:
    """The file object that a downloader writes to: it counts, hashes, and passes the data on."""

    def __init__(self, file: BinaryIO, checksum: str, limit: int) -> None:
        self.file, self.limit = file, limit
        self.kind, _, self.expected = checksum.partition(":")
        self.size, self.hash = 0, hashlib.new(self.kind, usedforsecurity=False)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise OSError(f"larger than the {self.limit} bytes allowed")
        self.hash.update(data)
        with _disk(self.file.name):
            self.file.write(data)

    def flush(self) -> None:
        """Nothing: the file is flushed once, when it is complete."""

    def check(self) -> None:
        digest = self.hash.hexdigest()
        if not digest.startswith(self.expected):
            raise OSError(f"wrong checksum, {self.kind}:{digest} over {self.size} bytes")


@contextlib.contextmanager
def _stored(target: Path) -> Iterator[BinaryIO]:
    """A file open for writing that becomes `target` if the block succeeds, and is removed if not."""
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
                file.close()  # tries again to write what a full disk refused, and may fail again
        with _disk(part):
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk(path: str | Path) -> Iterator[None]:
    """Turn an error of the local disk into a DownloadError, to distinguish it from errors of the network."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot write {path}: {error.strerror or error}. "
            "Free space there, or name another folder for data with $MINIDL_DATA."
        ) from error
