"""Decoding many files by threads: in order, with a reason for each that cannot be read."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from minidl import cores
from minidl.data.folder_cache import room_for
from minidl.io.image import ImageError

Progress = Callable[[int, int], None]
AHEAD = 16                                       # files that a thread may be ahead of what is wanted next


def each(paths: Sequence[str], decode: Callable[[str], Any], workers: int | None,
         progress: Progress | None = None) -> Iterator[Any]:
    """`decode(path)` of each file, in order; text, the reason, for those that cannot be read."""
    def one(path: str) -> Any:
        try:
            return decode(path)
        except (OSError, ImageError) as error:
            return reason(error, path)

    threads = workers or cores.count()
    pool = ThreadPoolExecutor(threads, "minidl-decode", initializer=cores.use_all)
    try:
        step = AHEAD * threads                   # not all at once, or results that nobody has taken yet fill the memory
        waiting = deque(pool.submit(one, path) for path in paths[:step])
        for done in range(1, len(paths) + 1):
            result = waiting.popleft().result()
            if done + step <= len(paths):
                waiting.append(pool.submit(one, paths[done + step - 1]))
            yield result
            if progress is not None and (done % 64 == 0 or done == len(paths)):
                progress(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)


def decoded(paths: Sequence[str], shape: tuple[int, ...], how: str, decode: Callable[[str], np.ndarray],
            cache: str | Path | None, workers: int | None, progress: Progress | None,
            beside: Sequence[str] = ()) -> tuple[np.ndarray, dict[int, str]]:
    """(the images that can be read, {index: why another cannot}), decoded by threads or taken from the cache.

    `beside` are further files on which the images depend.
    """
    store = room_for(paths, shape, how, cache, beside)
    if store.is_complete:
        return store.images, store.faults
    try:
        for i, image in enumerate(each(paths, decode, workers, progress)):
            store.put(i, image)
        return store.finish()
    except BaseException:
        store.discard()
        raise


def reason(error: Exception, path: str) -> str:
    """What an error says, without the path."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.removeprefix(f"{path}: ")
